"""APPEND and REPLACE: all or nothing, streamed, on real mailboxes."""

from __future__ import annotations

import base64
import random
import re
import tracemalloc
from pathlib import Path

import pytest

from mailstack.imap.options import ImapOptions
from mailstack.imap.upload import MEMORY_OCTETS
from mailstack.mailbox import MailStore
from mailstack.mailbox.store import Account
from mailstack.model.mailbox import NewMessage
from mailstack.model.quota import Limits
from tests.kit.bare_session import BareSession, message

LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * (MEMORY_OCTETS // 32) + b"\r\n"


@pytest.fixture
def session(account: Account, tmp_path: Path) -> BareSession:
    (tmp_path / "spool").mkdir()
    return BareSession(account, folder=tmp_path / "spool").log_in()


def literal(data: bytes, tilde: bytes = b"") -> bytes:
    return b"%b{%d+}\r\n%b" % (tilde, len(data), data)


def left_over(account: Account, session: BareSession) -> list[Path]:
    return [*(account.core.maildir / "tmp").iterdir(), *session.spools.values()]


def test_several_messages_are_stored_with_ascending_uids(account: Account, session: BareSession) -> None:
    # RFC 3502
    out = session.command(
        b"APPEND INBOX (\\Seen) " + literal(b"one") + b' "17-Jul-1996 02:44:25 -0700" ' + literal(LARGE)
        + b" " + literal(b"three")
    )  # fmt: skip
    assert re.search(rb"t OK \[APPENDUID \d+ 1:3\]", out)
    inbox = account.status("INBOX")
    rows = account.rows(inbox.id)
    assert [(row.uid, int(row.flags), row.size_octets) for row in rows] == [
        (1, 1, 3),
        (2, 0, len(LARGE)),
        (3, 0, 5),
    ]
    assert account.open(inbox.id, 2).read() == LARGE
    assert rows[1].internal_at == 837_596_665
    assert left_over(account, session) == []


@pytest.mark.parametrize(
    "last",
    [literal(b"a\0b"), literal(b""), literal(b"Subject: \0\r\n\r\n", b"~"), b'CATENATE (URL "/INBOX/;UID=9")',
     b"(\\Foo) " + literal(b"x"), b'"99-Jul-1996 02:44:25 -0700" ' + literal(b"x"), b"FOO"],
    ids=["nul", "empty", "nul in a header", "url", "flag", "date", "word"],
)  # fmt: skip
def test_one_that_cannot_be_stored_leaves_none(account: Account, session: BareSession, last: bytes) -> None:
    # I6: the third part is broken
    out = session.command(b"APPEND INBOX " + literal(b"one") + b" " + literal(LARGE) + b" " + last)
    assert re.search(rb"t (?:NO|BAD)", out)
    assert account.status("INBOX").messages == 0
    assert left_over(account, session) == []


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_connection_lost_in_the_middle_leaves_nothing(
    account: Account, session: BareSession, tenth: int
) -> None:
    # I5
    wire = b"t APPEND INBOX " + literal(LARGE) + b" " + literal(LARGE) + b"\r\n"
    session.send(wire[: len(wire) * tenth // 10])
    session.hang_up()
    assert session.closed
    assert account.status("INBOX").messages == 0
    assert left_over(account, session) == []


@pytest.mark.parametrize(("room", "stored"), [(20, 2), (19, 0)])
def test_a_full_mailbox_takes_all_or_nothing(
    account: Account, session: BareSession, room: int, stored: int
) -> None:
    # I8
    account.limits = Limits(octets=room)
    out = session.command(b"APPEND INBOX " + literal(b"0123456789") + b" " + literal(b"0123456789"))
    assert (b"t OK" if stored else b"t NO [OVERQUOTA]") in out
    assert account.status("INBOX").messages == stored
    assert left_over(account, session) == []


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"a\nb\r", b"a\r\nb "),
        (b"\n", b"\r\n"),
        (b"no header", b"no header"),
        (b"\r\n", b"\r\n"),
        (b"a\x01b", b"a\x01b"),
    ],
)
def test_line_ends_are_made_clean(account: Account, session: BareSession, sent: bytes, stored: bytes) -> None:
    # I7
    assert b"t OK" in session.command(b"APPEND INBOX " + literal(sent))
    assert account.open(account.status("INBOX").id, 1).read() == stored


@pytest.mark.parametrize(("octets", "taken"), [(1000, True), (1001, False)])
def test_the_limit_is_of_each_message_and_of_what_is_put_together(
    account: Account, tmp_path: Path, octets: int, taken: bool
) -> None:
    # RFC 7889; I4
    session = BareSession(account, options=ImapOptions(append_octets=1000), folder=tmp_path).log_in()
    first = octets // 2
    pieces = b"TEXT " + literal(b"x" * first) + b" TEXT " + literal(b"y" * (octets - first))
    out = session.command(b"APPEND INBOX CATENATE (" + pieces + b")")
    assert (b"t OK" if taken else b"t NO [TOOBIG]") in out
    out = session.command(b"APPEND INBOX " + literal(b"x" * 1000) + b" " + literal(b"y" * octets))
    assert (b"t OK" if taken else b"t NO [TOOBIG]") in out
    assert account.status("INBOX").messages == 3 * taken


def test_large_pieces_are_put_together_without_holding_them(account: Account, session: BareSession) -> None:
    big = b"Subject: big\r\n\r\n" + random.Random(4469).randbytes(1_000).hex().encode() * 4_000
    account.append("INBOX", [NewMessage(big)])
    tracemalloc.start()
    try:
        out = session.command(
            b"APPEND INBOX CATENATE (TEXT " + literal(b"A: b\r\n") + b' URL "/INBOX/;UID=1" URL '
            + literal(b"/INBOX/;UID=1/;SECTION=TEXT") + b")"
        )  # fmt: skip
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert b"t OK" in out and peak < 4_000_000 < len(big)
    assert account.open(account.status("INBOX").id, 2).read() == b"A: b\r\n" + big + big[16:]


def test_a_large_binary_message_is_stored_encoded(account: Account, session: BareSession) -> None:
    # RFC 3516 section 4.4
    octets = random.Random(3516).randbytes(2 * MEMORY_OCTETS)
    sent = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n" + octets
    assert b"t OK" in session.command(b"APPEND INBOX " + literal(sent, b"~"))
    stored = account.open(account.status("INBOX").id, 1).read()
    head, _, body = stored.partition(b"\r\n\r\n")
    assert b"base64" in head and base64.b64decode(body) == octets
    assert left_over(account, session) == []


def test_urls_of_one_command_are_counted(session: BareSession) -> None:
    urls = b" ".join([b'URL "/INBOX/;UID=1"'] * 101)
    assert b"t NO [LIMIT]" in session.command(b"APPEND INBOX CATENATE (" + urls + b")")


def test_another_users_mail_is_no_url_of_ours(mail: MailStore, session: BareSession) -> None:
    from mailstack.model.address import Address

    mail.account(Address.parse("bob@example.test")).append("INBOX", [NewMessage(message(subject="secret"))])
    for url in (b"imap://bob%40example.test@mail.example.test/INBOX/;UID=1", b"/../../bob/INBOX/;UID=1",
                b"/INBOX/;UID=1"):  # fmt: skip
        assert b"t NO [BADURL" in session.command(b'APPEND INBOX CATENATE (URL "' + url + b'")')


def test_replace_needs_room_for_the_difference_only(account: Account, session: BareSession) -> None:
    # RFC 8508 section 3.4
    account.append("Drafts", [NewMessage(b"0123456789")])
    account.limits = Limits(octets=12)
    assert b"t OK" in session.command(b"SELECT Drafts")
    assert b"t OK" in session.command(b"REPLACE 1 Drafts " + literal(b"0123456789ab"))
    out = session.command(b"REPLACE 1 Drafts " + literal(b"0123456789abc"))
    assert b"t NO [OVERQUOTA]" in out and b"EXPUNGE" not in out
    assert account.status("Drafts").messages == 1


def test_what_another_client_removed_cannot_be_replaced(account: Account, session: BareSession) -> None:
    account.append("Drafts", [NewMessage(b"old")])
    assert b"t OK" in session.command(b"SELECT Drafts")
    account.expunge(account.status("Drafts").id, [1])
    out = session.command(b"UID REPLACE 1 Drafts " + literal(b"new"))
    assert b"t NO [EXPUNGEISSUED]" in out
    assert account.status("Drafts").messages == 0
    assert left_over(account, session) == []
