"""What real clients do that the texts do not foresee, and ID (RFC 2971)."""

from __future__ import annotations

import pytest

from mailstack.imap import quirks
from tests.kit.bare_session import PASSWORD, USER, BareSession, message
from tests.kit.memory_mailbox import MemoryMailbox

OFFICE = (
    b'ID ("name" "Microsoft Office 365" "version" "15.20.9160.4" "vendor" "Microsoft Corporation"'
    b' "support-url" "https://support.microsoft.com/")'
)


# -- keyed by ID ----------------------------------------------------------------------------


def test_office_365_is_not_offered_uidonly_and_cannot_enable_it() -> None:
    session = BareSession()
    assert b"UIDONLY" in session.command(b"CAPABILITY")
    session.command(OFFICE)
    assert b"UIDONLY" not in session.command(b"CAPABILITY")
    login = session.command(f'LOGIN "{USER}" "{PASSWORD}"'.encode())
    assert b"CAPABILITY" in login and b"UIDONLY" not in login and b"NOTIFY" in login
    assert session.command(b"ENABLE CONDSTORE UIDONLY").startswith(b"* ENABLED CONDSTORE\r\n")
    session.command(b"SELECT INBOX")
    assert session.command(b"FETCH 1:* FLAGS").startswith(b"t OK")


@pytest.mark.parametrize(
    "fields", [{}, {"name": ""}, {"name": "Thunderbird"}, {"vendor": "Microsoft Office 365"}]
)
def test_others_lose_nothing(fields: dict[str, str]) -> None:
    assert quirks.hidden(fields) == frozenset()


def test_every_row_says_why_in_the_documentation() -> None:
    for quirk in quirks.QUIRKS:
        assert quirk.name == quirk.name.lower() and quirk.hidden and quirk.why


# -- for everybody ---------------------------------------------------------------------------


def test_idle_is_announced_before_login() -> None:
    # Outlook decides then whether it will use it.
    assert b" IDLE " in BareSession().command(b"CAPABILITY")


def test_idle_without_a_selected_mailbox_is_no_error() -> None:
    # Outlook
    session = BareSession().log_in()
    assert session.ask(b"i IDLE\r\n") == b"+ idling\r\n"
    assert session.ask(b"DONE\r\n").startswith(b"i OK")


def test_commands_in_the_same_packet_as_done_are_carried_out() -> None:
    # Apple Mail since iOS 18
    session = BareSession().select()
    session.ask(b"i IDLE\r\n")
    out = session.ask(b"DONE\r\na NOOP\r\nb STATUS Sent (MESSAGES)\r\nc IDLE\r\n")
    assert [line[:4] for line in out.split(b"\r\n") if line[:1] in b"iabc+" and line] == [
        b"i OK",
        b"a OK",
        b"b OK",
        b"+ id",
    ]


def test_select_takes_condstore_and_qresync_together() -> None:
    # eM Client 11
    session = BareSession().log_in()
    session.command(b"ENABLE QRESYNC CONDSTORE")
    assert b"t OK [READ-WRITE]" in session.command(b"SELECT INBOX (CONDSTORE QRESYNC (1 1))")


@pytest.mark.parametrize("nothing", [b"NIL", b"nil", b'"NIL"', b"()"])
def test_id_with_nothing_to_say_is_taken_in_every_spelling(nothing: bytes) -> None:
    # The string "NIL": JavaMail.
    session = BareSession()
    out = session.command(b"ID " + nothing)
    assert out == b'* ID ("name" "mailstack")\r\nt OK ID completed\r\n' and not session.identified


# -- ID itself ------------------------------------------------------------------------------


def test_the_log_hears_which_program_it_is_and_no_more() -> None:
    session = BareSession()
    session.command(
        b'ID ("Name" "x%b" "os" {7}\r\nL\x7f\xc3\xa4\ni\r "date" "today" "version" "1" "vendor" NIL)'
        % (b"y" * 500)
    )
    session.command(b'ID ("name" "iPhone Mail" "os-version" "18.6.2 (22G100)")')
    assert session.identified[-1] == "iPhone Mail 18.6.2 (22G100)"
    assert all(len(text) < 400 and text.isascii() and text.isprintable() for text in session.identified)


@pytest.mark.parametrize(
    "wrong",
    [
        b"ID",
        b"ID x",
        b'ID ("a")',
        b'ID ("a" "b"',
        b'ID ("a" "b") x',
        b'ID ("%b" "b")' % (b"a" * 31),
        b'ID ("a" "%b")' % (b"b" * 1025),
        b"ID (" + b" ".join(b'"f%d" "v"' % number for number in range(31)) + b")",
        b"ID (" + b" ".join(b'"f%d" "v"' % number for number in range(500)) + b")",
    ],
)
def test_what_is_too_much_for_id_is_bad(wrong: bytes) -> None:
    # I22
    session = BareSession()
    assert session.command(wrong).startswith(b"t BAD")
    assert not session.identified


@pytest.mark.parametrize("command", [b"ENABLE", b"NOTIFY SET (mailboxes ("])
def test_ten_thousand_words_are_bad(command: bytes) -> None:
    # I22
    session = BareSession(MemoryMailbox()).log_in()
    out = session.command(command + b" " + b" ".join([b"X"] * 10_000))
    assert out.startswith(b"t BAD")
    assert session.command(b"NOOP").startswith(b"t OK")


def test_a_message_in_the_meantime_is_still_told() -> None:
    store = MemoryMailbox()
    session = BareSession(store).select()
    session.command(OFFICE)
    store.add("INBOX", message())
    assert b"* 1 EXISTS" in session.command(b"NOOP")
