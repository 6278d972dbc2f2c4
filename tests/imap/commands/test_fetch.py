"""FETCH: lines, texts, octets."""

from __future__ import annotations

import base64

import pytest

from mailstack.imap.sections import WHOLE_OCTETS
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags
from tests.kit.bare_session import BareSession, fill, message
from tests.kit.memory_mailbox import MemoryMailbox


@pytest.fixture
def store() -> MemoryMailbox:
    return fill(MemoryMailbox(), "one", "two", "three")


def test_reading_marks_as_read_and_says_so_in_the_same_line(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    assert session.command(b"FETCH 1 BODY[TEXT]") == (
        b"* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[TEXT] {5}\r\none\r\n)\r\nt OK Fetch completed\r\n"
    )
    assert b"FLAGS" not in session.command(b"FETCH 1 BODY[TEXT]")
    assert b"FLAGS" not in session.command(b"FETCH 2 BODY.PEEK[TEXT]")
    assert store.rows(store.status("INBOX").id)[1].flags == Flags.NONE
    assert b"FLAGS (\\Seen" in session.command(b"FETCH 3 RFC822")


@pytest.mark.parametrize("is_fatal", [False, True])
def test_a_disk_that_takes_no_flags_lets_mail_be_read(
    store: MemoryMailbox, monkeypatch: pytest.MonkeyPatch, is_fatal: bool
) -> None:
    # P7; P8: a broken disk is another matter
    def change_flags(*_: object, **__: object) -> None:
        raise TemporaryFailure("changing flags: the disk is full", status="3.1", fatal=is_fatal)

    session = BareSession(store).select()
    monkeypatch.setattr(store, "change_flags", change_flags)
    said = session.command(b"FETCH 1 (FLAGS BODY[TEXT])")
    if is_fatal:
        assert said.startswith(b"t NO [UNAVAILABLE]")
    else:
        assert said == (b"* 1 FETCH (FLAGS (\\Recent) BODY[TEXT] {5}\r\none\r\n)\r\nt OK Fetch completed\r\n")


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


@pytest.mark.parametrize("octets", [b"y", b"\0"], ids=["text", "NUL"])
def test_a_large_part_is_decoded_and_sent_in_pieces(octets: bytes) -> None:
    # RFC 3516 section 4.3; I11: of 5 MB never more than a piece is held
    store = MemoryMailbox()
    plain = octets * 5_000_000
    body = base64.encodebytes(plain).replace(b"\n", b"\r\n")
    store.add("INBOX", b"Content-Transfer-Encoding: base64\r\n\r\n" + body)
    session = BareSession(store).select()
    session.flushes.clear()
    out = session.command(b"FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])")
    head = b"* 1 FETCH (BINARY[1] %b{5000000}\r\n" % (b"~" if octets == b"\0" else b"")
    assert out == head + plain + b" BINARY.SIZE[1] 5000000)\r\nt OK Fetch completed\r\n"
    assert max(session.flushes) <= 2 * WHOLE_OCTETS
    assert all(file.closed for file in store.opened)


def test_ids_dates_and_previews(store: MemoryMailbox) -> None:
    # RFC 8474 section 5.3, RFC 8514 section 4.2, RFC 8970 section 3
    session = BareSession(store).select()
    assert session.command(b"FETCH 2 (EMAILID THREADID SAVEDATE PREVIEW)") == (
        b'* 2 FETCH (EMAILID (E1-2) THREADID (T1) SAVEDATE " 1-Jan-2026 00:00:00 +0000" PREVIEW "two")\r\n'
        b"t OK Fetch completed\r\n"
    )
    # What is not at hand is NIL to those who do not want to wait, and only to them.
    assert b"(UID 3 PREVIEW NIL)" in session.command(b"UID FETCH 3 (PREVIEW (LAZY))")
    assert b'(UID 3 PREVIEW "three" ENVELOPE (' in session.command(b"UID FETCH 3 (PREVIEW (LAZY) ENVELOPE)")
    store.add("INBOX", "Subject: x\r\n\r\nGr\u00fc\u00dfe\r\n".encode())
    session.command(b"NOOP")
    assert "PREVIEW {7}\r\nGr\u00fc\u00dfe)".encode() in session.command(b"FETCH 4 PREVIEW")


def test_details_of_messages_that_are_gone_are_left_out(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    store.lose("INBOX", 2)
    out = session.command(b"FETCH 1:3 (UID EMAILID)")
    assert out.count(b"EMAILID") == 2 and b"t NO [EXPUNGEISSUED]" in out


def test_an_enclosed_message_global_is_a_message_to_rev2_only(store: MemoryMailbox) -> None:
    # RFC 9051 section 9, media-message; RFC 3501 knows RFC822 alone
    store.add("INBOX", b"Content-Type: message/global\r\n\r\nSubject: \xc3\xa9\r\n\r\nx\r\n")
    session = BareSession(store).select()
    short = b'BODY ("message" "global" NIL NIL NIL "7BIT" 18)'
    assert short in session.command(b"FETCH 4 BODY")
    session.command(b"ENABLE IMAP4rev2")
    assert short[:-1] + b" (NIL " in session.command(b"FETCH 4 BODY")
    assert b"BODY[1.HEADER] {15}" in session.command(b"FETCH 4 BODY.PEEK[1.HEADER]")


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
