"""One folder of two."""

from __future__ import annotations

from typing import Any

import pytest

from mailstack.mailbox import merge as merging
from mailstack.mailbox.merge import Merged, merge
from mailstack.mailbox.store import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags, MailboxError, NewMessage


def add(account: Account, folder: str, *subjects: str) -> None:
    new = [NewMessage(b"Subject: %b\r\n\r\nx\r\n" % text.encode(), flags=Flags.SEEN) for text in subjects]
    account.append(folder, new)


def counts(account: Account) -> dict[str, int]:
    entries = [entry for entry in account.folders() if entry.exists]
    return {e.name: n for e in entries if (n := account.status(e.name).messages) or "/" in e.name}


def test_messages_and_folders_below_go_over_and_the_rest_is_removed(account: Account) -> None:
    for name in ("Sent Items/2024", "Sent Items/2025/May", "Sent/2024"):
        account.create(name)
    add(account, "Sent", "old")
    account.create("Sent Items")
    for name, texts in (
        ("Sent Items", ("one", "two")),
        ("Sent Items/2024", ("three",)),
        ("Sent Items/2025/May", ("four",)),
        ("Sent/2024", ("five",)),
    ):
        add(account, name, *texts)
    assert merge(account, "Sent Items", "Sent") == Merged(3, ("Sent/2025/May",), "")
    assert counts(account) == {"Sent": 3, "Sent/2024": 2, "Sent/2025/May": 1}
    assert not [entry.name for entry in account.folders() if entry.name.startswith("Sent Items")]
    assert all(row.flags == Flags.SEEN for row in account.rows(account.status("Sent").id))


def test_the_use_goes_over_with_the_mail(account: Account) -> None:
    account.create("Deleted Items")
    add(account, "Deleted Items", "x")
    assert merge(account, "Deleted Items", "Trash").special_use == "\\Trash"
    assert {e.name for e in account.folders() if e.special_use == "\\Trash"} == {"Trash"}
    account.create("Keep")
    assert merge(account, "Keep", "Archive").special_use == ""


def test_inbox_stays_and_a_folder_may_go_into_the_one_above_it(account: Account) -> None:
    account.create("INBOX/Old")
    account.create("INBOX/Old/Older")
    add(account, "INBOX/Old", "x")
    assert merge(account, "INBOX/Old", "INBOX").folders == ("INBOX/Older",)
    assert merge(account, "INBOX", "INBOX/Older").messages == 1
    assert counts(account) == {"INBOX/Older": 1}


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        ("Sent", "Sent", "CANNOT"),
        ("Sent", "Sent/x", "CANNOT"),
        ("Nowhere", "Sent", "NONEXISTENT"),
        ("Sent", "Nowhere", "NONEXISTENT"),
        ("../x", "Sent", "CANNOT"),
    ],
)
def test_what_cannot_be_merged(account: Account, source: str, target: str, code: str) -> None:
    account.create("Sent/x")
    with pytest.raises(MailboxError) as refused:
        merge(account, source, target)
    assert refused.value.code == code


def test_what_comes_while_folders_are_merged_goes_over_too(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.create("Sent Items")
    add(account, "Sent Items", "one")
    take_over = merging._take_over

    def late(*arguments: Any) -> str:
        add(account, "Sent Items", "two")
        return take_over(*arguments)

    monkeypatch.setattr(merging, "_take_over", late)
    assert merge(account, "Sent Items", "Sent").messages == 2
    assert counts(account) == {"Sent": 2}


def test_a_rename_of_inbox_that_fails_removes_no_mail_that_came_meanwhile(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        add(account, "Old", "new")
        raise TemporaryFailure("the disk is full")

    monkeypatch.setattr(account, "move", full)
    with pytest.raises(TemporaryFailure):
        account.rename("INBOX", "Old")
    assert counts(account) == {"Old": 1}
