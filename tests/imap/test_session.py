"""One client from greeting to close."""

from __future__ import annotations

import pytest

from mailstack.imap.options import ImapOptions
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags
from tests.kit.bare_session import BareSession, fill, message
from tests.kit.memory_mailbox import MemoryMailbox


@pytest.fixture
def store() -> MemoryMailbox:
    return fill(MemoryMailbox(), "one", "two", "three")


def test_literal_minus_before_login_and_plus_after_it_never_both() -> None:
    # RFC 7888 section 5
    session = BareSession()
    before = session.take().split(b"]")[0].split()
    after = session.log_in().command(b"CAPABILITY").split(b"\r\n")[0].split()
    assert b"LITERAL-" in before and b"LITERAL+" not in before
    assert b"LITERAL+" in after and b"LITERAL-" not in after
    assert b"AUTH=PLAIN" not in after


def test_without_tls_no_mechanism_is_offered_and_no_password_taken() -> None:
    session = BareSession(tls=False, can_start_tls=True)
    greeting = session.take()
    assert b"STARTTLS" in greeting and b"LOGINDISABLED" in greeting and b"AUTH=" not in greeting
    assert b"t NO [PRIVACYREQUIRED]" in session.command(b"LOGIN a b")
    assert b"t NO [PRIVACYREQUIRED]" in session.command(b"AUTHENTICATE PLAIN AGEAYg==")


def test_after_starttls_nothing_said_before_counts() -> None:
    # L3
    session = BareSession(tls=False, can_start_tls=True)
    session.command(b'ID ("name" "x")')
    assert session.session.client_id == {"name": "x"}
    assert session.command(b"STARTTLS") == b"t OK Begin TLS negotiation now\r\n"
    assert session.started_tls and session.session.client_id == {}
    assert b"STARTTLS" not in session.command(b"CAPABILITY")
    session.log_in()


def test_octets_behind_starttls_end_the_connection() -> None:
    # L1
    session = BareSession(tls=False, can_start_tls=True)
    assert session.ask(b"a STARTTLS\r\nb NOOP\r\n") == b"* BYE Octets behind STARTTLS\r\n"
    assert session.closed and not session.started_tls


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (b'"a\\"b"', b'"c\\\\d"'),
        (b"{1024+}\r\n" + b"x" * 1024, b"y"),
        (b'"\xc3\xa4"', b'"\xff"'),
        (b'"%n"', b"{2+}\r\n\r\n"),
        (b'"\' OR 1=1"', b'""'),
        (b'"*)(uid=*"', b"x"),
    ],
)
def test_odd_names_and_passwords_fail_like_any_other(user: bytes, password: bytes) -> None:
    # I27, A6
    session = BareSession()
    expected = b"t NO [AUTHENTICATIONFAILED] Wrong user name or password\r\n"
    assert session.command(b"LOGIN " + user + b" " + password) == expected


def test_bad_commands_after_login_are_forgiven_when_good_ones_come_between() -> None:
    session = BareSession(options=ImapOptions(max_bad_after_login=3)).log_in()
    for _ in range(5):
        assert b"t BAD" in session.command(b"FOO")
        assert b"t BAD" in session.command(b"BAR")
        assert b"t OK" in session.command(b"NOOP")
    session.send(b"FOO\r\n" * 3)
    assert session.take().endswith(b"* BYE Too many invalid commands\r\n") and session.closed


def test_an_unknown_first_command_is_another_protocol() -> None:
    # T63
    for line in (
        b"EHLO client.example\r\n",
        b"USER bob\r\n",
        b"a FOO\r\n",
        b"\x00\x01\x02\r\n",
        b"\xff\xfe\r\n",
    ):
        session = BareSession()
        assert session.ask(line + b"b NOOP\r\n") == b"* BYE This is an IMAP server\r\n"


def test_a_stranger_who_says_nothing_is_sent_away() -> None:
    session = BareSession()
    session.command(b"NOOP")
    session.wake_at_deadline()
    assert session.take() == b"* BYE Log in faster, please\r\n" and session.closed
    assert session.time == 1060.0


def test_a_user_has_half_an_hour_from_the_last_line() -> None:
    session = BareSession().log_in()
    session.time += 1000
    session.command(b"NOOP")
    session.wake_at_deadline()
    assert session.time == 2000 + 1800
    assert session.take().startswith(b"* BYE")


def test_a_command_that_stops_in_the_middle_is_not_waited_for_so_long() -> None:
    session = BareSession().log_in()
    session.send(b"a APPEND INBOX {100+}\r\nabc")
    session.wake_at_deadline()
    assert session.time == 1300.0 and session.closed


# -- what the client is told ------------------------------------------------------------------


def test_new_messages_are_told_after_any_command(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    store.add("INBOX", message())
    out = session.command(b"NOOP")
    assert out == b"* 4 EXISTS\r\n* 4 RECENT\r\nt OK NOOP completed\r\n"


def test_expunges_wait_while_numbers_are_in_use(store: MemoryMailbox) -> None:
    # RFC 3501 section 7.4.1: not during FETCH, STORE, SEARCH.
    session = BareSession(store).select()
    store.lose("INBOX", 1)
    for command in (b"FETCH 2 UID", b"STORE 2 +FLAGS (\\Seen)", b"SEARCH ALL"):
        assert b"EXPUNGE" not in session.command(command)
    assert session.command(b"FETCH 3 UID") == b"* 3 FETCH (UID 3)\r\nt OK Fetch completed\r\n"
    assert session.command(b"UID FETCH 3 FLAGS").endswith(b"* 1 EXPUNGE\r\nt OK Fetch completed\r\n")
    assert session.command(b"FETCH 2 UID") == b"* 2 FETCH (UID 3)\r\nt OK Fetch completed\r\n"


def test_flags_changed_by_others_are_told(store: MemoryMailbox) -> None:
    session, other = BareSession(store).select(), BareSession(store).select()
    other.command(b"STORE 2 +FLAGS (\\Flagged Work)")
    out = session.command(b"NOOP").split(b"\r\n")
    assert out[0] == b"* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft Work)"
    assert out[2] == b"* 2 FETCH (FLAGS (\\Flagged \\Recent Work))"
    assert out[3].startswith(b"t OK")
    assert other.command(b"NOOP") == b"t OK NOOP completed\r\n"


def test_recent_belongs_to_one_session(store: MemoryMailbox) -> None:
    first, second = BareSession(store).select(), BareSession(store)
    second.log_in()
    assert b"* 0 RECENT" in second.command(b"SELECT INBOX")
    store.add("INBOX", message())
    assert b"* 1 RECENT" in second.command(b"NOOP")
    assert b"RECENT" in first.command(b"NOOP")
    assert b"\\Recent" not in first.command(b"FETCH 4 FLAGS")


def test_a_selected_folder_that_is_deleted_ends_the_session(store: MemoryMailbox) -> None:
    # RFC 2180 section 3.3
    store.create("gone")
    session = BareSession(store).select(b"gone")
    store.delete("gone")
    assert session.command(b"NOOP").startswith(b"* BYE") or session.closed
    other = BareSession(store).log_in()
    store.create("gone")
    other.command(b"SELECT gone")
    assert other.command(b"DELETE gone").endswith(b"t OK Delete completed\r\n")
    assert other.command(b"FETCH 1 FLAGS").startswith(b"t BAD")


def test_a_failed_select_leaves_nothing_selected(store: MemoryMailbox) -> None:
    # RFC 3501 section 6.3.1
    session = BareSession(store).select()
    assert b"t NO [NONEXISTENT]" in session.command(b"SELECT nowhere")
    assert b"t BAD" in session.command(b"FETCH 1 FLAGS")


def test_others_are_told_where_something_changed(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    session.ask(b"a APPEND Drafts {2+}\r\nab\r\n")
    for command in (b"STORE 1 +FLAGS (\\Deleted)", b"COPY 1 Sent", b"MOVE 2 Trash", b"EXPUNGE", b"CREATE x"):
        session.command(command)
    assert session.announced == ["Drafts", "INBOX", "Sent", "Trash", "INBOX", "INBOX", "x", ""]


def test_output_goes_out_in_pieces(store: MemoryMailbox) -> None:
    for _ in range(40):
        store.add("INBOX", message(body="x" * 30_000))
    session = BareSession(store).select()
    session.flushes.clear()
    out = session.command(b"FETCH 1:* BODY.PEEK[]")
    assert len(out) > 1_200_000
    assert max(session.flushes) < 400_000


# -- IDLE ---------------------------------------------------------------------------------


def test_idle_tells_changes_when_woken(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    assert session.ask(b"a IDLE\r\n") == b"+ idling\r\n"
    store.lose("INBOX", 1)
    session.time += 1
    session.poke()
    assert session.take() == b"* 1 EXPUNGE\r\n"
    assert session.ask(b"done\r\n") == b"a OK Idle completed\r\n"


def test_idle_waits_between_two_updates(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    session.ask(b"a IDLE\r\n")
    for _ in range(3):
        store.add("INBOX", message())
        session.poke()
    assert session.take().count(b"EXISTS") == 1
    session.wake_at_deadline()
    assert session.take().count(b"EXISTS") == 1
    assert session.time == pytest.approx(1000.2)


def test_idle_ends_with_done_and_nothing_else(store: MemoryMailbox) -> None:
    # I19
    session = BareSession(store).select()
    assert session.ask(b"a IDLE\r\nb NOOP\r\n") == b"+ idling\r\na BAD Expected DONE\r\n"
    assert session.ask(b"c IDLE\r\nDONE\r\nd NOOP\r\n").endswith(
        b"c OK Idle completed\r\nd OK NOOP completed\r\n"
    )
    assert session.ask(b"e IDLE\r\nDO") == b"+ idling\r\n"
    assert session.ask(b"NE\r\n") == b"e OK Idle completed\r\n"


def test_idle_without_a_folder_is_allowed() -> None:
    session = BareSession().log_in()
    assert session.ask(b"a IDLE\r\n") == b"+ idling\r\n"
    session.poke()
    assert session.ask(b"DONE\r\n") == b"a OK Idle completed\r\n"


def test_idle_says_still_here_and_ends_after_half_an_hour(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    session.ask(b"a IDLE\r\n")
    for _ in range(2):
        session.wake_at_deadline()
        assert session.take() == b"* OK Still here\r\n"
    session.wake_at_deadline()
    assert session.take().startswith(b"* BYE") and session.time == 2800


# -- APPEND --------------------------------------------------------------------------------


def test_a_large_message_goes_to_a_file_that_is_gone_afterwards(tmp_path: object) -> None:
    store = MemoryMailbox()
    session = BareSession(store).log_in()
    body = message(body="x" * 500_000)
    session.send(b"a APPEND INBOX {%d+}\r\n" % len(body), body[:400_000])
    assert len(session.spools) == 1
    assert session.ask(body[400_000:] + b"\r\n").startswith(b"a OK")
    assert session.spools == {} and store.data("INBOX", 1) == body


def test_a_lost_connection_stores_nothing(tmp_path: object) -> None:
    # I5
    store = MemoryMailbox()
    session = BareSession(store).log_in()
    session.send(b"a APPEND INBOX {500000+}\r\n", b"x" * 400_000)
    session.hang_up()
    assert session.closed and session.spools == {} and store.status("INBOX").messages == 0


def test_several_messages_are_all_stored_or_none() -> None:
    # I6, RFC 3502
    store = MemoryMailbox(quota=10)
    session = BareSession(store).log_in()
    assert b"a NO [OVERQUOTA]" in session.ask(b"a APPEND INBOX {6+}\r\nabcdef {6+}\r\nabcdef\r\n")
    assert store.status("INBOX").messages == 0
    out = session.ask(b"a APPEND INBOX (\\Seen) {3+}\r\nabc (\\Draft) {3+}\r\ndef\r\n")
    assert b"a OK [APPENDUID 1001 1:2]" in out
    assert [row.flags for row in store.rows(store.status("INBOX").id)] == [Flags.SEEN, Flags.DRAFT]


def test_a_disk_in_trouble_is_a_no_and_the_session_goes_on() -> None:
    class Full(MemoryMailbox):
        def append(self, name: str, messages: object) -> object:  # type: ignore[override]
            raise TemporaryFailure("writing the message: the disk is full", status="3.1")

    session = BareSession(Full()).log_in()
    out = session.ask(b"a APPEND INBOX {3+}\r\nabc\r\n")
    assert out == b"a NO [UNAVAILABLE] The server's disk is full; try again later\r\n"
    assert b"t OK" in session.command(b"NOOP")
