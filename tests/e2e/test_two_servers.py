"""Two of ours, one sending to the other: what both speak is used, what one lacks comes back."""

from __future__ import annotations

import contextlib
import os
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.certificates import write
from tests.kit.dns_server import DnsServer
from tests.kit.instance import Instance, new_instance
from tests.kit.ports import free_base, is_free
from tests.kit.process import Process, eventually, mailstack

ALICE, CARL = "alice@example.test", "carl@other.test"
SECRET = "a-long-password-1"
CONFIG = """
[listen]
mx = ["127.0.0.1:{mx}"]
submissions = ["127.0.0.1:{submissions}"]
submission = []
imap = []
imaps = []
pop3 = []
pop3s = []
sieve = []
[tls]
certificate_file = "{certificate}"
key_file = "{key}"
[dns]
servers = ["{dns}"]
[queue]
ca_file = "{ca}"
first_wait_s = 0.5
[[queue.route]]
domain = "{peer}"
host = "127.0.0.1"
port = {peer_port}
"""


@dataclass(frozen=True)
class Server:
    """One instance and where it listens."""

    instance: Instance
    domain: str
    mx: int
    submissions: int

    def inbox(self, local: str) -> list[bytes]:
        home = self.instance.config.paths.mail / self.domain / local / "Maildir"
        return [path.read_bytes() for part in ("new", "cur") for path in sorted((home / part).glob("*"))]

    def wait_for(self, local: str, text: bytes) -> bytes:
        """The first message in somebody's INBOX that holds `text`."""
        eventually(
            lambda: any(text in message for message in self.inbox(local)), 30, lambda: self.inbox(local)
        )
        return next(message for message in self.inbox(local) if text in message)


@dataclass(frozen=True)
class Two:
    """`a` has example.test, `b` has other.test."""

    a: Server
    b: Server

    def submit(
        self,
        mark: str,
        to: str = CARL,
        *,
        mail: tuple[str, ...] = (),
        rcpt: tuple[str, ...] = (),
        body: bytes = b"Hello.\r\n",
        more: str = "",
    ) -> None:
        """Alice sends, by DATA, or by BDAT what she says is binary."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        message = f"From: {ALICE}\r\nTo: {CARL}\r\nSubject: {mark}\r\n{more}\r\n".encode() + body
        with smtplib.SMTP_SSL("127.0.0.1", self.a.submissions, timeout=30, context=context) as client:
            client.login(ALICE, SECRET)
            assert client.mail(ALICE, mail)[0] == 250
            assert client.rcpt(to, rcpt)[0] == 250
            if "BODY=BINARYMIME" in mail:
                client.send(b"BDAT %d LAST\r\n%s" % (len(message), message))
                code, said = client.getreply()
            else:
                code, said = client.data(message)
            assert code == 250, said


@contextlib.contextmanager
def running(folder: Path, options: str = "") -> Iterator[Two]:
    """Both servers; `options` are more of the second one's configuration."""
    base = free_base((0, 1, 2, 3))
    ports = {"example.test": (base, base + 1), "other.test": (base + 2, base + 3)}
    certificate, key = write(folder)
    table = {name: {"TXT": ["v=spf1 ip4:127.0.0.1 -all"]} for name in ports}
    servers: list[Server] = []
    with (
        DnsServer({**table, "mx.example.test": {"A": ["127.0.0.1"]}}) as dns,
        contextlib.ExitStack() as stack,
    ):
        for domain, (mx, submissions) in ports.items():
            instance = new_instance(folder / domain)
            peer = next(name for name in ports if name != domain)
            text = CONFIG.format(
                mx=mx,
                submissions=submissions,
                certificate=certificate,
                key=key,
                ca=certificate,
                dns=dns.address,
                peer=peer,
                peer_port=ports[peer][0],
            )
            with instance.file.open("a") as file:
                file.write(text + (options if domain == "other.test" else ""))
            if domain != "example.test":
                instance.cli("domain", "add", domain)
                instance.cli("domain", "remove", "example.test")
            instance.cli("user", "add", ALICE if domain == "example.test" else CARL, "--password", SECRET)
            process = Process(
                mailstack("up", "--config", instance.file),
                environ={**os.environ, "MAILSTACK_ALLOW_ROOT": "1"},
            )
            stack.callback(process.stop)
            eventually(lambda: not process.running or not is_free(submissions), 60)  # noqa: B023
            assert process.running, process.output
            servers.append(Server(instance, domain, mx, submissions))
        yield Two(*servers)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with running(tmp_path_factory.mktemp("two")) as both:
        yield both


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """The other speaks none of the younger extensions."""
    options = "[smtp]\nsmtputf8 = false\ndsn = false\nrequiretls = false\nchunking = false\n"
    with running(tmp_path_factory.mktemp("old"), options) as both:
        yield both


def test_a_message_for_tls_only_arrives_where_it_is_promised(two: Two) -> None:
    # RFC 8689
    two.submit("secret-1", mail=("REQUIRETLS",))
    assert b"with ESMTPS id" in two.b.wait_for("carl", b"secret-1")


def test_a_message_for_tls_only_comes_back_where_it_is_not(old: Two) -> None:
    old.submit("secret-2", mail=("REQUIRETLS",), body=b"Nobody else reads this.\r\n")
    report = old.a.wait_for("alice", b"secret-2")
    assert b"Status: 5.7.30" in report
    assert b"Nobody else reads this" not in report
    assert not any(b"secret-2" in message for message in old.b.inbox("carl"))


def test_success_is_reported_by_whoever_has_the_mailbox(two: Two) -> None:
    two.submit("wish-1", mail=("RET=HDRS", "ENVID=e+2B1"), rcpt=("NOTIFY=SUCCESS", f"ORCPT=rfc822;{CARL}"))
    two.b.wait_for("carl", b"wish-1")
    report = two.a.wait_for("alice", b"Action: delivered")
    assert b"Original-Envelope-Id: e+1\r\n" in report
    assert f"Original-Recipient: rfc822;{CARL}\r\n".encode() in report
    assert b"Return-Path: <>" in report


def test_success_is_reported_by_us_where_the_other_does_not(old: Two) -> None:
    old.submit("wish-2", rcpt=("NOTIFY=SUCCESS",))
    report = old.a.wait_for("alice", b"Action: relayed")
    assert b"wish-2" in report
    old.b.wait_for("carl", b"wish-2")


def test_silence_is_kept_on_both_sides(two: Two) -> None:
    before = len(two.a.inbox("alice"))
    two.submit("silence-1", "nobody@other.test", rcpt=("NOTIFY=NEVER",))
    two.submit("silence-2", "nobody@other.test")
    report = two.a.wait_for("alice", b"silence-2")
    assert b"Status: 5.1.1" in report
    assert len(two.a.inbox("alice")) == before + 1


@pytest.mark.parametrize("to", [CARL, "größe@other.test"])
def test_internationalized_mail_arrives(two: Two, to: str) -> None:
    # RFC 6531
    two.b.instance.cli("alias", "add", "größe@other.test", CARL)
    two.submit(f"grüße-{to[0]}", to, mail=("SMTPUTF8",))
    message = two.b.wait_for("carl", f"grüße-{to[0]}".encode())
    assert b"UTF8SMTPS" in message


def test_an_internationalized_address_is_too_much_for_the_old(old: Two) -> None:
    # RFC 6533
    old.submit("grüße-3", "größe@other.test", mail=("SMTPUTF8",))
    report = old.a.wait_for("alice", b"message/global-delivery-status")
    assert b"Status: 5.6.7" in report, report


def test_an_internationalized_subject_is_not(old: Two) -> None:
    old.submit("grüße-4", mail=("SMTPUTF8",))
    message = old.b.wait_for("carl", b"=?utf-8?")
    assert b"UTF8SMTP" not in message.partition(b"Received:")[2].partition(b"Received:")[0]


BINARY = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PNG = "MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n"


@pytest.mark.parametrize("which", ["two", "old"])
def test_a_binary_message_arrives(which: str, request: pytest.FixtureRequest) -> None:
    # RFC 3030; our own users' leave as base64
    both: Two = request.getfixturevalue(which)
    both.submit("png-1", mail=("BODY=BINARYMIME",), body=BINARY, more=PNG)
    message = both.b.wait_for("carl", b"png-1")
    assert b"Content-Transfer-Encoding: base64" in message


def test_a_redirection_between_both_ends_where_it_should(two: Two) -> None:
    two.b.instance.cli("alias", "add", "back@other.test", ALICE)
    two.submit("round-1", "back@other.test", rcpt=("NOTIFY=SUCCESS",))
    two.a.wait_for("alice", b"round-1")
    report = two.a.wait_for("alice", b"rfc822; back@other.test")
    assert b"Action: relayed" in report
