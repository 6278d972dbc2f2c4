"""A redirection leaves with SRS, its signature intact, and its bounce finds the way back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dkim
import pytest

from mailstack.filters.authentication.sign import sign
from tests.kit.demo import Demo, running_demo
from tests.kit.dkim_keys import rsa_key, rsa_record
from tests.kit.dns_server import DnsServer
from tests.kit.process import eventually
from tests.kit.smtp_sink import SmtpSink
from tests.kit.smtp_wire import Wire

GONE = "gone@example.test"
FRIEND = "friend@outside.test"
SENDER = "someone@sender.test"
TABLE: dict[str, dict[str, Any]] = {
    "sender.test": {"TXT": ["v=spf1 ip4:127.0.0.1 -all"], "MX": [[10, "mx.sender.test"]]},
    "_dmarc.sender.test": {"TXT": ["v=DMARC1; p=reject"]},
    "mx.sender.test": {"A": ["127.0.0.1"]},
    "forged.test": {"TXT": ["v=spf1 -all"]},
    "_dmarc.forged.test": {"TXT": ["v=DMARC1; p=reject"]},
}


def letter(mark: str, sender: str = SENDER, extra: str = "") -> bytes:
    return (
        f"From: Some One <{sender}>\r\nTo: {GONE}\r\nSubject: {mark}\r\n"
        f"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{mark}@sender.test>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
        f"{extra}\r\nHello, this is passed on to you, Grüße.\r\n"
    ).encode()


def bounce(mark: str) -> bytes:
    return f"From: MAILER-DAEMON@outside.test\r\nTo: x\r\nSubject: Undelivered {mark}\r\n\r\nNo.\r\n".encode()


def signed(message: bytes) -> bytes:
    return sign(message, [rsa_key("sender.test", "s1")], now=int(time.time())) + message


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    TABLE["s1._domainkey.sender.test"] = {"TXT": [rsa_record()]}
    with (
        DnsServer(TABLE) as dns,
        running_demo(tmp_path_factory.mktemp("srs") / "demo", "--dns", dns.address) as running,
    ):
        yield running


def send(demo: Demo, sender: str, to: str, message: bytes) -> str:
    with Wire(demo.host, demo.port("mx")).start("mx.sender.test") as wire:
        return wire.mail(sender, [to], message)


def outside(demo: Demo, mark: str, count: int = 1) -> list[tuple[dict[str, Any], bytes]]:
    """Envelope and octets of what the outside sink holds with that mark."""

    def find() -> list[tuple[dict[str, Any], bytes]]:
        found = []
        for path in sorted((demo.folder / "outside").glob("*.json")):
            octets = path.with_suffix(".eml").read_bytes()
            if mark.encode() in octets:
                found.append((json.loads(path.read_text()), octets))
        return found

    eventually(lambda: len(find()) >= count, explain=demo.log)
    return find()


def test_the_copy_has_an_srs_sender_and_its_signature_verifies(demo: Demo) -> None:
    assert send(demo, SENDER, GONE, signed(letter("srs-1"))).startswith("250")
    ((envelope, octets),) = outside(demo, "srs-1")
    assert envelope["recipients"] == [FRIEND]
    assert envelope["sender"].startswith("SRS0=")
    assert envelope["sender"].endswith("=sender.test=someone@example.test")
    record = TABLE["s1._domainkey.sender.test"]["TXT"][0].encode()
    assert dkim.verify(octets, dnsfunc=lambda name, timeout=5: record)
    assert demo.messages(GONE) == []


def test_a_bounce_to_the_srs_address_reaches_the_original_sender(demo: Demo) -> None:
    send(demo, SENDER, GONE, signed(letter("srs-2")))
    ((envelope, _),) = outside(demo, "srs-2")
    assert send(demo, "", envelope["sender"], bounce("srs-2-bounce")).startswith("250")
    ((returned, _),) = outside(demo, "srs-2-bounce")
    assert returned["sender"] == ""
    assert returned["recipients"] == [SENDER]


@pytest.mark.parametrize("case", ["lower", "upper"])
def test_relays_that_fold_case_do_not_break_the_way_back(demo: Demo, case: str) -> None:
    mark = f"srs-case-{case}"
    send(demo, SENDER, GONE, signed(letter(mark)))
    ((envelope, _),) = outside(demo, mark)
    address = getattr(envelope["sender"], case)()
    assert send(demo, "", address, bounce(mark + "-bounce")).startswith("250")


@pytest.mark.parametrize("sender", ["", SENDER])
def test_a_forged_srs_address_is_refused(demo: Demo, sender: str) -> None:
    # S31
    forged = "SRS0=aaaaaaaa=bb=victim.test=x@example.test"
    assert send(demo, sender, forged, letter("forged-srs")).startswith("550 5.1.1")


def test_a_good_srs_address_takes_bounces_only(demo: Demo) -> None:
    # S31, T8
    send(demo, SENDER, GONE, signed(letter("srs-3")))
    ((envelope, _),) = outside(demo, "srs-3")
    assert send(demo, "spammer@sender.test", envelope["sender"], letter("relay-me")).startswith("550 5.7.1")


def test_our_own_senders_are_not_rewritten(demo: Demo) -> None:
    with demo.submission("alice@example.test") as client:
        client.sendmail("alice@example.test", [GONE], letter("own-1", "alice@example.test"))
    ((envelope, _),) = outside(demo, "own-1")
    assert envelope["sender"] == "alice@example.test"


def test_a_sender_too_long_for_srs_still_gets_its_bounce(demo: Demo) -> None:
    long = "x" * 60 + "@sender.test"
    assert send(demo, long, GONE, signed(letter("long-1"))).startswith("250")
    ((envelope, _),) = outside(demo, "long-1")
    assert len(envelope["sender"].partition("@")[0]) <= 64
    assert send(demo, "", envelope["sender"], bounce("long-1-bounce")).startswith("250")
    ((returned, _),) = outside(demo, "long-1-bounce")
    assert returned["recipients"] == [long]


def test_spam_is_not_forwarded_but_kept(demo: Demo) -> None:
    gtube = letter("spam-1").replace(
        b"Hello", b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\nHello"
    )
    assert send(demo, SENDER, GONE, signed(gtube)).startswith("250")
    demo.wait_for_message(GONE, b"spam-1", ".Spam")
    time.sleep(0.3)
    assert not [m for m in demo.outside() if b"spam-1" in m]


def test_mail_that_fails_dmarc_is_not_passed_on_under_our_name(demo: Demo) -> None:
    answer = send(demo, "x@forged.test", GONE, letter("forged-1", "ceo@forged.test"))
    assert answer.startswith(("250", "550 5.7.1"))
    if answer.startswith("250"):
        demo.wait_for_message(GONE, b"forged-1", ".Spam")
    assert not [m for m in demo.outside() if b"forged-1" in m]


def test_a_refusal_by_the_far_server_reaches_the_submitter_in_words(tmp_path: Path) -> None:
    bob = "bob@example.test"
    replies = {"rcpt": {"nobody@outside.test": "550 5.1.1 There is no such person here"}}
    with (
        SmtpSink(replies=replies) as sink,
        running_demo(tmp_path / "demo", "--outside", f"127.0.0.1:{sink.port}") as demo,
        demo.submission(bob) as client,
    ):
        client.sendmail(bob, ["nobody@outside.test", FRIEND], letter("dsn-1", bob))
        report = demo.wait_for_message(bob, b"There is no such person here")
        assert [message.recipients for message in sink.messages if message.is_accepted] == [(FRIEND,)]
    assert report.startswith(b"Return-Path: <>")
    assert b"multipart/report" in report
    assert b"Final-Recipient: rfc822; nobody@outside.test" in report
    assert b"Action: failed" in report
    assert b"Status: 5.1.1" in report


def test_a_report_about_a_forward_goes_to_the_original_sender(tmp_path: Path) -> None:
    # The far server refuses what gone@ forwards; the SRS sender leads the report back out.
    replies = {"rcpt": {FRIEND: "550 5.1.1 gone"}}
    with (
        DnsServer(TABLE) as dns,
        SmtpSink(replies=replies) as sink,
        running_demo(tmp_path / "demo", "--dns", dns.address, "--outside", f"127.0.0.1:{sink.port}") as demo,
    ):
        assert send(demo, SENDER, GONE, signed(letter("dsn-2"))).startswith("250")
        sink.wait_for(1)
        (report,) = [message for message in sink.messages if message.is_accepted]
    assert report.sender == ""
    assert report.recipients == (SENDER,)
