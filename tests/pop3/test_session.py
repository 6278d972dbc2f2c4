"""The session: one list for its whole life, deletions at its end, refusals with their codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from mailstack.model.asking import LoginRefused
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags, MailboxError, NewMessage
from mailstack.pop3.options import Pop3Options
from tests.kit.bare_pop3 import BarePop3
from tests.kit.bare_session import PASSWORD, USER, message
from tests.kit.memory_mailbox import MemoryMailbox


def mailbox(*subjects: str) -> MemoryMailbox:
    store = MemoryMailbox()
    for subject in subjects:
        store.add("INBOX", message(subject=subject))
    return store


def inbox(store: MemoryMailbox) -> list[int]:
    return [row.uid for row in store.rows(store.status("INBOX").id)]


def test_the_list_stays_as_it_was_at_the_login() -> None:
    store = mailbox("one", "two")
    first, second = BarePop3(store).log_in(), BarePop3(store).log_in()
    second.ask(b"DELE 1")
    second.ask(b"QUIT")
    store.add("INBOX", message(subject="three"))
    assert first.ask(b"STAT").startswith(b"+OK 2 ")
    assert first.ask(b"RETR 1") == b"-ERR The message was removed by another program\r\n"
    assert b"Subject: two\r\n" in first.ask(b"RETR 2")
    first.ask(b"DELE 1")
    assert first.ask(b"QUIT") == b"+OK Goodbye\r\n"
    assert inbox(store) == [2, 3]


@pytest.mark.parametrize("how", ["hang up", "silence", "end", "bad commands"])
def test_only_quit_deletes(how: str) -> None:
    # POP2
    store = mailbox("one")
    session = BarePop3(store).log_in()
    session.ask(b"DELE 1")
    match how:
        case "hang up":
            session.hang_up()
        case "silence":
            session.wake_at_deadline()
            assert session.take() == b""  # RFC 1939 section 3
        case "bad commands":
            session.ask(b"X\r\nX\r\nX\r\nX\r\nX")
        case "end":
            session.session.close()
            session.closed = True
    assert session.closed and inbox(store) == [1] and session.announced == []


def test_quit_tells_the_other_sessions_of_the_account() -> None:
    store = mailbox("one")
    store.add("Promotions", message())
    session = BarePop3(store).log_in()
    session.ask(b"DELE 1\r\nDELE 2\r\nQUIT")
    assert session.announced == ["INBOX", "Promotions"]


def test_the_one_list_can_be_switched_off() -> None:
    store = mailbox("one")
    store.add("Promotions", message())
    store.add("SocialNetworks", message())
    store.add("Spam", message())
    assert BarePop3(store).log_in().ask(b"STAT").startswith(b"+OK 3 ")
    options = Pop3Options(one_list=False)
    assert BarePop3(store, options=options).log_in().ask(b"STAT").startswith(b"+OK 1 ")


class Broken(MemoryMailbox):
    """A mailbox in trouble."""

    def __init__(self, error: Exception, where: str) -> None:
        super().__init__()
        self.add("INBOX", message())
        self._error = error
        self._where = where

    def open(self, folder_id: int, uid: int):  # type: ignore[no-untyped-def]
        if self._where == "open":
            raise self._error
        return super().open(folder_id, uid)

    def maildrop(self, names: Sequence[str]):  # type: ignore[no-untyped-def]
        if self._where == "maildrop":
            raise self._error
        return super().maildrop(names)

    def expunge(self, folder_id: int, uids: Sequence[int], *, only_marked: bool = False) -> list[int]:
        if self._where == "expunge":
            raise self._error
        return super().expunge(folder_id, uids, only_marked=only_marked)


FULL = TemporaryFailure("/secret/path: no space", status="3.1")


def test_a_message_that_cannot_be_read_is_said_to_be_so() -> None:
    session = BarePop3(Broken(MailboxError("UNAVAILABLE", "I/O error"), "open")).log_in()
    assert session.ask(b"RETR 1") == b"-ERR [SYS/PERM] The message cannot be read\r\n"
    assert session.ask(b"NOOP") == b"+OK\r\n"
    session = BarePop3(Broken(FULL, "open")).log_in()
    assert session.ask(b"TOP 1 0").startswith(b"-ERR [SYS/TEMP] The mailbox cannot be used right now")


def test_a_mailbox_that_cannot_be_opened_ends_the_session() -> None:
    session = BarePop3(Broken(FULL, "maildrop"))
    answer = session.ask(b"USER %b\r\nPASS %b" % (USER.encode(), PASSWORD.encode()))
    assert answer.endswith(b"-ERR [SYS/TEMP] The mailbox cannot be opened now; try again later\r\n")
    assert session.closed


def test_quit_says_when_not_everything_was_removed() -> None:
    session = BarePop3(Broken(FULL, "expunge")).log_in()
    session.ask(b"DELE 1")
    assert session.ask(b"QUIT") == b"-ERR [SYS/TEMP] Some deleted messages were not removed\r\n"
    assert session.closed


def test_a_folder_deleted_meanwhile_loses_its_messages_without_a_complaint() -> None:
    store = mailbox()
    store.create("News", special_use="")
    store.add("Promotions", message())
    session = BarePop3(store).log_in()
    session.ask(b"DELE 1")
    store.delete("Promotions")
    assert session.ask(b"QUIT") == b"+OK Goodbye\r\n"


class Half:
    """A file whose second half cannot be read."""

    size_octets = 600_014
    closed = False

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        if offset:
            raise MailboxError("UNAVAILABLE", "I/O error")
        return (b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 50_000)[:count]

    def close(self) -> None:
        self.closed = True


def test_a_message_that_becomes_unreadable_half_way_ends_without_its_dot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, file = mailbox("one"), Half()
    session = BarePop3(store).log_in()
    monkeypatch.setattr(store, "open", lambda folder_id, uid: file)
    answer = session.ask(b"RETR 1")
    assert session.closed and file.closed
    assert answer.startswith(b"+OK ") and len(answer) > 200_000 and not answer.endswith(b".\r\n")


def test_large_messages_go_out_piece_by_piece() -> None:
    store = MemoryMailbox()
    data = b"Subject: x\r\n\r\n" + b".123456789\r\n" * 400_000
    store.add("INBOX", data)
    session = BarePop3(store).log_in()
    session.flushes.clear()
    answer = session.ask(b"RETR 1")
    assert answer == b"+OK %d octets\r\n" % len(data) + data.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    assert max(session.flushes) < 600_000
    assert session.ask(b"TOP 1 200000").count(b"\n") == 200_000 + 4
    assert all(file.closed for file in store.opened)


def test_a_list_of_many_goes_out_piece_by_piece() -> None:
    store = MemoryMailbox()
    store.append("INBOX", [NewMessage(b"x: y\r\n\r\n")] * 10_000)
    session = BarePop3(store).log_in()
    session.flushes.clear()
    lines = session.ask(b"UIDL").split(b"\r\n")
    assert len(lines) == 10_003 and len(set(lines)) == 10_003
    assert len(session.flushes) > 2


@pytest.mark.parametrize(
    ("refusal", "answer", "closed"),
    [
        (
            LoginRefused("LIMIT", "This account has 3 POP3 sessions already", hang_up=True),
            b"-ERR [IN-USE] This account has 3 POP3 sessions already",
            False,
        ),
        (LoginRefused("UNAVAILABLE", "Later"), b"-ERR [SYS/TEMP] Later", False),
        (LoginRefused("UNAVAILABLE", "Later", hang_up=True), b"-ERR [SYS/TEMP] Later", True),
    ],
)
def test_refused_logins_say_why(refusal: LoginRefused, answer: bytes, closed: bool) -> None:
    # POP5
    session = BarePop3()
    session.refusal = refusal
    session.ask(b"USER " + USER.encode())
    assert session.ask(b"PASS " + PASSWORD.encode()) == answer + b"\r\n"
    assert session.closed is closed
    if not closed:
        session.refusal = None
        session.log_in()


@pytest.mark.parametrize("command", [b"USER x", b"PASS y", b"AUTH", b"AUTH PLAIN", b"AUTH PLAIN AGEAYg=="])
def test_without_tls_no_password_is_taken(command: bytes) -> None:
    session = BarePop3(tls=False, can_start_tls=True)
    assert session.ask(command) == b"-ERR Login needs TLS: use STLS or the TLS port\r\n"
    lines = session.ask(b"CAPA").split(b"\r\n")
    assert b"STLS" in lines and b"USER" not in lines and not any(b"SASL" in line for line in lines)


def test_stls_forgets_what_was_said_before() -> None:
    session = BarePop3(tls=False, can_start_tls=True)
    assert session.ask(b"STLS") == b"+OK Begin TLS negotiation\r\n" and session.started_tls
    lines = session.ask(b"CAPA").split(b"\r\n")
    assert b"STLS" not in lines and b"USER" in lines
    assert session.ask(b"STLS") == b"-ERR TLS is already active\r\n"
    session.log_in()


def test_what_was_sent_in_clear_behind_stls_is_never_executed() -> None:
    session = BarePop3(tls=False, can_start_tls=True)
    answer = session.ask(b"STLS\r\nUSER " + USER.encode())
    assert answer == b"-ERR Octets behind STLS\r\n"
    assert session.closed and not session.started_tls


def test_stls_is_refused_where_it_is_not_offered_and_after_utf8() -> None:
    assert BarePop3(tls=False).ask(b"STLS") == b"-ERR TLS is not available now\r\n"
    session = BarePop3(tls=False, can_start_tls=True)
    session.ask(b"UTF8")
    assert session.ask(b"STLS") == b"-ERR TLS is not available now\r\n"


def test_strangers_have_a_minute_and_users_ten_of_silence() -> None:
    stranger = BarePop3()
    stranger.time += 50
    stranger.ask(b"CAPA")
    stranger.wake_at_deadline()
    assert stranger.closed and stranger.time == 1060.0 and stranger.take() == b""
    user = BarePop3().log_in()
    user.time += 500
    user.ask(b"NOOP")
    user.wake_at_deadline()
    assert user.closed and user.time == 2100.0


def test_a_line_of_ten_kilobytes_is_refused_and_the_next_is_read() -> None:
    # POP6
    session = BarePop3()
    assert session.ask(b"x" * 10_000) == b"-ERR The line is too long\r\n"
    session.log_in()
    assert session.ask(b"RETR " + b"1" * 10_000) == b"-ERR The line is too long\r\n"
    assert session.ask(b"NOOP") == b"+OK\r\n"


def test_what_the_client_has_is_noted_once_it_goes_on() -> None:
    store = mailbox("one", "two", "three")
    session = BarePop3(store, days=7).log_in()
    assert b"\r\nEXPIRE 7\r\n" in session.ask(b"CAPA")
    session.ask(b"RETR 1")
    assert store.fetched == {}
    session.ask(b"TOP 2 0")
    session.ask(b"RETR 3")
    session.hang_up()
    folder = store.status("INBOX").id
    assert store.fetched == {(folder, 1): 1_767_225_600}
    BarePop3(mailbox("one")).log_in().ask(b"RETR 1\r\nNOOP")


def test_names_and_passwords_may_hold_spaces_and_umlauts() -> None:
    session = BarePop3()
    for wire in ("straße".encode(), "straße".encode("latin-1")):
        session.ask(b"USER " + wire)
        assert session.session.user == "straße"


@pytest.mark.parametrize(
    "look",
    [lambda session: session.ask(b"RETR 1"), lambda session: session.ask(b"TOP 1 1")],
)
def test_reading_changes_no_flag(look: Callable[[BarePop3], bytes]) -> None:
    store = mailbox("one")
    look(BarePop3(store).log_in())
    assert store.rows(store.status("INBOX").id)[0].flags == Flags.NONE
