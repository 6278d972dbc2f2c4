"""Questions of the event loop, which must not wait while somebody waits to write."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.state import statedb
from mailstack.state.forward_targets import ForwardTargets
from mailstack.state.senders import LongSenders
from mailstack.state.statedb import StateTable

OWNER, TARGET = Address.parse("a@example.test"), Address.parse("b@far.test")


def _senders(path: Path) -> tuple[StateTable, Callable[[], object], Callable[[], object]]:
    table = LongSenders(path)
    return table, lambda: table.find("KEY"), lambda: table.remember("KEY", TARGET, now=1.0)


def _targets(path: Path) -> tuple[StateTable, Callable[[], object], Callable[[], object]]:
    table = ForwardTargets(path)
    return table, lambda: table.find(OWNER, TARGET), lambda: table.may_tell(OWNER, TARGET, 1.0)


@pytest.mark.parametrize("make", [_senders, _targets])
def test_a_look_waits_for_no_writer(
    tmp_path: Path,
    make: Callable[[Path], tuple[StateTable, Callable[[], object], Callable[[], object]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statedb, "BUSY_TIMEOUT_S", 20.0)
    path = tmp_path / "state.db"
    statedb.migrate(path)
    table, look, write = make(path)
    assert not look()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        def wait() -> None:
            with contextlib.suppress(TemporaryFailure):
                write()

        writer = threading.Thread(target=wait)
        writer.start()
        while not table._lock.locked():
            assert writer.is_alive()
        assert not look()
        assert writer.is_alive()
        other.execute("ROLLBACK")
    writer.join()
    assert look()
    table.close()
