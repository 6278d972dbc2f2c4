"""Printers and scanners against a running instance: old TLS, odd manners, no login.

127.0.0.2 is listed in tls.devices, 127.0.0.3 is a device known by its address.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from typing import Any

import dkim
import pytest

from mailstack.app.config import load_config
from mailstack.directory import Directory
from tests.kit import debian
from tests.kit.demo import OFFSETS, Demo, running_demo
from tests.kit.old_printer import old_printer
from tests.kit.ports import free_base
from tests.kit.process import eventually

pytestmark = pytest.mark.debian

ALICE, BOB, PRINTER, FAX = (f"{name}@example.test" for name in ("alice", "bob", "printer", "fax"))
LISTED, KNOWN = "127.0.0.2", "127.0.0.3"
FAX_PASSWORD = "fax machine 3"
LEGACY = (466, 588)


class Office:
    """A demo with what old devices need switched on."""

    def __init__(self, demo: Demo, base: int) -> None:
        self.demo = demo
        self.legacy_tls, self.legacy_starttls = (base + offset for offset in LEGACY)

    def device(self) -> dict[str, Any]:
        """What `user show` tells of the printer."""
        found: dict[str, Any] = self.demo.json("user", "show", PRINTER)["device"]
        return found


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    base = free_base((*OFFSETS, *LEGACY))
    legacy = "".join(
        f'{name} = ["127.0.0.1:{base + offset}"]\n'
        for name, offset in zip(("submissions_legacy", "submission_legacy"), LEGACY, strict=True)
    )

    def change(text: str) -> str:
        text = text.replace("[tls]\n", f'[tls]\ndevices = ["{LISTED}"]\n')
        return text.replace("[listen]\n", f"[listen]\n{legacy}")

    with running_demo(folder, port_base=base, change=change) as demo:
        demo.cli("user", "add", FAX, "--kind", "device", "--password", FAX_PASSWORD)
        demo.cli("device", "allow", FAX, "--network", KNOWN, "--to", "example.test")
        yield Office(demo, base)


def signature_verifies(demo: Demo, stored: bytes) -> bool:
    """Our RSA signature over what was stored, for somebody else."""
    directory = Directory(load_config(demo.config).paths)
    try:
        records = {
            f"{key.selector}._domainkey.{demo.domain}": f"v=DKIM1; k={key.algorithm[:-7]}; p={key.public}"
            for key in directory.published_keys(demo.domain)
        }
    finally:
        directory.close()
    message = stored[stored.index(b"DKIM-Signature:") :]
    return bool(
        dkim.verify(message, dnsfunc=lambda name, timeout=5: records[name.decode().rstrip(".")].encode())
    )


SCAN = b"Subject: %b\r\nFrom: Scanner 3 <scan@local>\r\n\r\nPage 1\nPage 2 \xe9\n"


@pytest.mark.parametrize("tls", ["-tls1", "-tls1_1", "-tls1_2"])
@pytest.mark.parametrize("starttls", [False, True], ids=["465", "587"])
def test_a_listed_printer_of_long_ago_sends(office: Office, tls: str, starttls: bool) -> None:
    # L6, L7 (no SNI), L8, S4 (bare LF), S46
    demo, mark = office.demo, f"old{tls}-{starttls}".encode()
    port = demo.port("submission" if starttls else "submissions")
    with old_printer(port, bind=LISTED, tls=tls, starttls=starttls) as printer:
        if not starttls:
            assert printer.reply().startswith("220 ")
        assert printer.say("EHLO MFP Drucker_3").startswith("250 ")
        assert any(line.startswith("250-AUTH=LOGIN PLAIN") for line in printer.heard)
        assert printer.log_in(PRINTER, demo.users[PRINTER]).startswith("235 ")
        sent = printer.scan(sender="scanner", to=ALICE, message=SCAN % mark)
        assert sent.startswith("250 2.0.0"), printer.heard
    message = demo.wait_for_message(ALICE, b"Subject: " + mark)
    assert b"From: Scanner 3 <printer@example.test>" in message or b'"Scanner 3"' in message
    assert b"Reply-To: Scanner 3 <scan@local>" in message
    assert message.startswith(b"Return-Path: <printer@example.test>\r\n")
    assert b"\r\nDate: " in message and b"\r\nMessage-ID: <" in message
    assert message.isascii() and message.count(b"\n") == message.count(b"\r\n")
    assert signature_verifies(office.demo, message)


def test_the_list_says_who_needs_old_tls(office: Office) -> None:
    with old_printer(office.demo.port("submissions"), bind=LISTED) as printer:
        printer.reply()
        printer.say("HELO")
        assert printer.log_in(PRINTER, office.demo.users[PRINTER]).startswith("235 ")
    eventually(lambda: legacy(office.demo).get(PRINTER, {}).get("tls_age") == "legacy")
    rows = legacy(office.demo)
    assert rows[PRINTER]["oldest_tls"].startswith("TLSv1 ")
    assert rows[PRINTER]["from"] == LISTED
    assert FAX not in rows


def legacy(demo: Demo) -> dict[str, dict[str, Any]]:
    """Devices with old TLS, by address."""
    return {row["address"]: row for row in demo.json("device", "list", "--legacy")}


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "AES256-SHA256", "ECDHE-RSA-AES128-SHA"])
def test_tls_1_2_with_old_ciphers_needs_no_list(office: Office, ciphers: str) -> None:
    # limits, section 8: RSA key exchange and CBC on 465 and 587
    demo = office.demo
    password = demo.cli("user", "passwd", "copier@example.test", check=False).rpartition(" ")[2].strip()
    if not password:
        made = demo.cli("user", "add", "copier@example.test", "--kind", "device")
        password = made.rpartition(" ")[2].strip()
    with old_printer(demo.port("submissions"), tls="-tls1_2", ciphers=ciphers) as printer:
        assert printer.reply().startswith("220 ")
        printer.say("EHLO copier")
        assert printer.log_in("copier@example.test", password).startswith("235 ")
    eventually(lambda: legacy(demo).get("copier@example.test", {}).get("tls_age") == "old ciphers")


def test_an_unlisted_printer_is_told_apart_in_the_log(office: Office) -> None:
    # L5
    with old_printer(office.demo.port("submissions")) as printer:
        assert printer.reply() == ""
    office.demo.explains("127.0.0.1", "TLS 1.0 or 1.1")


@pytest.mark.parametrize("starttls", [False, True], ids=["tls", "starttls"])
def test_the_legacy_ports_take_devices_and_nobody_else(office: Office, starttls: bool) -> None:
    # L8; limits, section 8
    demo = office.demo
    port = office.legacy_starttls if starttls else office.legacy_tls
    with old_printer(port, starttls=starttls) as printer:
        if not starttls:
            printer.reply()
        printer.say("EHLO mfp")
        assert printer.log_in(ALICE, demo.users[ALICE])[:1] == "5"
        assert printer.log_in(PRINTER, demo.users[PRINTER]).startswith("235 ")
        assert printer.scan(sender="<x>", to=BOB, message=b"legacy port").startswith("250 ")
    demo.wait_for_message(BOB, b"legacy port")


def test_a_device_known_by_its_address_needs_no_login(office: Office) -> None:
    # limits, section 8: fixed sender, listed domains
    demo = office.demo
    command = [debian.need("swaks"), "--server", "127.0.0.1", "--port", str(demo.port("submission"))]
    command += ["--local-interface", KNOWN, "--helo", "fax", "--from", "who@ever.test", "--timeout", "30"]
    done = debian.run([*command, "--to", BOB, "--h-Subject", "fax-1", "--h-From", "ever@else.test"])
    assert done.returncode == 0, done.stdout
    message = demo.wait_for_message(BOB, b"fax-1")
    assert message.startswith(b"Return-Path: <fax@example.test>\r\n")
    assert b"\r\nFrom: <fax@example.test>\r\n" in message
    assert b" with ESMTP id " in message
    assert b"127.0.0.3" not in message
    refused = debian.run([*command, "--to", "x@outside.test"])
    assert "550 5.7.1 fax@example.test has not logged in and may only write to example.test" in refused.stdout
    demo.explains("x@outside.test", "device allow")


def test_next_door_a_login_is_needed(office: Office) -> None:
    command = [debian.need("swaks"), "--server", "127.0.0.1", "--port", str(office.demo.port("submission"))]
    done = debian.run(
        [*command, "--local-interface", "127.0.0.4", "--from", FAX, "--to", BOB, "--timeout", "30"]
    )
    assert "530 5.7.0" in done.stdout


def test_taking_the_network_back_counts_at_once(office: Office) -> None:
    demo = office.demo
    demo.cli("device", "allow", FAX, "--network", "127.0.0.9")
    demo.cli("device", "forbid", FAX, "--network", "127.0.0.9")
    with smtplib.SMTP(
        "127.0.0.1", demo.port("submission"), timeout=30, source_address=("127.0.0.9", 0)
    ) as client:
        client.ehlo()
        assert client.mail(FAX)[0] == 530


def test_a_device_reads_nothing_and_gets_nothing(office: Office) -> None:
    # A14
    demo = office.demo
    with pytest.raises(Exception, match="AUTHENTICATIONFAILED"), demo.imap(PRINTER):
        pass
    with demo.smtp() as client:
        client.ehlo()
        client.mail("x@outside.test")
        assert client.rcpt(PRINTER)[0] == 550


def test_the_last_error_is_told(office: Office) -> None:
    demo = office.demo
    with old_printer(demo.port("submissions"), bind=LISTED) as printer:
        printer.reply()
        printer.say("EHLO mfp")
        assert printer.log_in(PRINTER, "wrong password").startswith("535 ")
    # What happens is noted in batches.
    eventually(lambda: "failed login as printer@example.test" in office.device()["last_error"])
    assert "worked since" not in office.device()["last_error"]
    with demo.submission(PRINTER) as client:
        client.ehlo()
        client.mail("x")
        assert client.rcpt(PRINTER)[0] == 550
    eventually(lambda: "(device)" in office.device()["last_error"])


def test_msmtp_sends_as_a_scanner_would(office: Office) -> None:
    demo = office.demo
    options = ["--host=localhost", f"--port={demo.port('submissions')}", "--tls=on", "--tls-starttls=off"]
    options += [f"--tls-trust-file={demo.state['ca_file']}", "--auth=login", f"--user={PRINTER}"]
    options += [f"--passwordeval=echo '{demo.users[PRINTER]}'", "--from=scan@local", "--domain=scanner"]
    done = debian.run(
        [debian.need("msmtp"), "--file=/dev/null", *options, ALICE],
        stdin="Subject: msmtp-scan\n\nScanned: \xe9\n",
    )
    assert done.returncode == 0, done.stdout
    assert b"From: <printer@example.test>" in demo.wait_for_message(ALICE, b"msmtp-scan")


def test_curl_sends_as_a_script_would(office: Office) -> None:
    demo = office.demo
    command = [debian.need("curl"), "-sS", "--max-time", "30", "--interface", LISTED, "--insecure"]
    command += ["--tlsv1.0", "--tls-max", "1.0", "--ciphers", "DEFAULT:@SECLEVEL=0", "--ssl-reqd"]
    command += [
        f"smtp://127.0.0.1:{demo.port('submission')}/scanner",
        "--user",
        f"{PRINTER}:{demo.users[PRINTER]}",
    ]
    command += [
        "--login-options",
        "AUTH=LOGIN",
        "--mail-from",
        "scan",
        "--mail-rcpt",
        BOB,
        "--upload-file",
        "-",
    ]
    done = debian.run(command, stdin="Subject: curl-scan\n\nhello\n")
    assert done.returncode == 0, done.stdout
    assert demo.wait_for_message(BOB, b"curl-scan").startswith(b"Return-Path: <printer@example.test>")
