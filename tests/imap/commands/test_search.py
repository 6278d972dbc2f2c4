"""SEARCH as a command."""

from __future__ import annotations

import pytest

from mailstack.imap.options import ImapOptions
from tests.kit.bare_session import BareSession, messages
from tests.kit.memory_mailbox import MemoryMailbox


@pytest.fixture
def store() -> MemoryMailbox:
    made = MemoryMailbox()
    messages("one", "two", "three")(made)
    made.lose("INBOX", 1)
    return made


def test_numbers_or_uids(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    assert session.command(b"SEARCH BODY three").startswith(b"* SEARCH 2\r\n")
    assert session.command(b"UID SEARCH BODY three").startswith(b"* SEARCH 3\r\n")
    assert session.command(b"SEARCH BODY four") == b"* SEARCH\r\nt OK Search completed\r\n"
    assert b"t BAD" in session.command(b"SEARCH 9")
    assert b"t NO [BADCHARSET (UTF-8 US-ASCII " in session.command(b"SEARCH CHARSET x ALL")


def test_a_search_that_takes_too_long_is_given_up(store: MemoryMailbox) -> None:
    # limits, section 6
    for _ in range(300):
        store.add("INBOX", b"\r\n")
    session = BareSession(store, options=ImapOptions(search_time_s=10))
    ticks = iter(range(10_000))
    session.select()
    session.session.clock = lambda: 1000.0 + 9 * next(ticks)
    assert b"t NO [LIMIT] The search took more than 10 s" in session.command(b"SEARCH TEXT x")
    assert b"t OK" in session.command(b"SEARCH ALL")


def test_many_cheap_criteria_are_worked_on_elsewhere(store: MemoryMailbox) -> None:
    for _ in range(600):
        store.add("INBOX", b"\r\n")
    session = BareSession(store).select()
    assert session.command(b"SEARCH " + b" ".join([b"UNSEEN"] * 100)).count(b" ") > 600
