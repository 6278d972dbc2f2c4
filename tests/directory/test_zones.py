"""Time zones of accounts, domains and the server."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailstack.directory import Directory, DirectoryWriter, zones
from mailstack.directory.names import any_address
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure


def _alice(reader: Directory) -> Account:
    found = reader.find(any_address("alice@example.test"))
    assert isinstance(found, Account)
    return found


def test_the_zone_is_the_accounts_then_the_domains_then_the_servers(
    writer: DirectoryWriter, reader: Directory
) -> None:
    writer.accounts.add("alice@example.test")
    assert zones.name_of(reader, _alice(reader), "UTC") == "UTC"
    writer.domains.set("example.test", time_zone="Europe/Zurich")
    assert zones.name_of(reader, _alice(reader), "UTC") == "Europe/Zurich"
    writer.accounts.set_time_zone("alice@example.test", "asia/tokyo")
    assert zones.name_of(reader, _alice(reader), "UTC") == "Asia/Tokyo"
    writer.accounts.set_time_zone("alice@example.test", "default")
    assert zones.name_of(reader, _alice(reader), "UTC") == "Europe/Zurich"


@pytest.mark.parametrize(
    "text", ["Europe/Zürich", "../../etc/passwd", "/etc/passwd", "a\0b", "\ud800", "x" * 5000]
)
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(PermanentFailure, match="is not a time zone"):
        zones.check(text)


def test_a_typing_mistake_is_told_the_right_name() -> None:
    with pytest.raises(PermanentFailure, match="did you mean Europe/Zurich"):
        zones.check("Europe/Zuerich")


def test_a_zone_this_machine_does_not_know_is_utc() -> None:
    # A backup may come from a machine with newer zone data.
    assert zones.load("Mars/Olympus") is UTC
    assert datetime.fromtimestamp(0, zones.load("Europe/Zurich")).hour == 1
