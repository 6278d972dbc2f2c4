"""A black-box probe of ports 465 and 587: RFC 6409, 4954, 3207, 8314, and the fix-ups of a submission."""

from __future__ import annotations

import base64
import email
import email.policy
import re
import ssl
from collections.abc import Iterator

import pytest

from tests.kit.demo import PASSWORD, Demo, new_account
from tests.kit.smtp_probe import Probe, mail, plain

ALICE, BOB, FREE = (f"{name}@example.test" for name in ("alice", "bob", "carol"))
AWAY = "probe-target@outside.test"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def clear(demo: Demo) -> Iterator[Probe]:
    """Port 587 before STARTTLS, after EHLO."""
    with Probe((demo.host, demo.port("submission"))) as probe:
        yield probe.open()


@pytest.fixture
def probe(demo: Demo) -> Iterator[Probe]:
    """Port 465, after EHLO."""
    with Probe((demo.host, demo.port("submissions")), tls=demo.tls()) as probe:
        yield probe.open()


@pytest.fixture
def alice(demo: Demo, probe: Probe) -> Probe:
    """Port 465, logged in as alice."""
    assert probe.login(ALICE, demo.users[ALICE]).code == 235
    probe.hello()
    return probe


def own(mark: str, *, head: bytes = b"", sender: str = ALICE, body: bytes = b"Hello.\r\n") -> bytes:
    return f"From: {sender}\r\nTo: {AWAY}\r\nSubject: {mark}\r\n".encode() + head + b"\r\n" + body


# -- before the login -----------------------------------------------------------------------


def test_no_login_is_offered_or_done_in_clear(clear: Probe) -> None:
    # RFC 4954 section 4, RFC 8314 section 3
    assert "AUTH" not in clear.keywords
    assert "STARTTLS" in clear.keywords
    assert clear.ask(f"AUTH PLAIN {plain(ALICE, 'x')}").code in (503, 504, 530, 538)


@pytest.mark.parametrize("line", ["MAIL FROM:<alice@example.test>", "AUTH LOGIN", "VRFY alice"])
def test_nothing_is_done_before_starttls(clear: Probe, line: str) -> None:
    # RFC 3207 section 4
    answer = clear.ask(line)
    assert answer.code in (503, 504, 530, 538)
    if line.startswith("MAIL"):
        assert (answer.code, answer.status) == (530, "5.7.0")


@pytest.mark.parametrize("port", ["submission", "submissions"])
def test_under_tls_a_login_is_offered_and_wanted(demo: Demo, port: str) -> None:
    # RFC 6409 section 4.3, RFC 4954 section 6
    context = demo.tls()
    implicit = context if port == "submissions" else None
    with Probe((demo.host, demo.port(port)), tls=implicit) as probe:
        probe.open()
        if implicit is None:
            probe.start_tls(context)
            probe.hello()
        assert probe.tls_version in ("TLSv1.2", "TLSv1.3")
        offered = probe.keywords["AUTH"].split()
        assert {"PLAIN", "LOGIN"} <= set(offered)
        assert "STARTTLS" not in probe.keywords
        answer = probe.ask(f"MAIL FROM:<{ALICE}>")
        assert (answer.code, answer.status) == (530, "5.7.0")


def test_old_programs_see_auth_with_an_equals_sign(demo: Demo) -> None:
    # Outlook Express and devices look for "AUTH=LOGIN"
    with Probe((demo.host, demo.port("submissions")), tls=demo.tls()) as probe:
        probe.greeting()
        assert any(line.startswith("AUTH=") and "LOGIN" in line for line in probe.hello().lines)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_not_spoken_with_everybody(demo: Demo, version: ssl.TLSVersion) -> None:
    # RFC 8996
    context = demo.tls()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Probe((demo.host, demo.port("submissions")), tls=context)


# -- AUTH -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["AUTH PLAIN", "auth plain"])
def test_plain_in_one_line_or_two(demo: Demo, probe: Probe, verb: str) -> None:
    # RFC 4954 section 4, RFC 4616
    challenge = probe.ask(verb)
    assert (challenge.code, challenge.text) == (334, "")
    assert probe.ask(plain(ALICE, demo.users[ALICE])).code == 235


def test_login_step_by_step(demo: Demo, probe: Probe) -> None:
    first = probe.ask("AUTH LOGIN")
    assert (first.code, base64.b64decode(first.text).lower()) == (334, b"username:")
    second = probe.ask(b64(ALICE))
    assert (second.code, base64.b64decode(second.text).lower()) == (334, b"password:")
    done = probe.ask(b64(demo.users[ALICE]))
    assert (done.code, done.status) == (235, "2.7.0")


def test_login_with_the_name_in_the_first_line(demo: Demo, probe: Probe) -> None:
    assert probe.ask(f"AUTH LOGIN {b64(ALICE)}").code == 334
    assert probe.ask(b64(demo.users[ALICE])).code == 235


@pytest.mark.parametrize(
    "password", [PASSWORD, "$ \" \\ ' % \u00e4\u00f6\u00fc \u4f60 <>&;", " lead and trail "]
)
def test_a_password_may_have_any_character(
    demo: Demo, probe: Probe, password: str, request: pytest.FixtureRequest
) -> None:
    # RFC 8265 through RFC 4616
    address = new_account(demo, request)
    demo.cli("user", "passwd", address, "--password", password)
    assert probe.login(address, password).code == 235


@pytest.mark.parametrize("name", ["ALICE@EXAMPLE.TEST", " alice@example.test"])
def test_the_user_name_is_an_address_in_any_case(demo: Demo, probe: Probe, name: str) -> None:
    answer = probe.login(name, demo.users[ALICE])
    assert answer.code == (235 if name == name.strip() else answer.code)


def test_a_wrong_password_and_an_unknown_user_look_the_same(demo: Demo) -> None:
    answers = []
    for name in (ALICE, "nobody-at-all@example.test", "x@elsewhere.test", "no-address"):
        with Probe((demo.host, demo.port("submissions")), tls=demo.tls()) as probe:
            answers.append(str(probe.open().login(name, "wrong password")))
    assert set(answers) == {answers[0]}
    assert answers[0].startswith("535 5.7.8")


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (["AUTH"], {501}),
        (["AUTH PLAIN !!!"], {501}),
        (["AUTH PLAIN ="], {501, 535}),
        (["AUTH PLAIN " + b64("no-nul-at-all")], {501, 535}),
        (["AUTH PLAIN", "*"], {501}),
        (["AUTH LOGIN", "*"], {501}),
        (["AUTH LOGIN", b64("alice@example.test"), "*"], {501}),
        (["AUTH LOGIN", "%%%"], {501}),
        (["AUTH DIGEST-MD5"], {504}),
        (["AUTH CRAM-MD5"], {504}),
        (["AUTH NTLM"], {504}),
        (["AUTH EXTERNAL ="], {504}),
        (["AUTH PLAIN " + b64("bob@example.test\0alice@example.test\0x")], {501, 535}),
    ],
)
def test_a_login_that_fails(probe: Probe, lines: list[str], codes: set[int]) -> None:
    # RFC 4954 sections 4 and 6
    answer = probe.ask(lines[0])
    for line in lines[1:]:
        assert answer.code == 334
        answer = probe.ask(line)
    assert answer.code in codes
    assert probe.ask("NOOP").code == 250


def test_one_login_a_session_and_not_in_a_transaction(demo: Demo, alice: Probe) -> None:
    # RFC 4954 section 4
    assert alice.login(ALICE, demo.users[ALICE]).code == 503
    assert alice.ask(f"MAIL FROM:<{ALICE}>").code == 250
    assert alice.login(ALICE, demo.users[ALICE]).code == 503


def test_wrong_passwords_end_the_connection(probe: Probe) -> None:
    codes = [probe.login("bob@example.test", f"wrong {n}").code for n in range(3)]
    assert codes == [535, 535, 535]
    assert b"421" in probe.rest() or probe.is_closed()


# -- after it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("parameter", ["AUTH=<>", "AUTH=alice@example.test", "AUTH=e+3Dmc2@example.test"])
def test_mail_takes_the_auth_parameter(alice: Probe, parameter: str) -> None:
    # RFC 4954 section 5: whoever offers AUTH takes it
    assert alice.ask(f"MAIL FROM:<{ALICE}> {parameter}").code == 250


def test_limits_are_those_of_the_account(demo: Demo) -> None:
    # RFC 9422 section 4.2
    with Probe((demo.host, demo.port("submissions")), tls=demo.tls()) as probe:
        probe.open()
        probe.login(FREE, demo.users[FREE])
        probe.hello()
        limits = dict(pair.split("=") for pair in probe.keywords["LIMITS"].split())
        assert limits["RCPTMAX"] == "10"
        assert int(probe.keywords["SIZE"]) <= 26_214_400


def test_over_the_limit_nothing_is_sent(demo: Demo, mark: str) -> None:
    with Probe((demo.host, demo.port("submissions")), tls=demo.tls()) as probe:
        probe.open()
        assert probe.login(FREE, demo.users[FREE]).code == 235
        probe.envelope([f"alice+{n}@example.test" for n in range(10)], sender=FREE)
        assert probe.ask("RCPT TO:<ALICE+3@example.test>").code == 250, "a duplicate counts once"
        over = probe.ask("RCPT TO:<bob@example.test>")
        assert (over.code, over.status) == (550, "5.5.3")
        assert "10" in over.text
        refused = probe.ask("DATA")
        assert (refused.code, refused.status) == (554, "5.5.3")
    assert not any(mark.encode() in message for message in demo.messages(ALICE))


@pytest.mark.parametrize("sender", [BOB, "ceo@elsewhere.test", "alice@example.test.evil.test"])
def test_the_envelope_sender_is_the_logins_own(alice: Probe, sender: str) -> None:
    # RFC 6409 section 6.1
    answer = alice.ask(f"MAIL FROM:<{sender}>")
    assert answer.code in (550, 553)
    assert answer.status == "5.7.1"
    assert ALICE in answer.text
    assert sender in answer.text


@pytest.mark.parametrize("sender", [ALICE, "alice+tag@example.test", "sales@example.test", ""])
def test_own_addresses_may_be_used(alice: Probe, sender: str) -> None:
    assert alice.ask(f"MAIL FROM:<{sender}>").code == 250


@pytest.mark.parametrize(
    "head",
    [
        b"From: Boss <boss@elsewhere.test>\r\n",
        b"From: bob@example.test\r\n",
        b"From: alice@example.test, bob@example.test\r\n",
        b"From: alice@example.test\r\nFrom: bob@example.test\r\n",
        b"From: alice@example.test\r\nSender: bob@example.test\r\n",
        b"From: alice@example.test\r\nResent-From: bob@example.test\r\n",
        b"from : bob@example.test\r\nFrom: alice@example.test\r\n",
        b"From: =?utf-8?q?alice=40example=2Etest?= <bob@example.test>\r\n",
        b"From:\r\n bob@example.test\r\n",
        b"From: group: bob@example.test;\r\n",
    ],
    ids=repr,
)
def test_every_author_is_the_logins_own(alice: Probe, mark: str, head: bytes) -> None:
    alice.envelope([AWAY], sender=ALICE)
    answer = alice.message(head + b"Subject: " + mark.encode() + b"\r\n\r\nx\r\n")
    assert answer.code in (550, 554)
    assert answer.status.startswith(("5.7.", "5.6."))


def test_what_a_program_left_out_is_added_and_bcc_is_not_told(demo: Demo, alice: Probe, mark: str) -> None:
    # RFC 6409 section 8, RFC 5322 section 3.6.3
    alice.envelope([AWAY, BOB], sender=ALICE)
    assert (
        alice.message(own(mark, head=b"Bcc: secret@elsewhere.test\r\nReturn-Path: <x@y.test>\r\n")).code
        == 250
    )
    for octets in (demo.wait_for_outside(mark.encode()), demo.wait_for_message(BOB, mark.encode())):
        found = email.message_from_bytes(octets, policy=email.policy.default)
        assert found["Date"].datetime.tzinfo is not None
        assert re.fullmatch(r"<\S+@\S+>", found["Message-ID"])
        assert found["Bcc"] is None
        assert b"secret@elsewhere" not in octets
        assert "x@y.test" not in str(found.get_all("Return-Path", []))
        assert found["DKIM-Signature"]


def test_received_tells_esmtpsa_and_not_where_the_user_is(demo: Demo, alice: Probe, mark: str) -> None:
    # RFC 3848
    alice.envelope([BOB], sender=ALICE)
    assert alice.message(own(mark)).code == 250
    found = email.message_from_bytes(demo.wait_for_message(BOB, mark.encode()), policy=email.policy.default)
    received = " ".join(str(found["Received"]).split())
    assert "with ESMTPSA" in received
    assert "127.0.0.1" not in received


@pytest.mark.parametrize(
    "body", [b"\xe4\xf6\xfc latin\r\n", "Gr\u00fc\u00dfe\r\n".encode(), b"y" * 3000 + b"\r\n", b".\r\n..\r\n"]
)
def test_a_body_of_any_kind_is_read_back_as_it_was(demo: Demo, alice: Probe, mark: str, body: bytes) -> None:
    # RFC 6152, RFC 5321 section 4.5.3.1.6: whatever the encoding on the way
    head = (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    alice.envelope([AWAY], sender=ALICE, more=" BODY=8BITMIME")
    assert alice.message(own(mark, head=head, body=body)).code == 250
    octets = demo.wait_for_outside(mark.encode())
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    found = email.message_from_bytes(octets)
    decoded = found.get_payload(decode=True)
    assert isinstance(decoded, bytes)
    assert decoded.replace(b"\r\n", b"\n") == body.replace(b"\r\n", b"\n")


def test_bare_lf_from_a_device(demo: Demo, alice: Probe, mark: str) -> None:
    alice.envelope([BOB], sender=ALICE)
    assert alice.ask("DATA").code == 354
    alice.send(own(mark).replace(b"\r\n", b"\n") + b"\r\n.\r\n")
    assert alice.reply().code == 250
    stored = demo.wait_for_message(BOB, mark.encode())
    assert b"\n" not in stored.replace(b"\r\n", b"")


def test_a_device_sends_the_way_devices_do(demo: Demo, mark: str) -> None:
    # No brackets, a blank behind the colon, a bare host name, another From: taken, and From is its own
    device = "printer@example.test"
    with Probe((demo.host, demo.port("submissions")), tls=demo.tls()) as probe:
        probe.greeting()
        probe.hello(name="SCANNER 3. OG")
        assert probe.login(device, demo.users[device]).code == 235
        assert probe.ask(f"MAIL FROM: {device}").code == 250
        assert probe.ask(f"RCPT TO: {BOB}").code == 250
        assert probe.message(
            b"From: Scanner <root@localhost>\r\nSubject: " + mark.encode() + b"\r\n\r\nx\r\n"
        )
    found = demo.wait_for_message(BOB, mark.encode())
    assert b"printer@example.test" in next(line for line in found.split(b"\r\n") if line.startswith(b"From:"))


def test_mail_to_an_address_literal_or_nowhere(alice: Probe) -> None:
    assert alice.ask(f"MAIL FROM:<{ALICE}>").code == 250
    assert alice.ask("RCPT TO:<a@[192.0.2.1]>").code in (250, 550, 553)
    assert 500 <= alice.ask("RCPT TO:<nowhere>").code < 560


def test_chunks_and_pipelining_work_for_submissions_too(demo: Demo, alice: Probe, mark: str) -> None:
    octets = own(mark)
    begin = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nBDAT {len(octets)} LAST\r\n".encode()
    alice.send(begin + octets + b"QUIT\r\n")
    assert [alice.reply().code for _ in range(4)] == [250, 250, 250, 221]
    assert demo.wait_for_message(BOB, mark.encode())


def test_clear_text_on_the_tls_port(demo: Demo) -> None:
    with Probe((demo.host, demo.port("submissions"))) as probe:
        probe.send(b"EHLO in-clear.test\r\n")
        assert b"250" not in probe.rest()


def test_the_mail_from_outside_stays_what_it_was(demo: Demo, mark: str) -> None:
    # no fix-up on port 25: a missing Date stays missing
    with Probe((demo.host, demo.port("mx"))) as probe:
        probe.open().envelope([BOB])
        assert (
            probe.message(mail(mark).replace(b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n", b"")).code == 250
        )
    assert b"\r\nDate:" not in demo.wait_for_message(BOB, mark.encode())
