"""The session: order of commands, transactions, logins, counters."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.model.secret import Proof, Verifier
from mailstack.sasl import scram
from mailstack.sasl.exchange import Offer
from tests.kit.bare_smtp import BareSmtp
from tests.kit.scram_client import ScramClient


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def mx(**options: object) -> BareSmtp:
    session = BareSmtp(**options)
    session.ask("EHLO client.example")
    return session


def submission(
    login: str = "alice@example.test", password: str = "a$1 geheim", **options: object
) -> BareSmtp:
    session = BareSmtp("submissions", **options)
    session.ask("EHLO client.example")
    if login:
        assert session.ask(f"AUTH PLAIN {b64(chr(0) + login + chr(0) + password)}")[:3] == "235"
    return session


def send(
    session: BareSmtp, to: list[str], sender: str = "", message: str = "From: alice@example.test\r\n"
) -> str:
    session.ask(f"MAIL FROM:<{sender}>")
    for recipient in to:
        session.ask(f"RCPT TO:<{recipient}>")
    if (said := session.ask("DATA"))[:3] != "354":
        return said
    return session.ask(message + ".")


# -- order ---------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["MAIL FROM:<a@b>", "RCPT TO:<bob@example.test>", "DATA", "STARTTLS"])
@pytest.mark.parametrize("name", ["mx", "submission"])
def test_nothing_of_a_mail_comes_before_hello(line: str, name: str) -> None:
    # S20
    assert BareSmtp(name).ask(line)[:9] == "503 5.5.1"


def test_a_mail_goes_its_way() -> None:
    session = mx()
    assert session.ask("MAIL FROM:<a@b.test>") == "250 2.1.0 Sender ok"
    assert session.ask("RCPT TO:<bob@example.test>")[:9] == "250 2.1.5"
    assert session.ask("DATA")[:4] == "354 "
    assert session.ask("Subject: x\r\n\r\nhello\r\n.") == "250 2.0.0 Ok id=id1"
    envelope, data, _ = session.acceptor.taken[0]
    assert data == b"Subject: x\r\n\r\nhello\r\n"
    assert envelope.sender == "a@b.test"
    assert [str(r.address) for r in envelope.recipients] == ["bob@example.test"]
    assert envelope.client.helo == "client.example"
    assert session.ask("DATA")[:3] == "503"
    assert session.ask("QUIT")[:3] == "221"
    assert session.is_closed()


@pytest.mark.parametrize("line", ["RSET", "EHLO again.example", "HELO again.example"])
def test_reset_and_a_second_hello_forget_the_transaction(line: str) -> None:
    # S21; RFC 5321 section 4.1.4
    session = mx()
    session.ask("MAIL FROM:<a@b.test>")
    session.ask("RCPT TO:<bob@example.test>")
    assert session.ask(line)[:3] == "250"
    assert session.ask("RCPT TO:<bob@example.test>")[:3] == "503"
    assert session.ask("MAIL FROM:<a@b.test>")[:3] == "250"


def test_a_second_mail_and_data_without_recipients_are_out_of_order() -> None:
    session = mx()
    session.ask("MAIL FROM:<a@b.test>")
    assert session.ask("MAIL FROM:<a@b.test>")[:9] == "503 5.5.1"
    assert session.ask("DATA")[:9] == "503 5.5.1"
    session.ask("RCPT TO:<nobody@example.test>")
    assert session.ask("DATA")[:9] == "554 5.5.1"
    assert session.ask("RCPT TO:<bob@example.test>")[:3] == "250"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("EHLO", "501 5.5.4"),
        ("EHLO " + "x" * 256, "501 5.5.4"),
        ("HELO", "501 5.5.4"),
        ("DATA now", "501 5.5.4"),
        ("RSET all", "501 5.5.4"),
        ("NOOP anything at all", "250 2.0.0"),
        ("VRFY bob", "252 2.1.5"),
        ("VRFY nobody", "252 2.1.5"),
        ("EXPN staff", "502 5.5.1"),
        ("BDAT 0 LAST", "503 5.5.1"),
        ("ETRN example.test", "502 5.5.1"),
        ("HELP", "214 2.0.0"),
        ("FROBNICATE", "500 5.5.2"),
        ("", "500 5.5.2"),
        ("XCLIENT ADDR=1.2.3.4", "500 5.5.2"),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2", "500 5.5.2"),
        ("AUTH PLAIN AGEAYg==", "503 5.5.1"),
    ],
)
def test_single_commands_on_port_25(line: str, said: str) -> None:
    # S33, S37, S49, A1
    assert mx().ask(line)[:9] == said


@pytest.mark.parametrize("helo", ["[127.0.0.1]", "mx.example.test", "localhost", "a;b", "_under_score_"])
def test_odd_names_are_taken_and_kept_for_people(helo: str) -> None:
    # S22
    session = BareSmtp()
    assert session.ask(f"EHLO {helo}")[:3] == "250"
    assert session.session.client.helo == helo


def test_a_server_has_a_name_of_one_word_and_a_printer_any() -> None:
    # S22
    for verb in ("HELO", "EHLO"):
        assert BareSmtp().ask(f"{verb} two words")[:9] == "501 5.5.4"
        assert BareSmtp("submissions").ask(f"{verb} two words")[:3] == "250"


def test_a_recipient_that_is_no_address_is_found_in_the_log() -> None:
    session = mx()
    session.ask("MAIL FROM:<a@b.test>")
    assert session.ask("RCPT TO:<bob@@example.test>")[:3] == "501"
    refusal = session.says[-1].refusal
    assert refusal is not None
    assert (refusal.at, refusal.check, refusal.to) == ("rcpt", "syntax", "bob@@example.test")


def test_a_login_the_client_breaks_off_is_no_error_of_grammar() -> None:
    session = submission("")
    session.ask("AUTH PLAIN")
    assert session.ask("*") == "501 5.5.2 Authentication cancelled"
    refusal = session.says[-1].refusal
    assert refusal is not None
    assert (refusal.at, refusal.check) == ("auth", "cancelled")


def test_ehlo_announces_what_is_carried_out() -> None:
    session = BareSmtp()
    session._lines.clear()
    session.send(b"EHLO x\r\n")
    assert [line.decode() for line in session._lines] == [
        "250-mx.example.test",
        "250-PIPELINING",
        "250-SIZE 52428800",
        "250-8BITMIME",
        "250-ENHANCEDSTATUSCODES",
        "250-CHUNKING",
        "250-BINARYMIME",
        "250-SMTPUTF8",
        "250-DSN",
        "250-STARTTLS",
        "250-LIMITS MAILMAX=100 RCPTMAX=100",
        "250 HELP",
    ]


def test_what_is_switched_off_is_neither_announced_nor_taken() -> None:
    session = BareSmtp("submissions", chunking=False, smtputf8=False, dsn=False, requiretls=False)
    session._lines.clear()
    session.send(b"EHLO x\r\n")
    said = b"\n".join(session._lines)
    assert not any(word in said for word in (b"CHUNK", b"BINARY", b"UTF8", b"DSN", b"REQUIRETLS"))
    session = mx(chunking=False, smtputf8=False, dsn=False, requiretls=False)
    for word in ("BODY=BINARYMIME", "SMTPUTF8", "RET=FULL", "REQUIRETLS"):
        assert session.ask(f"MAIL FROM:<a@b.test> {word}")[:3] in ("501", "555")
    assert session.ask("BDAT 0 LAST")[:9] == "502 5.5.1"


def test_requiretls_is_announced_and_taken_under_tls_only() -> None:
    # RFC 8689 section 2
    session = mx()
    assert session.ask("MAIL FROM:<a@b.test> REQUIRETLS")[:9] == "555 5.5.4"
    session.ask("STARTTLS")
    session.send(b"EHLO x\r\n")
    assert b"250-REQUIRETLS" in session._lines
    assert session.ask("MAIL FROM:<a@b.test> REQUIRETLS=1")[:9] == "501 5.5.4"
    assert session.ask("MAIL FROM:<a@b.test> REQUIRETLS")[:3] == "250"
    session.ask("RCPT TO:<bob@example.test>")
    session.ask("DATA")
    assert session.ask("a: b\r\n.")[:3] == "250"
    assert session.acceptor.taken[0][0].requiretls


def test_login_is_announced_on_submission_under_tls_only() -> None:
    plain, secure = BareSmtp("submission"), BareSmtp("submissions")
    plain.send(b"EHLO x\r\n")
    secure.send(b"EHLO x\r\n")
    assert b"250-STARTTLS" in plain._lines
    assert not any(b"AUTH" in line for line in plain._lines)
    assert b"250-AUTH PLAIN LOGIN" in secure._lines
    assert b"250-AUTH=LOGIN PLAIN" in secure._lines
    assert b"250-STARTTLS" not in secure._lines


def test_helo_is_answered_in_one_line() -> None:
    session = BareSmtp()
    session._lines.clear()
    session.send(b"HELO x\r\n")
    assert session._lines == [b"250 mx.example.test"]


# -- size and recipients -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "said"),
    [("52428800", "250 2.1.0"), ("52428801", "552 5.3.4"), ("-1", "501 5.5.4"), ("abc", "501 5.5.4")],
)
def test_a_declared_size_is_compared_with_the_limit(size: str, said: str) -> None:
    # S12
    assert mx().ask(f"MAIL FROM:<a@b.test> SIZE={size}")[:9] == said


def test_a_free_account_has_its_own_size() -> None:
    session = submission("carol@example.test", "carol-password")
    assert session.ask("MAIL FROM:<carol@example.test> SIZE=26214401")[:9] == "552 5.3.4"


def test_the_101st_recipient_from_outside_waits_and_the_first_100_get_the_mail() -> None:
    # S8
    session = mx()
    session.ask("MAIL FROM:<a@b.test>")
    said = [session.ask(f"RCPT TO:<any{n}@example.test>")[:9] for n in range(102)]
    assert said == ["250 2.1.5"] * 100 + ["452 4.5.3"] * 2
    session.ask("DATA")
    assert session.ask("x: y\r\n.")[:3] == "250"
    envelope = session.acceptor.taken[0][0]
    assert [r.number for r in envelope.recipients] == list(range(1, 101))


@pytest.mark.parametrize(
    ("login", "password", "limit"),
    [
        ("alice@example.test", "a$1 geheim", 100),
        ("carol@example.test", "carol-password", 10),
        ("printer@example.test", "printer-pw", 10),
    ],
)
def test_an_account_above_its_limit_sends_to_nobody(login: str, password: str, limit: int) -> None:
    # S9, S10
    session = submission(login, password)
    session.ask(f"MAIL FROM:<{login}>")
    for n in range(limit):
        assert session.ask(f"RCPT TO:<u{n}@elsewhere.test>")[:3] == "250"
    assert session.ask("RCPT TO:<U3@elsewhere.test>")[:3] == "250"
    said = session.ask("RCPT TO:<more@elsewhere.test>")
    assert said == f"550 5.5.3 this account may address at most {limit} recipients per message"
    assert session.ask("DATA")[:9] == "554 5.5.3"
    assert session.acceptor.taken == []
    assert send(session, ["u@elsewhere.test"], sender=login)[:3] == "250"


def test_duplicate_recipients_count_once() -> None:
    # S10
    session = submission("carol@example.test", "carol-password")
    session.ask("MAIL FROM:<carol@example.test>")
    for n in range(50):
        assert session.ask(f"RCPT TO:<u{n % 10}@elsewhere.test>")[:3] == "250"
    session.ask("DATA")
    session.ask("From: carol@example.test\r\n.")
    assert len(session.acceptor.taken[0][0].recipients) == 10


# -- relaying ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "<user%other.org@example.test>",
        "<other!user@example.test>",
        "<@example.test,@x:user@other>",
        '<"user@other"@example.test>',
        "<user@[192.0.2.99]>",
    ],
)
def test_no_syntax_relays(path: str) -> None:
    # S25, T7
    session = mx()
    session.ask("MAIL FROM:<a@b.test>")
    assert session.ask(f"RCPT TO:{path}")[:9] in ("550 5.1.1", "550 5.7.1")


@pytest.mark.parametrize("path", ["<postmaster>", "<PostMaster>", "<Postmaster@example.test>"])
def test_postmaster_is_always_there(path: str) -> None:
    # S26; RFC 5321 section 4.5.1
    session = mx()
    session.ask("MAIL FROM:<>")
    assert session.ask(f"RCPT TO:{path}")[:3] == "250"


# -- login -----------------------------------------------------------------------------------


def test_mail_on_submission_wants_a_login() -> None:
    assert submission("").ask("MAIL FROM:<alice@example.test>")[:9] == "530 5.7.0"


@pytest.mark.parametrize("line", ["AUTH PLAIN AGEAYg==", "MAIL FROM:<a@b>", "RSET", "VRFY x", "AUTH LOGIN"])
def test_before_tls_a_submission_port_wants_tls(line: str) -> None:
    # A1; RFC 3207 section 4
    session = BareSmtp("submission")
    session.ask("EHLO x")
    assert session.ask(line)[:9] == "530 5.7.0"


@pytest.mark.parametrize(
    "lines",
    [
        [f"AUTH PLAIN {b64(chr(0) + 'alice@example.test' + chr(0) + 'a$1 geheim')}"],
        ["auth plain", b64("\0alice@example.test\0a$1 geheim")],
        [f"AUTH LOGIN {b64('alice@example.test')}", b64("a$1 geheim")],
        ["AUTH LOGIN", b64("alice@example.test"), b64("a$1 geheim")],
        [f"AUTH PLAIN {b64('alice@example.test' + chr(0) + 'alice@example.test' + chr(0) + 'a$1 geheim')}"],
    ],
    ids=["plain-ir", "plain", "login-ir", "login", "plain-authzid"],
)
def test_every_usual_way_to_log_in_works(lines: list[str]) -> None:
    session = BareSmtp("submissions")
    session.ask("EHLO x")
    *prompts, last = lines
    for line in prompts:
        assert session.ask(line)[:4] == "334 "
    assert session.ask(last) == "235 2.7.0 You are logged in"
    assert session.session.client.login == "alice@example.test"


def test_login_prompts_are_the_ones_old_printers_know() -> None:
    session = BareSmtp("submissions")
    session.ask("EHLO x")
    assert session.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert session.ask(b64("x")) == "334 UGFzc3dvcmQ6"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["AUTH PLAIN !!!"], "501 5.5.2"),
        (["AUTH PLAIN ="], "501 5.5.2"),
        ([f"AUTH PLAIN {b64('no nul')}"], "501 5.5.2"),
        ([f"AUTH PLAIN {b64(chr(0) * 3)}"], "501 5.5.2"),
        ([f"AUTH PLAIN {b64(chr(0) + chr(0) + 'x')}"], "501 5.5.2"),
        ([f"AUTH PLAIN {b64(chr(0) + 'x' + chr(0))}"], "501 5.5.2"),
        ([f"AUTH PLAIN {b64(chr(0) + 'a' + chr(0) + 'b')} garbage"], "501 5.5.2"),
        (["AUTH LOGIN", "*"], "501 5.5.2"),
        (["AUTH LOGIN", b64("x"), "*"], "501 5.5.2"),
        (["AUTH PLAIN", "*"], "501 5.5.2"),
        (["AUTH LOGIN", "EHLO x"], "501 5.5.2"),
        (["AUTH"], "501 5.5.4"),
        (["AUTH XOAUTH2 abc"], "504 5.5.4"),
        (["AUTH CRAM-MD5"], "504 5.5.4"),
    ],
    ids=repr,
)
def test_broken_logins_leave_a_clean_state(lines: list[str], said: str) -> None:
    # A2, A3, A18, T62
    session = submission("")
    for line in lines[:-1]:
        session.ask(line)
    assert session.ask(lines[-1])[:9] == said
    assert session.ask("NOOP")[:3] == "250"
    assert (
        session.ask(f"AUTH PLAIN {b64(chr(0) + 'alice@example.test' + chr(0) + 'a$1 geheim')}")[:3] == "235"
    )


def test_a_login_is_made_once_and_outside_transactions() -> None:
    # A4
    session = submission()
    assert session.ask("AUTH LOGIN")[:9] == "503 5.5.1"
    session.ask("MAIL FROM:<alice@example.test>")
    assert session.ask("AUTH LOGIN")[:9] == "503 5.5.1"


@pytest.mark.parametrize(
    "login",
    [
        "nobody@example.test",
        "alice",
        "' OR 1=1",
        "*)(uid=*",
        "%n",
        "a\r\nb",
        "ALICE@example.test ",
        "x" * 5000,
    ],
)
def test_unknown_names_and_wrong_passwords_sound_the_same(login: str) -> None:
    # A6, A11, T81
    wrong = submission("").ask(f"AUTH PLAIN {b64(chr(0) + 'alice@example.test' + chr(0) + 'wrong')}")
    assert submission("").ask(f"AUTH PLAIN {b64(chr(0) + login + chr(0) + 'wrong')}") == wrong


def test_the_third_failed_login_ends_the_connection() -> None:
    # limits, section 7
    session = submission("")
    line = f"AUTH PLAIN {b64(chr(0) + 'alice@example.test' + chr(0) + 'wrong')}"
    assert session.ask(line)[:3] == "535"
    assert session.ask(line)[:3] == "535"
    session._lines.clear()
    session.send(line.encode() + b"\r\n")
    assert [said[:9] for said in session._lines] == [b"535 5.7.8", b"421 4.7.0"]
    session._lines.clear()
    assert session.is_closed()


def test_after_login_the_sender_must_be_the_login() -> None:
    session = submission()
    said = session.ask("MAIL FROM:<bob@example.test>")
    assert said[:9] == "550 5.7.1"
    assert "alice@example.test" in said
    assert session.ask("MAIL FROM:<>")[:3] == "250"


def test_a_device_sends_as_itself_whatever_it_says() -> None:
    session = submission("printer@example.test", "printer-pw")
    assert session.ask("MAIL FROM: scan@localhost")[:3] == "250"
    session.ask("RCPT TO: bob@example.test")
    session.ask("DATA")
    session.ask("Subject: scan\r\n.")
    assert session.acceptor.taken[0][0].sender == "printer@example.test"


# -- TLS -------------------------------------------------------------------------------------


def test_tls_forgets_what_was_said_in_clear() -> None:
    # L3; RFC 3207 section 4.2
    session = mx()
    assert session.ask("STARTTLS")[:9] == "220 2.0.0"
    assert session.session.client.tls
    assert session.session.client.helo == ""
    assert session.ask("MAIL FROM:<a@b.test>")[:9] == "503 5.5.1"
    assert session.ask("STARTTLS")[:9] == "503 5.5.1"


def test_tls_in_a_transaction_or_with_an_argument_is_refused() -> None:
    # L2
    session = mx()
    assert session.ask("STARTTLS now")[:9] == "501 5.5.4"
    session.ask("MAIL FROM:<a@b.test>")
    assert session.ask("STARTTLS")[:9] == "503 5.5.1"
    assert mx(starttls=False).ask("STARTTLS")[:9] == "454 4.7.0"
    assert submission().ask("STARTTLS")[:9] == "503 5.5.1"


@pytest.mark.parametrize(
    "line", [b"STARTTLS\r\nMAIL FROM:<x@y>\r\n", b"EHLO again\r\nMAIL FROM:<x@y>\r\n", b"DATA\r\nQUIT\r\n"]
)
def test_what_must_be_last_in_a_group_is_last(line: bytes) -> None:
    # L1, S34, T2, T3; RFC 2920 section 3.1
    session = mx()
    if line.startswith(b"DATA"):
        session.ask("MAIL FROM:<a@b.test>")
        session.ask("RCPT TO:<bob@example.test>")
    session._lines.clear()
    session.send(line)
    assert [said[:9] for said in session._lines] == [b"554 5.5.0"]
    session._lines.clear()
    assert session.is_closed()
    assert not session.session.client.tls


def test_pipelined_commands_are_answered_in_order() -> None:
    # RFC 2920
    session = mx()
    session._lines.clear()
    session.send(
        b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n"
    )
    assert [said[:3] for said in session._lines] == [b"250", b"250", b"550", b"354"]


# -- counters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["NOOP", "RSET", "VRFY bob", "HELP", "EXPN x", "EHLO x"])
def test_the_51st_useless_command_ends_the_session(line: str) -> None:
    # S18
    session = mx()
    said = [session.ask(line)[:3] for _ in range(51)]
    assert said[-1] == "421"
    assert "421" not in said[:-1]
    assert session.is_closed()


def test_errors_are_delayed_from_the_sixth_and_end_at_twenty() -> None:
    # S19
    session = mx()
    session.ask("MAIL FROM:<a@b.test>")
    session.ask("RCPT TO:<bob@example.test>")
    session.says.clear()
    for _ in range(20):
        session.ask("FROB")
    assert [say.delay_s for say in session.says] == [0.0] * 5 + [1.0] * 15
    assert [say.close for say in session.says] == [False] * 19 + [True]
    assert session.is_closed()


def test_errors_without_any_good_recipient_end_at_ten() -> None:
    session = mx()
    for _ in range(10):
        assert not session._closed
        session.ask("FROB")
    assert session.is_closed()


def test_guessing_recipients_ends_at_twenty() -> None:
    # S44, T12
    session = mx()
    session.ask("MAIL FROM:<a@b.test>")
    session.ask("RCPT TO:<bob@example.test>")
    said = [session.ask(f"RCPT TO:<no{n}@example.test>") for n in range(20)]
    assert {line[:9] for line in said[:-1]} == {"550 5.1.1"}
    assert said[-1][:3] == "421"
    assert session.says[-1].delay_s == 1.0


def test_refused_messages_and_too_many_recipients_are_logged_with_a_word() -> None:
    session = mx(mx_recipients=100)
    session.ask("MAIL FROM:<a@b.test>")
    session.ask("RCPT TO:<nobody@example.test>")
    refusal = session.says[-1].refusal
    assert refusal is not None
    assert (refusal.at, refusal.check, refusal.to) == ("rcpt", "unknown_user", "nobody@example.test")


def test_a_session_takes_so_many_messages() -> None:
    session = mx(mx_messages_per_session=2)
    for _ in range(2):
        assert send(session, ["bob@example.test"])[:3] == "250"
    assert session.ask("MAIL FROM:<a@b.test>")[:9] == "421 4.7.0"
    assert session.is_closed()


def test_under_stress_a_session_takes_one_message_and_one_error() -> None:
    session = mx()
    session.session.is_stressed = True
    assert send(session, ["bob@example.test"])[:3] == "250"
    assert session.ask("MAIL FROM:<a@b.test>")[:3] == "421"
    session = mx()
    session.session.is_stressed = True
    session.ask("FROB")
    assert session.is_closed()


def test_a_421_for_a_message_ends_the_session() -> None:
    session = mx()
    session.acceptor.reply = Reply(421, "3.0", "stopping")
    assert send(session, ["bob@example.test"])[:3] == "421"
    assert session.is_closed()


# -- strangers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\n",
        b"CONNECT x:25 HTTP/1.1\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x01\x02\x00\r\n\x01",
        b"\x80\x2e\x01\x00\x02",
        b"Host: example.test\r\n",
        b"<html>\r\n",
    ],
    ids=repr,
)
def test_other_protocols_are_told_once_and_left(octets: bytes) -> None:
    # S36, T63
    session = BareSmtp()
    session._lines.clear()
    session.send(octets)
    assert [line[:3] for line in session._lines] == [b"554"]
    session._lines.clear()
    assert session.is_closed()


def test_http_is_left_at_any_time() -> None:
    session = mx()
    session.ask("GET / HTTP/1.1")
    assert session.is_closed()


# -- length ------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [512, 2048])
def test_a_long_line_of_the_limit_is_a_command(length: int) -> None:
    # S6
    assert mx().ask("NOOP " + "x" * (length - 5))[:3] == "250"


@pytest.mark.parametrize("octets", [b"x" * 2049 + b"\r\n", b"NOOP " + b"x" * 1_000_000], ids=len)
def test_a_longer_line_ends_the_session_and_its_tail_is_no_command(octets: bytes) -> None:
    # S6, T6
    session = mx()
    session._lines.clear()
    session.send(octets + b"MAIL FROM:<a@b.test>\r\n")
    assert [line[:9] for line in session._lines] == [b"500 5.5.2", b"421 4.5.2"]
    session._lines.clear()
    assert session.is_closed()


def test_a_login_may_be_longer_and_has_its_own_limit() -> None:
    # A2; RFC 4954 section 4
    session = submission("")
    assert session.ask(f"AUTH PLAIN {b64(chr(0) + 'a' * 8000 + chr(0) + 'b')}")[:3] == "535"
    session.ask("AUTH PLAIN")
    assert session.ask(b64("\0" + "a" * 8000 + "\0b"))[:3] == "535"
    session._lines.clear()
    session.send(b"AUTH PLAIN " + b"A" * 1_000_000)
    assert [line[:9] for line in session._lines] == [b"501 5.5.2", b"421 4.5.2"]


# -- properties ----------------------------------------------------------------------------------

LINES = st.sampled_from(
    [
        "EHLO x",
        "HELO x",
        "MAIL FROM:<a@b.test>",
        "MAIL FROM:<>",
        "RCPT TO:<bob@example.test>",
        "RCPT TO:<nobody@example.test>",
        "RCPT TO:<x@elsewhere.test>",
        "DATA",
        "x: y\r\n.",
        "RSET",
        "NOOP",
        "STARTTLS",
        "AUTH LOGIN",
        "*",
        "FROB",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=25))
def test_no_order_of_commands_leaks_a_recipient_into_another_mail(lines: list[str]) -> None:
    session = BareSmtp(errors="off", errors_before_recipient="off", unknown_recipients="off")
    accepted: list[str] = []
    for line in lines:
        if session._closed:
            break
        was_data = session._reader is not None
        said = session.ask(line)
        if was_data:
            continue
        assert said[:1] in "2345"
        if line.startswith("MAIL") and said[:3] == "250":
            accepted = []
        if line.startswith("RCPT") and said[:3] == "250":
            accepted.append(line[9:-1])
            assert accepted
        if said[:3] == "354" and line == "DATA":
            assert accepted
            before = len(session.acceptor.taken)
            session.ask("a: b\r\n.")
            envelope = session.acceptor.taken[before][0]
            assert {str(r.address) for r in envelope.recipients} == set(accepted)


def test_scram_logs_in_and_is_announced_behind_what_printers_know() -> None:
    # RFC 7677; the acceptor decides on what was proven.
    keys = scram.make_keys("a$1 geheim", b"salt" * 4, 4096)
    offer = Offer(lambda login: Verifier(b"salt" * 4, 4096, (keys,)), bytes)
    session = BareSmtp("submissions", offer=offer)
    session.send(b"EHLO client.example\r\n")
    assert b"250-AUTH PLAIN LOGIN SCRAM-SHA-256" in session._lines
    assert b"250-AUTH=LOGIN PLAIN" in session._lines
    client = ScramClient("alice@example.test", "a$1 geheim")
    said = session.ask("AUTH SCRAM-SHA-256 " + client.first().decode())
    said = session.ask(client.final(said.removeprefix("334 ").encode()))
    client.check(said.removeprefix("334 ").encode())
    session.ask("")
    assert session.acceptor.logins == [("alice@example.test", Proof(keys.stored_key))]


def test_a_directory_in_trouble_is_a_temporary_refusal() -> None:
    def fail(login: str) -> Verifier:
        raise TemporaryFailure("the disk is gone")

    session = BareSmtp("submissions", offer=Offer(fail, bytes))
    session.ask("EHLO client.example")
    assert session.ask("AUTH SCRAM-SHA-256 " + ScramClient("a@b", "x").first().decode())[:9] == "454 4.7.0"


def test_a_refused_sender_does_not_make_errors_of_all_that_was_in_the_pipe() -> None:
    session = submission()
    for _ in range(2):
        assert session.ask("MAIL FROM:<mallory@example.test>")[:3] == "550"
        for number in range(20):
            assert session.ask(f"RCPT TO:<r{number}@far.test>") == "503 5.5.1 Say MAIL first"
        assert session.ask("DATA") == "503 5.5.1 Say MAIL first"
    assert session.ask("MAIL FROM:<alice@example.test>")[:3] == "250"
