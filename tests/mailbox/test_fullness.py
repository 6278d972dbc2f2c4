"""Quota across processes, how long an account has been full, and the warnings."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from pathlib import Path

import pytest

from mailstack.app.notices import quota_warning
from mailstack.mailbox import fullness, messages
from mailstack.mailbox.fullness import Memory
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.quota import limits_of
from mailstack.mailbox.store import Account, MailStore
from mailstack.model import directory
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError, NewMessage
from mailstack.model.quota import Limits, QuotaState
from tests.kit.clock import START, Clock
from tests.kit.process import eventually
from tests.mailbox.conftest import ALICE

MESSAGE = b"Subject: x\r\n\r\n" + b"x" * 84 + b"\r\n"  # 100 octets
DAY_S = 86_400


class Words:
    """Counts what was written."""

    def __init__(self) -> None:
        self.levels: list[int] = []
        self.stored_for: list[str] = []

    def compose(self, address: str, state: QuotaState, level: int, at: int) -> bytes:
        self.levels.append(level)
        return quota_warning(address, state, level, at, hostname="mx.example.test", language="en")

    def stored(self, address: str) -> None:
        self.stored_for.append(address)


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
def store(root: Path, clock: Clock, words: Words):  # type: ignore[no-untyped-def]
    store = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot", notices=words)
    yield store
    assert store.last_trouble is None
    store.close()


def deliver(account: Account, number: int, folder: str = "INBOX") -> bool:
    """True when it was taken."""
    try:
        account.deliver(folder, NewMessage(MESSAGE), base_name=f"{number}.x")
    except TemporaryFailure as error:
        assert error.status == "2.2"
        return False
    return True


def warnings(account: Account) -> int:
    account.folders()
    account.core.worker.flush()
    return sum(row.size_octets > 100 for row in account.rows(account.status("INBOX").id))


def test_one_delivery_may_cross_the_line_and_no_second(store: MailStore) -> None:
    account = store.account(ALICE, Limits(250))
    assert [deliver(account, n) for n in range(5)] == [True, True, True, False, False]
    assert account.quota().used_octets == 300
    assert deliver(account, 2)  # again: it is there already
    assert list((account.core.maildir / "new").glob("3.x*")) == []
    assert deliver(account, 9, "Spam") and deliver(account, 10, "Trash")
    few = store.account(Address.parse("bob@example.test"), Limits(messages=2))
    assert [deliver(few, n) for n in range(3)] == [True, True, False]


def test_a_limit_of_nothing_takes_nothing(store: MailStore) -> None:
    assert not deliver(store.account(ALICE, Limits(0)), 1)


def _hammer(root: Path, name: str, kind: str) -> None:
    store = MailStore(root, now=lambda: START, random_bytes=os.urandom, boot="first boot")
    account = store.account(ALICE, Limits(2_050))
    for number in range(30):
        with contextlib.suppress(TemporaryFailure, MailboxError):
            if kind == "append":
                account.append("INBOX", [NewMessage(MESSAGE)])
            else:
                account.deliver("INBOX", NewMessage(MESSAGE), base_name=f"{name}{number}.x")
    store.close()


@pytest.mark.parametrize(("kind", "most"), [("append", 20), ("deliver", 21)])
def test_the_line_is_exact_with_several_processes(store: MailStore, root: Path, kind: str, most: int) -> None:
    store.account(ALICE).folders()
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_hammer, args=(root, f"p{n}", kind)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    account = store.account(ALICE)
    assert account.quota().used_messages == most
    assert account.status("INBOX").size_octets == most * 100


def test_since_when_it_is_full_is_remembered_and_forgotten_when_there_is_room(
    store: MailStore, root: Path, clock: Clock
) -> None:
    account = store.account(ALICE, Limits(200))
    assert account.full_for_s() is None
    deliver(account, 1), deliver(account, 2)
    assert account.full_for_s() == 0
    for _ in range(8):
        clock.advance(DAY_S)
        seen = account.full_for_s()
    assert seen == 8 * DAY_S
    store.close()
    again = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    account = again.account(ALICE, Limits(200))
    assert account.full_for_s() == 8 * DAY_S
    account.expunge(account.status("INBOX").id, [1, 2, 3])
    deliver(account, 3), deliver(account, 4)
    assert account.full_for_s() == 0
    assert again.account(ALICE, Limits(2_000)).full_for_s() is None
    assert account.full_for_s() == 0
    again.close()


@pytest.mark.parametrize("jump", [10 * 365 * DAY_S, -START])
def test_a_clock_that_jumps_does_not_make_it_long_full(store: MailStore, clock: Clock, jump: float) -> None:
    # F28
    account = store.account(ALICE, Limits(100))
    deliver(account, 1)
    for _ in range(3):
        clock.advance(jump)
        assert (account.full_for_s() or 0) <= 3 * DAY_S
        clock.advance(-jump)
    assert 0 <= (account.full_for_s() or 0) <= 3 * DAY_S


def test_a_warning_comes_once_per_crossing(store: MailStore, words: Words, clock: Clock) -> None:
    account = store.account(ALICE, Limits(messages=40))
    for number in range(31):
        deliver(account, number)
    assert warnings(account) == 0
    deliver(account, 31)
    assert (warnings(account), words.levels, words.stored_for) == (1, [80], ["alice@example.test"])
    inbox = account.status("INBOX").id
    clock.advance(60)
    account.expunge(inbox, [1])
    deliver(account, 32)
    assert warnings(account) == 1  # not far enough below
    account.expunge(inbox, range(2, 20))
    for number in range(40, 59):
        deliver(account, number)
    assert (warnings(account), words.levels) == (2, [80, 80])
    while account.quota().percent < 95:
        clock.advance(1)
        deliver(account, int(clock()))
    assert (warnings(account), words.levels) == (3, [80, 80, 95])
    assert deliver(account, 7_000) and not deliver(account, 7_001)
    assert warnings(account) == 3


def test_a_warning_that_crosses_the_line_is_not_followed_by_another(store: MailStore, words: Words) -> None:
    account = store.account(ALICE, Limits(messages=5))
    for number in range(4):
        deliver(account, number)
    assert (warnings(account), words.levels) == (1, [80])
    assert account.quota().is_full and not deliver(account, 5)
    assert account.full_for_s() == 0
    assert (warnings(account), words.levels) == (1, [80])


def test_a_jump_over_both_levels_is_one_warning(store: MailStore, words: Words) -> None:
    account = store.account(ALICE, Limits(messages=10))
    account.append("INBOX", [NewMessage(MESSAGE)] * 10)
    assert (warnings(account), words.levels) == (1, [95])


def test_a_warning_survives_a_crash_and_is_written_once(
    store: MailStore, root: Path, words: Words, clock: Clock
) -> None:
    quiet = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    account = quiet.account(ALICE, Limits(100))
    deliver(account, 1)
    quiet.close()
    for _ in range(2):
        again = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot", notices=words)
        assert warnings(again.account(ALICE, Limits(100))) == 1
        again.close()
    assert words.levels == [95]


def test_a_warning_that_is_to_be_written_again_does_not_stop_what_is_done_in_the_background(
    store: MailStore, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = store.account(ALICE, Limits(250))
    with monkeypatch.context() as patch:
        patch.setattr(
            fullness, "told", lambda connection, notice_at: None
        )  # the disk was full at this moment
        for number in range(3):
            deliver(account, number)
        eventually(lambda: len(words.stored_for) == 1)
    inbox = account.status("INBOX").id
    uid = account.rows(inbox)[-1].uid
    # Its reader has thrown it away, and the file is still to be removed.
    with account.core.db.write("test", durable_commit=False) as connection:
        messages.remove(connection, inbox, [uid], keep=False)
    account.core.worker.notices(account.core)
    eventually(lambda: len(words.stored_for) == 2)
    assert warnings(account) == 1


@pytest.mark.parametrize(
    ("level", "used", "now_level", "due"),
    [
        (0, 79, 0, False), (0, 80, 80, True), (80, 94, 80, False), (80, 95, 95, True), (95, 120, 95, False),
        (95, 90, 95, False), (95, 89, 80, False), (80, 75, 80, False), (80, 74, 0, False), (95, 10, 0, False),
    ],
)  # fmt: skip
def test_levels_and_their_hysteresis(level: int, used: int, now_level: int, due: bool) -> None:
    found = fullness.updated(Memory(100, None, level=level), QuotaState(used, 100, 0, None), 1_000)
    assert (found.level, found.notice_at != 0) == (now_level, due)


def test_a_broken_memory_is_an_empty_one(store: MailStore) -> None:
    account = store.account(ALICE, Limits(100))
    deliver(account, 1)
    with account.core.db.write("test", durable_commit=True) as connection:
        connection.execute("UPDATE meta SET value = '{\"level\": \"x' WHERE key = 'quota'")
        assert fullness.recall(connection) == Memory()
    assert account.full_for_s() == 0


def test_limits_come_from_the_account_or_its_plan() -> None:
    options = MailboxOptions(quota_octets=10, quota_free_octets=5, quota_free_messages=7)
    address = Address.parse("a@b.test")
    plain = directory.Account(1, address)
    assert limits_of(plain, options) == Limits(10, None)
    free = directory.Account(1, address, plan="free", quota_octets=3)
    assert limits_of(free, options) == Limits(3, 7, 100)
    none = directory.Account(1, address, plan="free", quota_octets=directory.NO_LIMIT)
    assert limits_of(none, options) == Limits(None, 7, 100)
    assert limits_of(plain, MailboxOptions()) == Limits()
