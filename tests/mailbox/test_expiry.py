"""What goes by itself from Spam and Trash."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from mailstack.mailbox.expiry import Gone, Rule, expire, trim
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.mailbox import NewMessage
from mailstack.model.quota import Limits
from tests.kit.clock import Clock
from tests.kit.mailboxes import uids
from tests.mailbox.conftest import ALICE

DAY_S = 86_400
MESSAGE = b"Subject: x\r\n\r\n" + b"x" * 84 + b"\r\n"  # 100 octets
SPAM = Rule("\\Junk", 30)
TRASH = Rule("\\Trash", 0)


def add(account: Account, folder: str, number: int = 1, at: int | None = None) -> None:
    account.append(folder, [NewMessage(MESSAGE, internal_at=at)] * number)


def test_what_came_into_spam_long_ago_goes(account: Account, clock: Clock) -> None:
    add(account, "Spam", 2)
    add(account, "Trash")
    add(account, "INBOX")
    clock.advance(20 * DAY_S)
    add(account, "Spam", at=1)  # an old message that came today
    before = account.status("Spam").highest_modseq
    clock.advance(10 * DAY_S + 1)
    assert expire(account, [SPAM, TRASH], now=clock(), most=1_000) == [Gone("Spam", 2, "age")]
    assert (uids(account, "Spam"), uids(account, "Trash"), uids(account, "INBOX")) == ([3], [1], [1])
    assert account.expunged(account.status("Spam").id, since_modseq=before) == [(1, 2)]
    assert expire(account, [SPAM, TRASH], now=clock(), most=1_000) == []
    assert expire(account, [Rule("\\Trash", 7)], now=clock(), most=1_000) == [Gone("Trash", 1, "age")]


def test_the_folder_is_known_by_its_use_not_its_name(account: Account, clock: Clock) -> None:
    account.rename("Spam", "Müll")
    add(account, "Müll")
    account.create("Spam")
    add(account, "Spam")
    clock.advance(40 * DAY_S)
    assert expire(account, [SPAM], now=clock(), most=1_000) == [Gone("Müll", 1, "age")]
    assert uids(account, "Spam") == [1]


def test_the_work_of_one_run_is_bounded(account: Account, clock: Clock) -> None:
    add(account, "Spam", 30)
    add(account, "Trash", 30)
    clock.advance(40 * DAY_S)
    rules = [SPAM, Rule("\\Trash", 30)]
    assert expire(account, rules, now=clock(), most=40) == [Gone("Spam", 30, "age"), Gone("Trash", 10, "age")]
    assert expire(account, rules, now=clock(), most=40) == [Gone("Trash", 20, "age")]


def test_spam_and_trash_are_kept_within_their_bound(store: MailStore, clock: Clock) -> None:
    account = store.account(ALICE, Limits(1_000))
    for number in range(12):
        account.deliver("Spam", NewMessage(MESSAGE), base_name=f"{number}.x")
        clock.advance(1)
    add(store.account(ALICE), "Trash", 3)
    add(account, "INBOX", 10)
    assert trim(account, now=clock(), most=2) == [Gone("Spam", 2, "room")]
    assert trim(account, now=clock(), most=100) == [Gone("Spam", 3, "room")]
    assert uids(account, "Spam") == list(range(6, 13)) and len(uids(account, "INBOX")) == 10
    few = store.account(ALICE, Limits(messages=2))
    assert trim(few, now=clock(), most=100) == [Gone("Spam", 7, "room"), Gone("Trash", 1, "room")]
    assert trim(store.account(ALICE), now=clock(), most=100) == [] and trim(few, now=clock(), most=100) == []


def test_old_mail_of_a_folder_that_becomes_spam_is_not_old_spam(store: MailStore, clock: Clock) -> None:
    account = store.account(ALICE)
    account.delete("Spam")
    account.create("work")
    add(account, "work", 10)
    add(account, "Archive")
    clock.advance(400 * DAY_S)
    account.rename("work", "Junk E-mail")
    account.annotate("Archive", {"/private/specialuse": b"\\Trash"})
    rules = [SPAM, Rule("\\Trash", 30)]
    small = store.account(ALICE, Limits(500))
    for days, gone in ((0, []), (29, []), (2, [Gone("Junk E-mail", 10, "age"), Gone("Archive", 1, "age")])):
        clock.advance(days * DAY_S)
        if days == 0:
            assert trim(small, now=clock(), most=100) == []
        assert expire(account, rules, now=clock(), most=100) == gone


def test_what_came_while_the_clock_was_wrong_goes_with_what_came_before_it(
    account: Account, clock: Clock
) -> None:
    # F28: a machine without a clock of its own begins in 1970
    add(account, "Spam")
    clock.advance(-20_000 * DAY_S)
    add(account, "Spam", 2)
    clock.advance(20_000 * DAY_S)
    add(account, "Spam")
    clock.advance(10_000 * DAY_S)
    add(account, "Spam")
    clock.advance(-10_000 * DAY_S + 29 * DAY_S)
    assert expire(account, [SPAM], now=clock(), most=1_000) == []
    clock.advance(2 * DAY_S)
    assert expire(account, [SPAM], now=clock(), most=1_000) == [Gone("Spam", 4, "age")]


def at_the_last_moment(account: Account, patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Does something when what shall go was read, and is not yet removed."""
    change = account.core.db.change

    def later(doing: str, work: Callable[[sqlite3.Connection], object], *, durable_commit: bool) -> object:
        patch.undo()
        act()
        return change(doing, work, durable_commit=durable_commit)

    patch.setattr(account.core.db, "change", later)


def test_mail_of_a_folder_that_is_spam_no_longer_stays(
    store: MailStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = store.account(ALICE, Limits(messages=1))
    add(store.account(ALICE), "Spam", 3)
    clock.advance(40 * DAY_S)
    at_the_last_moment(account, monkeypatch, lambda: account.annotate("Spam", {"/private/specialuse": None}))
    assert expire(account, [SPAM], now=clock(), most=100) == []
    account.annotate("Spam", {"/private/specialuse": b"\\Junk"})
    clock.advance(40 * DAY_S)
    at_the_last_moment(account, monkeypatch, lambda: account.annotate("Spam", {"/private/specialuse": None}))
    assert trim(account, now=clock(), most=100) == []
    assert uids(account, "Spam") == [1, 2, 3]
