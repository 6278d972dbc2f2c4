"""Folders on a disk that fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mailstack.mailbox import folders
from mailstack.mailbox.store import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import NewMessage


def test_a_folder_that_cannot_be_deleted_stays_as_it_was(
    account: Account, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.create("work")
    account.append("work", [NewMessage(b"Subject: x\r\n\r\n", keywords=("later",))])
    before = account.status("work")

    def full(connection: sqlite3.Connection, folder_id: int) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(folders, "forget", full)
    with pytest.raises(TemporaryFailure, match="full"):
        account.delete("work")
    monkeypatch.undo()
    assert account.status("work") == before
    account.delete("work")
    assert not [entry for entry in account.folders() if entry.name == "work"]
    assert [path.name for path in (home / "expunged").glob("*/folder-*/cur/*")]
