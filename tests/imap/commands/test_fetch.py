"""FETCH: lines, texts, octets."""

from __future__ import annotations

import pytest

from mailstack.imap.sections import WHOLE_OCTETS
from mailstack.model.mailbox import Flags
from tests.kit.bare_session import BareSession, message, messages
from tests.kit.memory_mailbox import MemoryMailbox


@pytest.fixture
def store() -> MemoryMailbox:
    made = MemoryMailbox()
    messages("one", "two", "three")(made)
    return made


def test_reading_marks_as_read_and_says_so_in_the_same_line(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    assert session.command(b"FETCH 1 BODY[TEXT]") == (
        b"* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[TEXT] {5}\r\none\r\n)\r\nt OK Fetch completed\r\n"
    )
    assert b"FLAGS" not in session.command(b"FETCH 1 BODY[TEXT]")
    assert b"FLAGS" not in session.command(b"FETCH 2 BODY.PEEK[TEXT]")
    assert store.rows(store.status("INBOX").id)[1].flags == Flags.NONE
    assert b"FLAGS (\\Seen" in session.command(b"FETCH 3 RFC822")


def test_size_is_exactly_what_the_body_has(store: MemoryMailbox) -> None:
    store.add("INBOX", b"a\0b\r\n")
    session = BareSession(store).select()
    out = session.command(b"FETCH 4 (RFC822.SIZE BODY.PEEK[])")
    # RFC 3501 section 9: a literal holds no NUL; the length stays.
    assert out.startswith(b"* 4 FETCH (RFC822.SIZE 5 BODY[] {5}\r\na\x80b\r\n)")


def test_uid_fetch_always_has_the_uid_and_ignores_unknown_ones(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    assert session.command(b"UID FETCH 2:9 FLAGS").split(b"\r\n")[:-2] == [
        b"* 2 FETCH (UID 2 FLAGS (\\Recent))",
        b"* 3 FETCH (UID 3 FLAGS (\\Recent))",
    ]
    assert session.command(b"UID FETCH 99 FLAGS") == b"t OK Fetch completed\r\n"


def test_what_is_asked_twice_is_answered_once(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    out = session.command(b"FETCH 1 (UID UID BODY.PEEK[1] BODY.PEEK[1])")
    assert out.count(b"UID") == 1 and out.count(b"BODY") == 1


def test_messages_expunged_meanwhile_are_left_out_and_the_answer_is_no(store: MemoryMailbox) -> None:
    # RFC 2180 section 4.1.2
    session = BareSession(store).select()
    store.lose("INBOX", 2)
    out = session.command(b"FETCH 1:3 (ENVELOPE)")
    assert out.count(b"ENVELOPE") == 2 and b"t NO [EXPUNGEISSUED]" in out
    out = session.command(b"FETCH 1:3 (BODY.PEEK[])")
    assert out.count(b"BODY[]") == 2 and b"t NO [EXPUNGEISSUED]" in out
    assert session.command(b"FETCH 1:3 UID").count(b"UID") == 3


def test_a_file_of_another_size_is_not_sent(store: MemoryMailbox) -> None:
    # I25: never a literal shorter than announced
    session = BareSession(store).select()
    store.truncate[2] = 10
    out = session.command(b"FETCH 1:3 (RFC822.SIZE BODY.PEEK[])")
    assert out.count(b"BODY[]") == 2 and b"t NO [UNAVAILABLE]" in out
    assert all(file.closed for file in store.opened)


class _Shrinking(MemoryMailbox):
    """A file that loses its end while it is being read."""

    def open(self, folder_id: int, uid: int) -> object:  # type: ignore[override]
        file = super().open(folder_id, uid)
        whole = file.size_octets

        class Cut:
            size_octets = whole
            closed = False

            def read(self, offset: int = 0, count: int | None = None) -> bytes:
                return file.read(offset, count)[: max(0, whole - 100 - offset)]

            def close(self) -> None:
                file.close()

        return Cut()


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection_without_a_word() -> None:
    # I25: what we have announced we send, or nothing more
    store = _Shrinking()
    store.add("INBOX", message(body="x" * (3 * WHOLE_OCTETS)))
    session = BareSession(store).select()
    out = session.command(b"FETCH 1 BODY.PEEK[]")
    assert session.closed and b"BYE" not in out and b"t " not in out[-200:]
    assert all(file.closed for file in store.opened)


def test_many_small_and_large_messages_keep_their_order(store: MemoryMailbox) -> None:
    for size in (10, WHOLE_OCTETS, 10, 2 * WHOLE_OCTETS, 10):
        store.add("INBOX", message(body="y" * size))
    session = BareSession(store).select()
    out = session.command(b"UID FETCH 1:* (BODY.PEEK[]<0.3> RFC822.SIZE)")
    heads = [line.split()[1] for line in out.split(b"\r\n") if b"FETCH" in line]
    assert heads[:8] == [b"%d" % n for n in range(1, 9)]
    out = session.command(b"FETCH 1:* BODY.PEEK[]")
    assert out.count(b" FETCH (BODY[] {") == 8


def test_keywords_stand_behind_the_flags(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    session.command(b"STORE 2 FLAGS ($Work \\Seen)")
    assert b"* 2 FETCH (FLAGS (\\Seen \\Recent $Work))" in session.command(b"FETCH 1:* FLAGS")


def test_ten_thousand_messages_are_one_command(store: MemoryMailbox) -> None:
    for _ in range(2_500):
        store.add("INBOX", b"\r\n")
    session = BareSession(store).select()
    assert session.command(b"FETCH 1:* (FLAGS UID RFC822.SIZE INTERNALDATE)").count(b"\r\n") == 2_504
