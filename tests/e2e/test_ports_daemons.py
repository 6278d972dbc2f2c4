"""LMTP, proxies, host names and old devices against the daemons themselves."""

from __future__ import annotations

import contextlib
import imaplib
import shutil
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator

import pytest

from tests.kit import certificates
from tests.kit.demo import OFFSETS, Demo, running_demo
from tests.kit.ports import free_base, free_port
from tests.kit.process import eventually

MESSAGE = b"From: list@lists.test\r\nTo: everybody@lists.test\r\nSubject: %s\r\n\r\nhello\r\n"
#: Listed as a proxy; 127.0.0.1 is not.
PROXY = "127.0.0.2"


def test_lmtp_stores_for_each_recipient_and_says_so(demo: Demo) -> None:
    with smtplib.LMTP(demo.host, demo.port("lmtp"), timeout=30) as client:
        assert client.ehlo()[0] == 250  # smtplib says LHLO
        assert client.mail("list-bounces@lists.test")[0] == 250
        recipients = ("alice@example.test", "nobody-there@sub.example.test", "bob@example.test")
        assert [client.rcpt(to)[0] for to in recipients] == [250, 550, 250]
        assert client.docmd("DATA")[0] == 354
        client.send(MESSAGE % b"by-lmtp" + b".\r\n")
        assert [client.getreply()[0] for _ in range(2)] == [250, 250]
    for address in ("alice@example.test", "bob@example.test"):
        stored = demo.wait_for_message(address, b"by-lmtp")
        assert b" with LMTP id " in stored
        assert b"Return-Path: <list-bounces@lists.test>" in stored


def test_lmtp_relays_nothing(demo: Demo) -> None:
    with smtplib.LMTP(demo.host, demo.port("lmtp"), timeout=30) as client:
        client.ehlo()
        assert client.mail("a@lists.test")[0] == 250
        code, text = client.rcpt("friend@outside.test")
        assert (code, text[:5]) == (550, b"5.7.1")


# -- an instance with everything that is off by default ----------------------------------------


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo whose configuration has been edited."""
    folder, base = tmp_path_factory.mktemp("special"), free_base(OFFSETS)
    certificate, key = certificates.write(folder, stem="customer", name="mail.customer.example")
    legacy = f'[listen]\nsubmissions_legacy = ["127.0.0.1:{free_port()}"]\n'
    lmtp = f'lmtp = ["127.0.0.1:{base + 24}"'

    def change(text: str) -> str:
        text = text.replace("[listen]\n", legacy).replace("[lmtp]\n", '[lmtp]\nsocket_mode = "0600"\n')
        text = text.replace(lmtp, lmtp.replace("[", f'["unix:{folder}/lmtp", '))
        return f"""{text}
[proxy]
networks = ["{PROXY}"]

[[tls.names]]
certificate_file = "{certificate}"
key_file = "{key}"
"""

    with running_demo(folder, port_base=base, change=change) as running:
        yield running


def legacy_port(demo: Demo) -> int:
    line = next(x for x in demo.config.read_text().splitlines() if x.startswith("submissions_legacy"))
    return int(line.rpartition(":")[2].rstrip('"]'))


def behind(demo: Demo, name: str, header: bytes) -> socket.socket:
    """A connection of the proxy, with its header sent."""
    sock = socket.create_connection((demo.host, demo.port(name)), timeout=30, source_address=(PROXY, 0))
    sock.sendall(header)
    return sock


def test_lmtp_over_a_unix_socket(special: Demo) -> None:
    with smtplib.LMTP(str(special.folder / "lmtp")) as client:
        assert client.sendmail("a@lists.test", ["alice@example.test"], MESSAGE % b"by-unix") == {}
    assert b"(Unix socket" in special.wait_for_message("alice@example.test", b"by-unix")


def test_the_log_and_the_message_name_the_client_behind_the_proxy(special: Demo) -> None:
    # S49
    sock = behind(special, "mx", b"PROXY TCP4 198.51.100.77 192.0.2.1 4711 25\r\n")
    with smtplib.SMTP(local_hostname="client.outside.test") as client:
        client.sock, client.file = sock, None
        assert client.getreply()[0] == 220
        client.sendmail("a@outside.test", ["bob@example.test"], MESSAGE % b"behind-proxy")
    assert b"client.outside.test ([198.51.100.77])" in special.wait_for_message(
        "bob@example.test", b"behind-proxy"
    )
    special.logs("peer=198.51.100.77")


def test_imap_and_tls_stand_behind_the_header(special: Demo) -> None:
    header = b"PROXY TCP6 2001:db8::77 2001:db8::1 4711 993\r\n"
    raw = behind(special, "imaps", header)
    with special.tls().wrap_socket(raw, server_hostname="localhost") as tls:
        assert tls.recv(4).startswith(b"* OK")
        password = special.users["alice@example.test"]
        tls.recv(4096)
        tls.sendall(f'a LOGIN alice@example.test "{password}"\r\n'.encode())
        assert b"a OK" in tls.recv(4096)
    special.logs("peer=2001:db8::77")


def test_a_proxy_without_a_header_gets_nothing(special: Demo) -> None:
    for name in ("mx", "imap", "pop3"):
        sock = behind(special, name, b"EHLO client.example\r\n")
        with sock, contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""
    special.logs("check=proxy_header")


def test_the_certificate_is_that_of_the_name_on_every_port(special: Demo) -> None:
    trusting = ssl.create_default_context(cafile=str(special.folder / "customer.pem"))
    for name in ("submissions", "imaps", "pop3s"):
        raw = socket.create_connection((special.host, special.port(name)), timeout=30)
        with trusting.wrap_socket(raw, server_hostname="mail.customer.example") as tls:
            assert tls.recv(1)
    # And the default one where no name, or another, is asked for.
    imaplib.IMAP4_SSL("localhost", special.port("imaps"), ssl_context=special.tls()).logout()


def test_a_renewed_certificate_is_shown_without_a_restart(special: Demo) -> None:
    # L10
    certificate, _ = certificates.write(special.folder, stem="customer", name="imap.customer.example")
    trusting = ssl.create_default_context(cafile=certificate)

    def is_shown() -> bool:
        with socket.create_connection((special.host, special.port("imaps")), timeout=30) as raw:
            try:
                trusting.wrap_socket(raw, server_hostname="imap.customer.example").close()
            except ssl.SSLError:
                return False
        return True

    eventually(is_shown, explain=lambda: "the old certificate is still shown", every_s=0.5)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize(("who", "code"), [("printer", "235 "), ("alice", "535 ")])
def test_a_printer_with_tls_1_0_logs_in_on_the_legacy_port(special: Demo, who: str, code: str) -> None:
    # L6
    from base64 import b64encode

    login = f"{who}@example.test"
    words = b64encode(f"\0{login}\0{special.users[login]}".encode()).decode()
    command = ["openssl", "s_client", "-connect", f"{special.host}:{legacy_port(special)}", "-quiet", "-crlf"]
    with subprocess.Popen(
        [*command, "-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as printer:
        assert printer.stdin is not None and printer.stdout is not None
        assert printer.stdout.readline().startswith("220 ")
        for said, end in (("EHLO printer", "250 "), (f"AUTH PLAIN {words}", code), ("QUIT", "221 ")):
            printer.stdin.write(f"{said}\n")
            printer.stdin.flush()
            while not (line := printer.stdout.readline()).startswith(end):
                assert line, said
