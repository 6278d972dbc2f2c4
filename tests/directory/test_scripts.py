"""Sieve scripts of accounts."""

from __future__ import annotations

import hashlib

import pytest

from mailstack.directory import Directory, DirectoryWriter
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure

SOURCE = b'require "fileinto";\r\nfileinto "caf\xc3\xa9";\r\n'


@pytest.fixture
def alice(writer: DirectoryWriter) -> Account:
    return writer.accounts.add("alice@example.test")


def test_script_is_stored_octet_by_octet(writer: DirectoryWriter, reader: Directory, alice: Account) -> None:
    writer.scripts.put("alice@example.test", "main", SOURCE)
    found = reader.script(alice.id, "main")
    assert found is not None
    assert (found.source, found.sha256, found.active) == (SOURCE, hashlib.sha256(SOURCE).hexdigest(), False)
    assert reader.active_script(alice.id) is None


def test_one_script_is_active(writer: DirectoryWriter, reader: Directory, alice: Account) -> None:
    for name in ("a", "b"):
        writer.scripts.put("alice@example.test", name, name.encode())
        writer.scripts.activate("alice@example.test", name)
    assert [(entry.name, entry.active) for entry in reader.scripts(alice.id)] == [("a", False), ("b", True)]
    active = reader.active_script(alice.id)
    assert active is not None
    assert active.source == b"b"
    writer.scripts.activate("alice@example.test", "")
    assert reader.active_script(alice.id) is None


def test_replacing_the_active_script_keeps_it_active(
    writer: DirectoryWriter, reader: Directory, alice: Account
) -> None:
    writer.scripts.put("alice@example.test", "main", b"keep;")
    writer.scripts.activate("alice@example.test", "main")
    assert writer.scripts.put("alice@example.test", "main", b"discard;").active
    active = reader.active_script(alice.id)
    assert active is not None
    assert active.source == b"discard;"


def test_activating_an_unknown_script_changes_nothing(
    writer: DirectoryWriter, reader: Directory, alice: Account
) -> None:
    writer.scripts.put("alice@example.test", "main", SOURCE)
    writer.scripts.activate("alice@example.test", "main")
    with pytest.raises(PermanentFailure, match="no script 'other'"):
        writer.scripts.activate("alice@example.test", "other")
    assert reader.active_script(alice.id) is not None


def test_active_script_is_not_removed(writer: DirectoryWriter, reader: Directory, alice: Account) -> None:
    # RFC 5804 section 2.10
    writer.scripts.put("alice@example.test", "main", SOURCE)
    writer.scripts.activate("alice@example.test", "main")
    with pytest.raises(PermanentFailure, match="is active"):
        writer.scripts.remove("alice@example.test", "main")
    writer.scripts.activate("alice@example.test", "")
    writer.scripts.remove("alice@example.test", "main")
    assert reader.scripts(alice.id) == []
    with pytest.raises(PermanentFailure, match="no script"):
        writer.scripts.remove("alice@example.test", "main")


def test_renaming_keeps_the_rest(writer: DirectoryWriter, reader: Directory, alice: Account) -> None:
    writer.scripts.put("alice@example.test", "old", SOURCE)
    writer.scripts.put("alice@example.test", "other", b"")
    writer.scripts.activate("alice@example.test", "old")
    with pytest.raises(PermanentFailure, match="already"):
        writer.scripts.rename("alice@example.test", "old", "other")
    writer.scripts.rename("alice@example.test", "old", "new")
    active = reader.active_script(alice.id)
    assert active is not None
    assert active.name == "new"


@pytest.mark.parametrize(("plan", "octets", "count"), [("normal", 262_144, 30), ("free", 65_536, 5)])
def test_size_and_number_are_checked_at_the_limit(
    writer: DirectoryWriter, alice: Account, plan: str, octets: int, count: int
) -> None:
    writer.accounts.set("alice@example.test", plan=plan)
    writer.scripts.put("alice@example.test", "big", b"#" * octets)
    with pytest.raises(PermanentFailure, match=str(octets)):
        writer.scripts.put("alice@example.test", "big", b"#" * (octets + 1))
    for n in range(count - 1):
        writer.scripts.put("alice@example.test", f"s{n}", b"")
    with pytest.raises(PermanentFailure, match=f"at most {count}"):
        writer.scripts.put("alice@example.test", "one more", b"")
    writer.scripts.put("alice@example.test", "big", b"replaced")
