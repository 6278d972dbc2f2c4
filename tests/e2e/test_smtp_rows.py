"""Rows of the fault list against the whole instance, as far as `test_hostile_smtp.py` has them not."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest

from tests.kit import process as processes
from tests.kit.demo import Demo
from tests.kit.smtp_probe import Probe, mail, stuffed

ALICE = "alice@example.test"


def spooled(demo: Demo) -> list[Path]:
    return [path for path in demo.folder.rglob("spool/*") if path.is_file()]


def test_a_client_lost_behind_the_dot_sends_again_and_both_arrive(demo: Demo, mark: str) -> None:
    # S15
    message = mail(mark)
    with Probe((demo.host, demo.port("mx"))) as lost:
        lost.open()
        lost.envelope([ALICE])
        assert lost.ask("DATA").code == 354
        lost.send(stuffed(message) + b".\r\n")
    processes.eventually(lambda: any(mark.encode() in m for m in demo.messages(ALICE)), explain=demo.log)
    with Probe((demo.host, demo.port("mx"))) as again:
        again.open()
        again.envelope([ALICE])
        assert again.message(message).code == 250
    assert sum(mark.encode() in found for found in demo.messages(ALICE)) == 2
    processes.eventually(lambda: "unheard id=" in demo.log(), explain=demo.log)


@pytest.mark.parametrize(
    ("helo", "shown"),
    [
        ("[127.0.0.1]", b"from [127.0.0.1] ([127.0.0.1])\r\n"),
        ("mx.example.test", b"from mx.example.test ([127.0.0.1])\r\n"),
        ("localhost", b"from localhost ([127.0.0.1])\r\n"),
        ("a;b)by(c", b"from [127.0.0.1] (helo=a?b?by?c)\r\n"),
    ],
)
def test_a_strange_name_is_shown_escaped(demo: Demo, mark: str, helo: str, shown: bytes) -> None:
    # S22, T92
    with Probe((demo.host, demo.port("mx"))) as probe:
        probe.greeting()
        probe.hello(name=helo)
        probe.envelope([ALICE])
        assert probe.message(mail(mark)).code == 250
    assert shown in demo.wait_for_message(ALICE, mark.encode())


def test_a_header_line_in_the_name_is_no_header_line(demo: Demo) -> None:
    # S22
    with Probe((demo.host, demo.port("mx"))) as probe:
        probe.greeting()
        probe.send(b"EHLO a;\r\nX-Evil: yes\r\n")
        assert b"554 5.5.0" in probe.rest()


@pytest.mark.parametrize(
    "path", ["a\u202eb", "a\u200bb", "a" + "\u0301" * 1000, "\udc80"], ids=["bidi", "zero", "marks", "half"]
)
def test_letters_that_deceive_are_refused(probe: Probe, path: str) -> None:
    # S30
    assert probe.ask("MAIL FROM:<a@outside.test> SMTPUTF8").code == 250
    octets = path.encode("utf-8", "surrogateescape")
    assert probe.ask(b"RCPT TO:<" + octets + b"@example.test>").code in (501, 500)


@pytest.mark.parametrize("verb", ["VRFY", "EXPN"])
def test_known_and_unknown_names_sound_the_same(probe: Probe, verb: str) -> None:
    # S33
    said = {str(probe.ask(f"{verb} {name}")) for name in ("alice", "nobody", ALICE, "sales@example.test")}
    assert len(said) == 1
    assert said.pop()[:3] == ("252" if verb == "VRFY" else "502")


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\nMAIL FROM:<a@b.test>\r\n",
        b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["get", "post", "tls", "sslv2", "ssh"],
)
def test_who_speaks_something_else_is_told_once(demo: Demo, octets: bytes) -> None:
    # S36
    with Probe((demo.host, demo.port("mx"))) as probe:
        assert probe.greeting().code == 220
        probe.send(octets)
        assert probe.rest().count(b"\r\n") == 1


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\r\nno header\r\n",
        b"Subject: only a header %s\r\n",
        b"From someone Mon Jan  1 00:00:00 2026\r\nSubject: x %s\r\n\r\nbody\r\n",
        b"Subject: dots %s\r\n\r\n" + b".\r\n" * 5000,
    ],
    ids=["empty", "no-header", "only-header", "from-line", "dots"],
)
def test_odd_messages_are_stored_as_they_came(demo: Demo, probe: Probe, mark: str, message: bytes) -> None:
    # S39
    if b"%s" in message:
        message = message.replace(b"%s", mark.encode())
    probe.envelope([ALICE], sender=f"{mark}@outside.test")
    assert probe.message(message).code == 250
    assert demo.wait_for_message(ALICE, f"Return-Path: <{mark}@outside.test>".encode()).endswith(
        b"\r\n" + message
    )


@pytest.mark.parametrize("count", [51, 100_000])
def test_mail_that_has_been_everywhere_is_a_loop(probe: Probe, count: int) -> None:
    # S40
    probe.envelope([ALICE])
    answer = probe.message(b"Received: from a by b; Sun, 22 Nov 2026 10:00:00 +0000\r\n" * count + b"\r\n")
    assert (answer.code, answer.status) == (554, "5.4.6")


@pytest.mark.parametrize("line", ["XCLIENT ADDR=192.0.2.1", "PROXY TCP4 192.0.2.1 192.0.2.2 1 25"])
def test_nobody_says_who_he_is_by_command(demo: Demo, probe: Probe, line: str) -> None:
    # S49
    before = demo.log().count("check=unknown")
    answer = probe.ask(line)
    assert (answer.code, answer.status) == (500, "5.5.2")
    processes.eventually(lambda: demo.log().count("check=unknown") > before, explain=demo.log)


LINES = (
    b"EHLO x\r\n",
    b"MAIL FROM:<a@outside.test>\r\n",
    b"RCPT TO:<alice@example.test>\r\n",
    b"BDAT 400000\r\n" + (b"x" * 98 + b"\r\n") * 3000,
    (b"x" * 98 + b"\r\n") * 1000,
)


def leave(demo: Demo, steps: int, ending: str) -> None:
    """Goes so many steps and ends the connection."""
    with socket.create_connection((demo.host, demo.port("mx")), timeout=10) as sock:
        sock.recv(1000)
        for n, line in enumerate(LINES[:steps]):
            sock.sendall(line)
            if n < 3:
                sock.recv(1000)
        if ending == "half":
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1000):
                pass
        elif ending == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif ending == "quit":
            sock.sendall(b"QUIT\r\nNOOP\r\n")


def descriptors(demo: Demo) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in demo.pids("smtp"))


@pytest.mark.parametrize("ending", ["close", "half", "reset", "quit"])
def test_every_end_gives_everything_back(demo: Demo, ending: str) -> None:
    # S50: descriptors and spool files of the daemon; what it opens once is open after the first round
    for _ in range(2):
        leave(demo, len(LINES), ending)
    processes.eventually(lambda: not spooled(demo), explain=demo.log)
    before = descriptors(demo)
    for steps in range(len(LINES) + 1):
        for _ in range(8):
            leave(demo, steps, ending)
    processes.eventually(lambda: not spooled(demo), explain=demo.log)
    processes.eventually(lambda: descriptors(demo) <= before + 5, explain=demo.log)
