"""AUTH at a relay: every mechanism, every refusal (Q25)."""

import base64
from typing import Any

import pytest

from mailstack.sasl.client import Login
from mailstack.smtp.client_events import Answer, Ready
from tests.kit.client_dialog import Dialog, broken, over_tls
from tests.kit.scram_server import NAME, PASSWORD, scram_server

ME = Login("me", "pässword")


def dialog(auth: str, login: Login = ME, **options: Any) -> Dialog:
    """A dialog in which the server, over TLS, has just offered to let us log in."""
    made = Dialog(login=lambda: login, **options)
    assert over_tls(made, f"250-mx.test\r\n250 AUTH {auth}") == []
    return made


def refused(*said: str, auth: str = "PLAIN", login: Login = ME) -> Answer:
    made = dialog(auth, login)
    return broken(made.hear(*said))


def test_plain_is_said_at_once() -> None:
    made = dialog("PLAIN LOGIN")
    assert made.said() == ["AUTH PLAIN AG1lAHDDpHNzd29yZA=="]
    assert made.hear("235 2.7.0 ok") == [Ready()]


def test_login_answers_two_questions_whatever_they_say() -> None:
    made = dialog("=LOGIN LOGIN")
    assert made.said() == ["AUTH LOGIN"]
    made.hear("334 who?")
    assert made.said() == ["bWU="]
    made.hear("334")
    assert made.said() == ["cMOkc3N3b3Jk"]
    assert made.hear("235 ok") == [Ready()]


def test_both_ways_to_announce_a_login_count() -> None:
    made = Dialog(login=lambda: ME)
    over_tls(made, "250-mx.test\r\n250-AUTH GSSAPI NTLM\r\n250 AUTH=LOGIN")
    assert made.said() == ["AUTH LOGIN"]


def test_what_is_too_long_for_a_command_waits_for_its_turn() -> None:
    # RFC 4954 section 4
    made = dialog("PLAIN", Login("me", "p" * 400))
    assert made.said() == ["AUTH PLAIN"]
    made.hear("334 ")
    assert made.said() == [base64.b64encode(b"\0me\0" + b"p" * 400).decode()]
    assert made.hear("235 ok") == [Ready()]


def scram(made: Dialog) -> list[object]:
    """The rest of the dialog, with a server that knows the password."""
    far = scram_server(plus=False, end_point=b"")
    (line,) = made.said()
    events: list[object] = []
    for _ in range(3):
        step = far.respond(line.split(" ")[-1].encode())
        events += made.hear(f"334 {step.line.decode()}" if hasattr(step, "line") else "235 2.7.0 ok")
        line = "".join(made.said())
    return events


def test_scram_keeps_the_password_to_itself() -> None:
    made = dialog("PLAIN SCRAM-SHA-256", Login(NAME, PASSWORD, b"nonce"))
    assert scram(made) == [Ready()]


def test_a_server_without_keys_gets_the_password_over_tls() -> None:
    made = dialog("PLAIN SCRAM-SHA-256", Login("me", "x", b"nonce"))
    assert made.said()[0].startswith("AUTH SCRAM-SHA-256 ")
    made.hear("535 5.7.8 no")
    assert made.said() == ["AUTH PLAIN AG1lAHg="]
    assert made.hear("235 ok") == [Ready()]


def test_a_success_without_its_proof_is_none() -> None:
    answer = refused("235 come in", auth="SCRAM-SHA-256", login=Login("me", "x", b"nonce"))
    assert "does not show" in answer.reply.text
    assert (answer.reply.code, answer.stage) == (451, "auth")


@pytest.mark.parametrize(
    "said",
    [
        "535 5.7.8 no",
        "534 5.7.9 stronger",
        "454 4.7.0 later",
        "530 5.7.0 no",
        "501 what",
        "334 m@re",
        "334 QUJD",
        "250 ok",
    ],
)
def test_a_refused_login_defers_and_never_bounces(said: str) -> None:
    # Q25: "334 m@re" is no base64
    answer = refused(said)
    assert (answer.reply.code, answer.reply.status, answer.stage) == (451, "7.8", "auth")
    assert answer.is_ours


def test_a_host_that_hangs_up_is_another_matter() -> None:
    answer = refused("421 4.3.2 bye")
    assert (answer.reply.code, answer.stage) == (421, "auth")


@pytest.mark.parametrize("auth", ["GSSAPI", "CRAM-MD5 DIGEST-MD5", ""])
def test_no_login_that_we_know_defers(auth: str) -> None:
    made = Dialog(login=lambda: ME)
    answer = broken(over_tls(made, f"250-mx.test\r\n250 AUTH {auth}"))
    assert (answer.reply.code, answer.reply.status, answer.stage) == (451, "7.8", "auth")


def test_our_login_never_leaves_without_tls() -> None:
    made = Dialog(login=lambda: ME)
    answer = broken(made.hear("220 mx.test", "250-mx.test\r\n250 AUTH PLAIN"))
    assert (answer.reply.code, answer.reply.status, answer.stage) == (451, "7.8", "auth")
    assert "AUTH" not in "".join(made.said())


@pytest.mark.parametrize("echo", ["pässword", "AG1lAHDDpHNzd29yZA=="])
def test_a_server_that_repeats_the_password_does_not_get_it_into_our_logs(echo: str) -> None:
    answer = refused(f"535 5.7.8 <{echo}> is wrong")
    assert echo not in answer.reply.text
    assert "<(hidden)> is wrong" in answer.reply.text


def test_port_465_needs_no_starttls() -> None:
    # RFC 8314 section 7.3
    made = Dialog(login=lambda: ME, tls="require")
    made.session.begin_over_tls(is_verified=True)
    made.hear("220 mx.test")
    assert made.said() == ["EHLO us.test"]
    made.hear("250-mx.test\r\n250-STARTTLS\r\n250 AUTH PLAIN")
    assert made.said() == ["AUTH PLAIN AG1lAHDDpHNzd29yZA=="]
    assert made.hear("235 ok") == [Ready()]
    assert made.session.is_verified


# -- loops


@pytest.mark.parametrize("ehlo", ["250 us.test", "250-US.test Hello\r\n250 SIZE"])
def test_a_server_with_our_own_name_is_us(ehlo: str) -> None:
    # Q11
    made = Dialog(loop_name="us.test")
    answer = broken(made.hear("220 us.test", ehlo))
    assert (answer.reply.code, answer.reply.status, answer.stage) == (554, "4.6", "check")
    assert answer.is_ours


def test_a_server_of_a_similar_name_is_not() -> None:
    made = Dialog(loop_name="us.test")
    assert made.hear("220 us.test", "250 mx.us.test greets us.test") == [Ready()]
    assert Dialog().hear("220 us.test", "250 us.test") == [Ready()]
