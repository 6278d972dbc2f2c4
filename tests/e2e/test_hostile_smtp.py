"""Bad input over real sockets: a valid reply, a line in the log, nothing lost (faults, section 3.1)."""

from __future__ import annotations

import pytest

from tests.kit.demo import Demo
from tests.kit.process import eventually
from tests.kit.smtp_wire import Wire

ALICE = "alice@example.test"
HEAD = b"From: A <a@outside.test>\r\nTo: alice@example.test\r\nSubject: %s\r\n\r\n"


def transaction(wire: Wire, *, recipient: str = ALICE) -> None:
    assert wire.command("MAIL FROM:<a@outside.test>").startswith("250")
    assert wire.command(f"RCPT TO:<{recipient}>").startswith("250")
    assert wire.command("DATA").startswith("354")


@pytest.fixture
def wire(demo: Demo) -> Wire:
    return Wire(demo.host, demo.port("mx")).start()


@pytest.mark.parametrize(
    "ending",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\x00.\r\n", b"\n.\r"],
    ids=repr,
)
def test_a_smuggled_end_of_data_is_no_end(demo: Demo, wire: Wire, ending: bytes) -> None:
    # S1, S2; CVE-2023-51764 and friends
    mark = f"smuggle-{ending.hex()}".encode()
    transaction(wire)
    wire.send(
        HEAD % mark + b"one" + ending + b"MAIL FROM:<evil@outside.test>\r\nRCPT TO:<bob@example.test>\r\n"
    )
    wire.send(b"DATA\r\n" + HEAD % (b"second-" + mark) + b"two\r\n.\r\n")
    answer = wire.reply()
    assert answer[:3] in ("250", "550", "554")
    if answer.startswith("5"):
        assert "5.6." in answer
    assert wire.command("NOOP").startswith("250")
    wire.close()
    assert not any(b"second-" + mark in m for m in demo.messages("bob@example.test"))


def test_bare_cr_becomes_a_space_and_no_header_appears(demo: Demo, wire: Wire) -> None:
    # S3
    transaction(wire)
    wire.send(HEAD % b"cr-one\rX-Injected: yes" + b"body\rmore\r\n.\r\n")
    assert wire.reply().startswith("250")
    message = demo.wait_for_message(ALICE, b"cr-one")
    assert b"\r" not in message.replace(b"\r\n", b"")
    assert b"cr-one X-Injected: yes\r\n" in message


def test_bare_lf_lines_are_stored_with_crlf(demo: Demo, wire: Wire) -> None:
    # S4
    transaction(wire)
    wire.send((HEAD % b"lf-one").replace(b"\r\n", b"\n") + b"line one\nline two\r\n.\r\n")
    assert wire.reply().startswith("250")
    message = demo.wait_for_message(ALICE, b"lf-one")
    assert b"line one\r\nline two\r\n" in message
    assert b"\n" not in message.replace(b"\r\n", b"")


@pytest.mark.parametrize(("octets", "accepted"), [(998, True), (999, True), (65_536, True), (65_537, False)])
def test_body_lines_up_to_64_kib_are_taken_unchanged(
    demo: Demo, wire: Wire, octets: int, accepted: bool
) -> None:
    # S5
    mark = f"line-{octets}".encode()
    transaction(wire)
    wire.send(HEAD % mark + b"x" * octets + b"\r\n.\r\n")
    answer = wire.reply()
    if accepted:
        assert answer.startswith("250")
        assert b"\r\n" + b"x" * octets + b"\r\n" in demo.wait_for_message(ALICE, mark)
    else:
        assert answer.startswith("554 5.6.0")
        assert wire.command("NOOP").startswith("250")


def test_an_endless_command_is_cut_off(wire: Wire) -> None:
    # S6
    wire.send(b"NOOP " + b"x" * 3000 + b"\r\n")
    assert wire.reply().startswith("500 5.5.2")
    try:
        wire.send(b"y" * 1_000_000 + b"MAIL FROM:<a@b>\r\n")
    except OSError:
        pass
    try:
        answer = wire.reply()
    except OSError:
        answer = ""
    assert answer == "" or answer.startswith(("421", "500"))
    assert "250" not in answer


@pytest.mark.parametrize("octet", [b"\x00", b"\x07", b"\x7f", b"\xff", b"\xc3\x28"], ids=repr)
def test_control_characters_in_a_command_are_refused(wire: Wire, octet: bytes) -> None:
    # S7
    wire.send(b"NOOP " + octet + b"\r\n")
    assert wire.reply().startswith("500 5.5.2")
    wire.send(b"NOOP  \t \r\n")
    assert wire.reply().startswith("250")


@pytest.mark.parametrize(
    ("size", "code"), [("99999999999", "552"), ("-1", "501"), ("abc", "501"), ("10 SIZE=10", "501")]
)
def test_impossible_sizes(wire: Wire, size: str, code: str) -> None:
    # S12
    assert wire.command(f"MAIL FROM:<a@outside.test> SIZE={size}").startswith(code)


def test_more_than_the_limit_is_dropped_and_refused_at_the_end(demo: Demo, wire: Wire) -> None:
    # S13
    assert wire.command("MAIL FROM:<a@outside.test> SIZE=10").startswith("250")
    assert wire.command(f"RCPT TO:<{ALICE}>").startswith("250")
    assert wire.command("DATA").startswith("354")
    wire.send(HEAD % b"too-big")
    line = b"z" * 998 + b"\r\n"
    for _ in range(55):
        wire.send(line * 1000)
    wire.send(b".\r\n")
    assert wire.reply().startswith("552 5.3.4")
    assert wire.command("NOOP").startswith("250")
    assert not [p for p in demo.folder.rglob("spool/*") if p.is_file()]


def test_a_connection_lost_in_data_leaves_nothing(demo: Demo, wire: Wire) -> None:
    # S14
    transaction(wire)
    wire.send(HEAD % b"never-finished" + b"x" * 998 + b"\r\n")
    wire.send((b"x" * 998 + b"\r\n") * 600)
    wire.close()
    eventually(lambda: not [p for p in demo.folder.rglob("spool/*") if p.is_file()], explain=demo.log)
    assert not any(b"never-finished" in m for m in demo.messages(ALICE))


@pytest.mark.parametrize("command", ["NOOP", "RSET", "VRFY alice", "HELP"])
def test_junk_commands_end_the_session(demo: Demo, command: str) -> None:
    # S18
    with Wire(demo.host, demo.port("mx")).start() as wire:
        answers = []
        while len(answers) < 60 and not (answers and answers[-1].startswith("421")):
            answers.append(wire.command(command))
        assert 45 <= len(answers) <= 52


def test_thirty_syntax_errors_end_the_session(demo: Demo) -> None:
    # S19; delays come from the sixth on, so the loop is short
    with Wire(demo.host, demo.port("mx"), timeout_s=60).start() as wire:
        answers = []
        for _ in range(30):
            answer = wire.command("BLURB")
            answers.append(answer[:3])
            if not answer or answer.startswith("421"):
                break
        # RFC 5321 section 7.8: a session of nothing but errors is closed with 421
        assert set(answers[:-1]) == {"500"}
        assert answers[-1] == "421"
        assert len(answers) <= 21
        assert wire.reply() == ""


@pytest.mark.parametrize("command", ["MAIL FROM:<a@b.example>", f"RCPT TO:<{ALICE}>", "DATA"])
def test_mail_before_ehlo_is_out_of_order(demo: Demo, command: str) -> None:
    # S20
    with Wire(demo.host, demo.port("mx")) as wire:
        wire.reply()
        assert wire.command(command).startswith("503 5.5.1")


@pytest.mark.parametrize(
    "path",
    [
        "user%other.example@example.test",
        "other!user@example.test",
        "@example.test,@x.example:user@other.example",
        '"user@other.example"@example.test',
        "user@other.example",
    ],
)
def test_nothing_is_relayed_by_syntax(demo: Demo, wire: Wire, path: str) -> None:
    # S25; the catch-all of the demo takes unknown local parts, and only here
    wire.command("MAIL FROM:<a@outside.test>")
    answer = wire.command(f"RCPT TO:<{path}>")
    if "@other.example" in path and not path.startswith('"'):
        assert answer.startswith("550 5.")
    assert not any(b"other.example" in message for message in demo.outside())


@pytest.mark.parametrize(
    "path", ["postmaster", "Postmaster", "Postmaster@example.test", "POSTMASTER@EXAMPLE.TEST"]
)
def test_postmaster_is_always_there(wire: Wire, path: str) -> None:
    # S26
    wire.command("MAIL FROM:<a@outside.test>")
    assert wire.command(f"RCPT TO:<{path}>").startswith("250")


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("alice@example.test.", ("501", "553", "250")),
        ("alice@[127.0.0.1]", ("501", "550", "250")),
        ("alice@", ("501", "553")),
        ("@example.test", ("501", "553")),
        ("a b@example.test", ("501", "553")),
        ('"alice"@example.test', ("250",)),
        ("x" * 65 + "@example.test", ("501", "553")),
        ("a@" + "d" * 63 + ".x" * 100 + ".test", ("501", "553")),
        ("a" * 200 + "@" + "example." * 10 + "test", ("501", "553")),
    ],
)
def test_odd_paths_get_a_clear_answer(wire: Wire, path: str, codes: tuple[str, ...]) -> None:
    # S27, S28
    wire.command("MAIL FROM:<a@outside.test>")
    answer = wire.command(f"RCPT TO:<{path}>")
    assert answer[:3] in codes, answer
    assert wire.command("NOOP").startswith("250")


def test_data_sent_before_354_is_not_taken(demo: Demo, wire: Wire) -> None:
    # S34, T2
    wire.send(
        b"MAIL FROM:<a@outside.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
        + HEAD % b"early-bird"
        + b"too early\r\n.\r\n"
    )
    answers = []
    try:
        while answer := wire.reply():
            answers.append(answer)
    except (TimeoutError, OSError):
        pass
    assert any(answer.startswith("554 5.5.0") for answer in answers), answers
    assert not any(answer.startswith("250 2.0.0 Ok id=") for answer in answers)
    assert not any(b"early-bird" in m for m in demo.messages(ALICE))


def test_refusals_are_in_the_log(demo: Demo, wire: Wire) -> None:
    wire.command("MAIL FROM:<a@outside.test>")
    assert wire.command("RCPT TO:<nobody@elsewhere.example>").startswith("550 5.7.1")
    wire.close()
    demo.logs("to=nobody@elsewhere.example")
    line = next(line for line in demo.log().split("\n") if "to=nobody@elsewhere.example" in line)
    assert "refused" in line
    assert "code=550" in line
