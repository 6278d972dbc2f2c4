"""SEARCH as a command."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailstack.imap.options import ImapOptions
from mailstack.model.mailbox import MessageFile, Needle, TextHits
from mailstack.net.imap_server import ImapConnection
from tests.kit.bare_session import PASSWORD, USER, BareSession, fill
from tests.kit.imap_service import running
from tests.kit.memory_mailbox import MemoryMailbox


@pytest.fixture
def store() -> MemoryMailbox:
    made = fill(MemoryMailbox(), "one", "two", "three")
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


@pytest.mark.parametrize(
    "program",
    [
        b"(" * 50 + b"ALL" + b")" * 50,
        b" ".join([b"ALL"] * 10_000),
        b"OR ALL " * 5_000 + b"ALL",
        b"NOT " * 10_000 + b"ALL",
    ],
)
def test_programs_without_measure_are_refused(store: MemoryMailbox, program: bytes) -> None:
    # I9
    answer = BareSession(store).select().command(b"SEARCH " + program)
    assert answer.startswith((b"t BAD", b"* BAD"))


def test_a_thousand_criteria_and_long_texts_are_answered(store: MemoryMailbox) -> None:
    # I9
    session = BareSession(store).select()
    assert session.command(b"SEARCH " + b"OR TEXT nowhere " * 499 + b"BODY two").startswith(b"* SEARCH 1\r\n")
    sets = b" ".join(b"%d:*" % (number % 2 + 1) for number in range(1_000))
    assert session.command(b"SEARCH " + sets).startswith(b"* SEARCH 2\r\n")
    long = b"\xc3\xa4" * 50_000
    assert session.command(b"SEARCH TEXT {%d+}\r\n%b" % (len(long), long)).startswith(b"* SEARCH\r\n")


def test_saved_results_are_those_returned_and_fall_with_a_refusal(store: MemoryMailbox) -> None:
    # RFC 5182 section 2.1
    session = BareSession(store).select()
    session.command(b"UID SEARCH RETURN (SAVE MAX) ALL")
    assert list(session.session.saved_uids) == [3]
    session.command(b"SEARCH RETURN (SAVE) 9")
    session.command(b"SEARCH CHARSET X-NONE ALL")
    assert list(session.session.saved_uids) == [3]
    session.command(b"SORT RETURN (SAVE) (REVERSE ARRIVAL) UTF-8 ALL")
    assert list(session.session.saved_uids) == [2, 3]
    session.command(b"SORT RETURN (SAVE) (REVERSE ARRIVAL) X-NONE ALL")
    assert list(session.session.saved_uids) == []


def test_imap4rev2_is_answered_with_esearch_always(store: MemoryMailbox) -> None:
    # RFC 9051 section 6.4.4
    session = BareSession(store).log_in()
    session.command(b"ENABLE IMAP4rev2")
    session.command(b"SELECT INBOX")
    assert session.command(b"SEARCH BODY three").startswith(b'* ESEARCH (TAG "t") ALL 2\r\n')
    assert session.command(b"UID SEARCH DELETED").startswith(b'* ESEARCH (TAG "t") UID\r\n')


def test_no_charset_behind_utf8_accept(store: MemoryMailbox) -> None:
    # RFC 6855 section 3
    session = BareSession(store).log_in()
    session.command(b"ENABLE UTF8=ACCEPT")
    session.command(b"SELECT INBOX")
    assert b"t BAD" in session.command(b"SEARCH CHARSET UTF-8 ALL")
    assert b"* SEARCH 2" in session.command('SEARCH BODY "thrée"'.replace("é", "e").encode())


class _Unindexed(MemoryMailbox):
    """No message is indexed, and opening one takes until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.begun = threading.Event()

    def find_text(self, folder_id: int, needles: Sequence[Needle]) -> list[TextHits]:
        uids = frozenset(row.uid for row in self.rows(folder_id))
        return [TextHits(frozenset(), uids) for _ in needles]

    def open(self, folder_id: int, uid: int) -> MessageFile:  # type: ignore[override]
        self.begun.set()
        assert self.gate.wait(20)
        return super().open(folder_id, uid)


async def test_a_search_ends_with_its_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # I9
    store = _Unindexed()
    for _ in range(1_000):
        store.add("INBOX", b"\r\n")
    lost = asyncio.Event()
    seen = ImapConnection.connection_lost

    def connection_lost(connection: ImapConnection, error: Exception | None) -> None:
        seen(connection, error)
        lost.set()

    monkeypatch.setattr(ImapConnection, "connection_lost", connection_lost)
    async with running(tmp_path, store=store) as service:
        reader, writer = await asyncio.open_connection(
            "localhost", service.tls_port, ssl=service.client_context
        )
        writer.write(f'a LOGIN "{USER}" "{PASSWORD}"\r\nb SELECT INBOX\r\n'.encode())
        await reader.readuntil(b"b OK")
        writer.write(b"c SEARCH TEXT x\r\n")
        assert await asyncio.to_thread(store.begun.wait, 20)
        writer.transport.abort()
        await asyncio.wait_for(lost.wait(), 60)
        store.gate.set()
    assert 0 < len(store.opened) < 200


def test_progress_is_told_of_a_long_search(store: MemoryMailbox) -> None:
    # RFC 9585
    for _ in range(600):
        store.add("INBOX", b"\r\n")
    session = BareSession(store, options=ImapOptions(search_time_s=1_000)).select()
    ticks = iter(range(100_000))
    session.session.clock = lambda: 1000.0 + next(ticks)
    session.session._progress._clock = session.session.clock
    answer = session.command(b"SEARCH TEXT nowhere")
    assert b'* OK [INPROGRESS ("t" ' in answer and b" 602)] Still at work\r\n" in answer
    assert answer.endswith(b"* SEARCH\r\nt OK Search completed\r\n")
