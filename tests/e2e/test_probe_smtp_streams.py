"""A black-box probe of port 25: pipelining, CHUNKING, STARTTLS, and clients that mean no good."""

from __future__ import annotations

import email
import ssl

import pytest

from tests.kit.demo import Demo
from tests.kit.smtp_probe import Probe, mail, stuffed

ALICE, BOB = "alice@example.test", "bob@example.test"


def lines(*commands: str) -> bytes:
    return b"".join(command.encode() + b"\r\n" for command in commands)


# -- PIPELINING -----------------------------------------------------------------------------


def test_a_group_is_answered_in_order(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 2920 section 3.1
    probe.send(
        lines(
            "RSET",
            "MAIL FROM:<a@outside.test>",
            "RCPT TO:<x@elsewhere.test>",
            f"RCPT TO:<{ALICE}>",
            "RCPT TO:<",
            "DATA",
        )
    )
    assert [probe.reply().code for _ in range(6)] == [250, 250, 550, 250, 501, 354]
    probe.send(mail(mark) + b".\r\n")
    assert probe.reply().code == 250
    assert demo.wait_for_message(ALICE, mark.encode())


def test_commands_may_stand_behind_the_dot(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 2920 section 3.1: the end of the text may be followed by the next group
    group = lines("MAIL FROM:<a@outside.test>", f"RCPT TO:<{ALICE}>", "DATA")
    probe.send(group)
    assert [probe.reply().code for _ in range(3)] == [250, 250, 354]
    probe.send(mail(f"{mark}-1") + b".\r\n" + group)
    assert [probe.reply().code for _ in range(4)] == [250, 250, 250, 354]
    probe.send(mail(f"{mark}-2") + b".\r\nQUIT\r\n")
    assert [probe.reply().code for _ in range(2)] == [250, 221]
    assert demo.wait_for_message(ALICE, f"{mark}-2".encode())


def test_data_with_no_good_recipient_in_a_group_is_not_354(probe: Probe) -> None:
    # RFC 2920 section 3.1: else the client's lone dot would be a message
    probe.send(lines("MAIL FROM:<a@outside.test>", "RCPT TO:<x@elsewhere.test>", "DATA"))
    assert [probe.reply().code for _ in range(2)] == [250, 550]
    assert probe.reply().code in (503, 554)
    assert probe.ask("NOOP").code == 250


def test_octets_one_by_one(demo: Demo, probe: Probe, mark: str) -> None:
    probe.trickle(lines("MAIL FROM:<a@outside.test>", f"RCPT TO:<{ALICE}>", "DATA"))
    assert [probe.reply().code for _ in range(3)] == [250, 250, 354]
    probe.trickle(stuffed(mail(mark, body=b".a\r\n..\r\n")) + b".\r\n")
    assert probe.reply().code == 250
    assert demo.wait_for_message(ALICE, mark.encode()).endswith(b"\r\n\r\n.a\r\n..\r\n")


def test_a_thousand_commands_in_one_write(probe: Probe) -> None:
    probe.send(lines(*["MAIL FROM:<a@outside.test>", f"RCPT TO:<{ALICE}>", "RSET"] * 16))
    assert {probe.reply().code for _ in range(48)} == {250}


# -- CHUNKING -------------------------------------------------------------------------------


def test_one_chunk_is_a_message(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 3030 section 2; dots are not special
    octets = mail(mark, body=b".\r\n..x\r\n.\r\nend\r\n")
    probe.envelope([ALICE])
    probe.send(f"BDAT {len(octets)} LAST\r\n".encode() + octets)
    assert probe.reply().code == 250
    assert demo.wait_for_message(ALICE, mark.encode()).endswith(octets)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_chunks_of_any_size(demo: Demo, probe: Probe, mark: str, size: int) -> None:
    octets = mail(mark, body=b"0123456789\r\n" * 20)
    probe.envelope([ALICE])
    parts = [octets[n : n + size] for n in range(0, len(octets), size)]
    probe.send(b"".join(b"bdat %d\r\n%b" % (len(part), part) for part in parts) + b"BDAT 0 LAST\r\n")
    for _ in parts:
        assert probe.reply().code == 250
    assert probe.reply().code == 250
    assert demo.wait_for_message(ALICE, mark.encode()).endswith(octets)


def test_the_whole_transaction_in_one_write(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 3030 section 4.2
    octets = mail(mark)
    begin = lines("MAIL FROM:<a@outside.test>", f"RCPT TO:<{ALICE}>")
    probe.send(begin + b"BDAT %d LAST\r\n" % len(octets) + octets + b"QUIT\r\n")
    assert [probe.reply().code for _ in range(4)] == [250, 250, 250, 221]
    assert demo.wait_for_message(ALICE, mark.encode())


@pytest.mark.parametrize("before", [[], ["MAIL FROM:<a@outside.test>"]])
def test_a_refused_chunk_is_read_and_thrown_away(probe: Probe, before: list[str]) -> None:
    # RFC 3030 section 2: a server that answers 5xx still reads the octets
    for line in before:
        assert probe.ask(line).code == 250
    probe.send(b"BDAT 27 LAST\r\nMAIL FROM:<b@evil.test>\r\n\r\nRSET\r\n")
    assert probe.reply().code in (503, 554)
    assert probe.reply().code == 250
    assert probe.ask("NOOP").code == 250


def test_data_and_chunks_do_not_mix(probe: Probe) -> None:
    # RFC 3030 section 3
    probe.envelope([ALICE])
    probe.send(b"BDAT 4\r\na: b")
    assert probe.reply().code == 250
    assert probe.ask("DATA").code == 503
    assert probe.ask("RSET").code == 250
    assert probe.ask("MAIL FROM:<a@outside.test>").code == 250


def test_mail_and_rcpt_between_chunks_are_out_of_order(probe: Probe) -> None:
    # RFC 3030 section 2
    probe.envelope([ALICE])
    probe.send(b"BDAT 4\r\na: b")
    assert probe.reply().code == 250
    assert probe.ask("MAIL FROM:<a@outside.test>").code == 503
    assert probe.ask(f"RCPT TO:<{BOB}>").code == 503


def test_a_reset_between_chunks_drops_them(demo: Demo, probe: Probe, mark: str) -> None:
    probe.envelope([ALICE])
    octets = mail(f"{mark}-dropped")
    probe.send(b"BDAT %d\r\n" % len(octets) + octets)
    assert probe.reply().code == 250
    assert probe.ask("RSET").code == 250
    probe.envelope([ALICE])
    octets = mail(f"{mark}-kept")
    probe.send(b"BDAT %d LAST\r\n" % len(octets) + octets)
    assert probe.reply().code == 250
    assert f"{mark}-dropped".encode() not in demo.wait_for_message(ALICE, f"{mark}-kept".encode())


@pytest.mark.parametrize("argument", ["", "x", "-1", "1 LASTLY", "1 LAST LAST", "99999999999999999999999"])
def test_a_chunk_needs_a_size(probe: Probe, argument: str) -> None:
    probe.envelope([ALICE])
    probe.send(f"BDAT {argument}\r\n".encode())
    assert 500 <= probe.reply().code < 560


def test_binary_octets_arrive_as_they_were(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 3030 section 3
    body = bytes(range(256)) * 4 + b"\r\n"
    head = b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
    octets = mail(mark, head=head + b"Content-Transfer-Encoding: binary\r\n", body=body)
    probe.envelope([ALICE], more=" BODY=BINARYMIME")
    assert probe.ask("DATA").code == 503, "BINARYMIME goes with BDAT only (RFC 3030 section 3)"
    probe.ask("RSET")
    probe.envelope([ALICE], more=" BODY=BINARYMIME")
    probe.send(b"BDAT %d LAST\r\n" % len(octets) + octets)
    answer = probe.reply()
    if answer.code == 250:
        # Each octet, whatever encoding it is kept in: mail programs get no NUL (RFC 3501 section 4.3.1).
        stored = demo.wait_for_message(ALICE, mark.encode())
        assert email.message_from_bytes(stored).get_payload(decode=True) == body
    else:
        assert answer.status.startswith("5.6."), str(answer)


def test_a_chunk_of_more_than_the_size(probe: Probe) -> None:
    # RFC 1870 section 6.3; the octets are read nevertheless
    most = int(probe.keywords["SIZE"])
    probe.envelope([ALICE])
    probe.send(b"BDAT %d LAST\r\n" % (most + 1))
    block = b"x" * 65_534 + b"\r\n"
    left = most + 1
    try:
        while left > 0:
            probe.send(block[:left])
            left -= len(block[:left])
    except OSError:
        return  # it may hang up instead, after its answer
    answer = probe.reply()
    assert (answer.code, answer.status) == (552, "5.3.4")
    assert probe.ask("NOOP").code == 250


def test_a_message_of_more_than_the_size(probe: Probe) -> None:
    most = int(probe.keywords["SIZE"])
    probe.envelope([ALICE])
    assert probe.ask("DATA").code == 354
    for _ in range(most // 65_536 + 2):
        probe.send(b"x" * 65_534 + b"\r\n")
    probe.send(b".\r\n")
    answer = probe.reply()
    assert (answer.code, answer.status) == (552, "5.3.4")
    assert probe.ask("NOOP").code == 250


# -- STARTTLS -------------------------------------------------------------------------------


def test_tls_begins_again_from_hello(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 3207 section 4.2, RFC 3848, RFC 8689 section 2
    probe.start_tls(demo.tls())
    assert probe.tls_version in ("TLSv1.2", "TLSv1.3")
    assert probe.ask("MAIL FROM:<a@outside.test>").code == 503
    probe.hello()
    assert "STARTTLS" not in probe.keywords
    assert "AUTH" not in probe.keywords
    assert "REQUIRETLS" in probe.keywords
    assert probe.ask("STARTTLS").code == 503
    probe.envelope([ALICE])
    assert probe.message(mail(mark)).code == 250
    assert b"with ESMTPS" in demo.wait_for_message(ALICE, mark.encode())


def test_a_transaction_does_not_survive_tls(demo: Demo, probe: Probe) -> None:
    assert probe.ask("MAIL FROM:<evil@outside.test>").code == 250
    assert probe.ask("STARTTLS").code in (503, 220)
    assert probe.ask("RSET").code == 250


@pytest.mark.parametrize(
    "behind", [b"NOOP\r\n", b"EHLO evil.test\r\nMAIL FROM:<evil@outside.test>\r\n", b"x"]
)
def test_octets_behind_starttls_are_never_commands(demo: Demo, probe: Probe, behind: bytes) -> None:
    # RFC 3207 section 6; CVE-2011-0411
    probe.send(b"STARTTLS\r\n" + behind)
    answer = probe.reply()
    if answer.code != 220:
        assert 400 <= answer.code < 600
        return
    # The server would have to throw them away; then the handshake works and the session is empty.
    try:
        probe._wrap(demo.tls())
    except (ssl.SSLError, ConnectionError):
        return
    assert probe.ask("NOOP").code == 250
    assert probe.ask(f"RCPT TO:<{ALICE}>").code == 503


def test_rubbish_instead_of_a_handshake(demo: Demo, probe: Probe) -> None:
    assert probe.ask("STARTTLS").code == 220
    probe.send(b"EHLO in-clear.test\r\n")
    assert b"250" not in probe.rest()


@pytest.mark.parametrize(
    ("parameter", "code"), [("REQUIRETLS", 250), ("REQUIRETLS=1", 501), ("REQUIRETLS REQUIRETLS", 501)]
)
def test_requiretls_under_tls(demo: Demo, probe: Probe, parameter: str, code: int) -> None:
    # RFC 8689 section 4
    probe.start_tls(demo.tls())
    probe.hello()
    assert probe.ask(f"MAIL FROM:<a@outside.test> {parameter}").code == code


# -- no good ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: mx\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.test>\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"\x80\x2e\x01\x00\x02" + b"\x00" * 40,
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["http-get", "http-post", "tls", "ssl2", "ssh"],
)
def test_other_protocols_are_told_and_left(demo: Demo, first: bytes) -> None:
    with Probe((demo.host, demo.port("mx"))) as probe:
        assert probe.greeting().code == 220
        probe.send(first)
        probe.half_close()
        told = probe.rest()
        assert told.count(b"\r\n") <= 2
        assert not told.startswith(b"2")


@pytest.mark.parametrize("octets", [2_049, 100_000, 4_000_000])
def test_a_line_without_end(probe: Probe, octets: int) -> None:
    # RFC 5321 section 4.5.3.1.4
    try:
        probe.send(b"x" * octets)
        probe.send(b"\r\nNOOP\r\n")
    except OSError:
        pass
    told = probe.rest() if octets > 2_049 else probe.reply().text.encode()
    assert b"250 2.0.0" not in told, "the tail of a line that was too long became a command"


@pytest.mark.parametrize(
    "line",
    [
        b"NOOP\0",
        b"MAIL FROM:<a\0b@outside.test>",
        b"EHLO caf\xc3\xa9.test",
        b"EHLO \xff",
        b"MAIL FROM:<\xff@outside.test> SMTPUTF8",
        b"MAIL FROM:<a\x1b[2J@outside.test>",
        b"VRFY \x07",
        b"NOOP\rQUIT",
    ],
    ids=repr,
)
def test_octets_no_command_has(probe: Probe, line: bytes) -> None:
    # RFC 5321 section 4.1.2
    assert 500 <= probe.ask(line).code < 560
    assert probe.ask("NOOP").code == 250


def test_bare_lf_commands_get_one_sane_answer(probe: Probe) -> None:
    # RFC 5321 section 2.3.8: a bare LF is no line end; tolerated or refused, never half of each
    probe.send(b"NOOP\nNOOP\r\n")
    assert probe.reply().code in (250, 500, 501)


def test_a_client_that_never_reads(demo: Demo) -> None:
    with Probe((demo.host, demo.port("mx"))) as deaf:
        deaf._socket.settimeout(1)
        try:
            for _ in range(3000):
                deaf.send(b"HELP\r\n" * 100)
        except OSError:
            pass
        with Probe((demo.host, demo.port("mx"))) as other:
            assert other.open().ask("NOOP").code == 250
