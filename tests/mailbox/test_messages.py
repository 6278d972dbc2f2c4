"""Rows of messages: conditions on changes, and MODSEQs that only grow."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.mailbox import messages
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import FlagOperation, Flags, NewMessage
from mailstack.model.ranges import numbers
from tests.kit.clock import Clock

ALICE = Address.parse("alice@example.test")
MESSAGE = NewMessage(b"Subject: hello\r\n\r\n")


@pytest.fixture
def inbox(account: Account) -> int:
    account.append("INBOX", [MESSAGE] * 3)
    return account.status("INBOX").id


@pytest.mark.parametrize(("operation", "keywords"), [("+", ()), ("=", ()), ("+", ("work",))])
def test_what_has_changed_since_is_left_alone(
    account: Account, inbox: int, operation: FlagOperation, keywords: tuple[str, ...]
) -> None:
    # RFC 7162 section 3.1.3
    since = account.highest_modseq(inbox)
    account.change_flags(inbox, [2], "+", flags=Flags.FLAGGED)
    done = account.change_flags(
        inbox, [1, 2, 3, 9], operation, flags=Flags.SEEN, keywords=keywords, unchanged_since=since
    )
    assert [row.uid for row in done.rows] == [1, 3] and done.refused_uids == [2]
    assert {row.modseq for row in done.rows} == {account.highest_modseq(inbox)}
    assert account.rows(inbox)[1].flags == Flags.FLAGGED


def test_when_all_have_changed_since_nothing_changes(account: Account, inbox: int) -> None:
    before = account.highest_modseq(inbox)
    done = account.change_flags(inbox, [1, 2], "+", flags=Flags.SEEN, unchanged_since=0)
    assert done.rows == [] and done.refused_uids == [1, 2]
    assert account.highest_modseq(inbox) == before


def test_a_pruned_log_answers_with_all_that_is_gone_as_ranges(
    account: Account, inbox: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MAX_EXPUNGED_RANGES", 1)
    monkeypatch.setattr(messages, "LOOK_EVERY", 1)
    account.append("INBOX", [MESSAGE] * 6)
    start = account.highest_modseq(inbox)
    for uid in (1, 2, 5, 8):
        account.expunge(inbox, [uid])
    assert account.expunged(inbox, since_modseq=start) == [(1, 2), (5, 5), (8, 8)]
    assert account.expunged(inbox, since_modseq=account.highest_modseq(inbox)) == []


# -- several processes ------------------------------------------------------------------

CHANGES = """
    import os, random, sys, time
    from pathlib import Path
    from mailstack.mailbox.store import MailStore
    from mailstack.model.address import Address
    from mailstack.model.mailbox import Flags, NewMessage

    root, name = Path(sys.argv[1]), sys.argv[2]
    store = MailStore(root, now=time.time, random_bytes=os.urandom, boot="first boot")
    account = store.account(Address.parse("alice@example.test"))
    inbox = account.status("INBOX").id
    pick = random.Random(name)
    message = NewMessage(b"Subject: hello\\r\\n\\r\\n")
    for n in range(60):
        known = [row.uid for row in account.rows(inbox)] or [1]
        match pick.randrange(4):
            case 0:
                account.append("INBOX", [message, message])
            case 1:
                account.deliver("INBOX", message, base_name=f"1.{name}n{n}")
            case 2:
                account.expunge(inbox, pick.sample(known, 1))
            case _:
                some = pick.sample(known, min(3, len(known)))
                account.change_flags(inbox, some, pick.choice("+-="), flags=Flags(pick.randrange(32)))
    store.close()
"""


@pytest.fixture
def workers(root: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    code = textwrap.dedent(CHANGES)
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(root), name], stderr=subprocess.PIPE)
        for name in ("one", "two")
    ]
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_whoever_asks_for_changes_since_a_modseq_never_misses_one(
    root: Path, clock: Clock, workers: list[subprocess.Popen[bytes]]
) -> None:
    # MODSEQs grow strictly across processes: no change appears at or below one already seen.
    store = MailStore(root, now=clock, random_bytes=os.urandom, boot="first boot")
    account = store.account(ALICE)
    inbox = account.status("INBOX").id
    known: dict[int, tuple[int, Flags]] = {}
    seen = 0
    while True:
        over = all(process.poll() is not None for process in workers)
        highest = account.highest_modseq(inbox)
        assert highest >= seen
        changed = account.rows(inbox, since_modseq=seen)
        gone = numbers(account.expunged(inbox, since_modseq=seen)) if seen else set[int]()
        known.update((row.uid, (row.modseq, row.flags)) for row in changed)
        known = {uid: row for uid, row in known.items() if uid not in gone}
        seen = highest
        if over:
            break
    assert [process.wait() for process in workers] == [0, 0]
    assert known == {row.uid: (row.modseq, row.flags) for row in account.rows(inbox)}
    modseqs = [modseq for modseq, _ in known.values()]
    assert max(modseqs) <= seen
    store.close()


def test_what_is_new_is_found_without_reading_the_folder(account: Account, inbox: int) -> None:
    account.append("INBOX", [MESSAGE] * 500)
    since = account.highest_modseq(inbox)
    account.append("INBOX", [MESSAGE])
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with account.core.db.read() as connection:
        connection.set_progress_handler(count, 1)
        assert [row.uid for row in account.rows(inbox, since_modseq=since)] == [504]
        connection.set_progress_handler(None, 0)
    assert 0 < steps < 250


def test_what_is_marked_is_asked_when_it_goes(account: Account) -> None:
    add = [NewMessage(b"Subject: x\r\n\r\n", flags=flags) for flags in (Flags.DELETED, Flags.SEEN, Flags(9))]
    account.append("INBOX", add)
    inbox = account.status("INBOX").id
    assert account.expunge(inbox, [2, 3, 4], only_marked=True) == [3]
    assert account.expunge(inbox, [2], only_marked=True) == []
    assert [row.uid for row in account.rows(inbox)] == [1, 2]
