"""Senders behind short SRS addresses."""

from __future__ import annotations

from pathlib import Path

from mailstack.model.address import Address
from mailstack.state import statedb
from mailstack.state.senders import LongSenders

NOW = 1_790_000_000.0
LONG = Address.parse("x" * 60 + "@far.example")


def test_a_sender_is_found_by_its_key_until_it_is_too_old(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    statedb.migrate(path)
    table = LongSenders(path)
    table.remember("KEY1", LONG, now=NOW)
    table.remember("KEY1", LONG, now=NOW + 1)
    assert table.find("KEY1") == LONG
    assert table.find("KEY2") is None
    table.remember("KEY3", LONG, now=NOW + 18 * 86_400)
    assert table.find("KEY1") is None
    table.close()
