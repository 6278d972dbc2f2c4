"""Whatever the daemon refuses, `log explain` gives its facts, rule and key."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.kit.demo import Demo
from tests.kit.process import eventually
from tests.kit.smtp_probe import Probe, mail

ALICE, FREE, NOBODY = "alice@example.test", "carol@example.test", "nobody@sub.example.test"


def _mx(demo: Demo) -> Probe:
    return Probe((demo.host, demo.port("mx"))).open()


def _login(demo: Demo, address: str = ALICE) -> Probe:
    probe = Probe((demo.host, demo.port("submissions")), tls=demo.tls()).open()
    assert probe.login(address, demo.users[address]).code == 235
    return probe


def _relay(demo: Demo, sender: str) -> None:
    probe = _mx(demo)
    probe.ask(f"MAIL FROM:<{sender}>")
    assert probe.ask("RCPT TO:<victim@elsewhere.test>").code == 550


def _gone(demo: Demo, sender: str) -> None:
    demo.cli("user", "add", "leaver@example.test", check=False)
    demo.cli("user", "remove", "leaver@example.test", check=False)
    probe = _mx(demo)
    probe.ask(f"MAIL FROM:<{sender}>")
    assert probe.ask("RCPT TO:<leaver@example.test>").code == 550


def _size(demo: Demo, sender: str) -> None:
    assert _mx(demo).ask(f"MAIL FROM:<{sender}> SIZE=9999999999").code == 552


def _mismatch(demo: Demo, sender: str) -> None:
    assert _login(demo).ask(f"MAIL FROM:<{sender}>").code in (550, 553)


def _author(demo: Demo, sender: str) -> None:
    probe = _login(demo)
    probe.envelope([ALICE], sender=ALICE)
    assert probe.message(f"From: {sender}\r\nSubject: x\r\n\r\nx\r\n".encode()).code == 550


def _too_many(demo: Demo, sender: str) -> None:
    probe = _login(demo, FREE)
    probe.envelope([f"alice+{n}@example.test" for n in range(10)], sender=FREE)
    assert probe.ask(f"RCPT TO:<{sender}>").code == 550


def _loop(demo: Demo, sender: str) -> None:
    probe = _mx(demo)
    probe.envelope([ALICE], sender=sender)
    hops = b"Received: from a.test by b.test; Sun, 22 Nov 2026 10:00:00 +0000\r\n" * 120
    assert probe.message(hops + mail("loop")).code == 554


def _smuggling(demo: Demo, sender: str) -> None:
    probe = _mx(demo)
    probe.envelope([ALICE], sender=sender)
    assert probe.ask("DATA").code == 354
    probe.send(mail("smuggling", body=b"a\n.\nb\r\n") + b".\r\n")
    assert probe.reply().code == 550


def _two_authors(demo: Demo, sender: str) -> None:
    probe = _mx(demo)
    probe.envelope([ALICE], sender=sender)
    assert probe.message(b"From: a@outside.test\r\nFrom: b@outside.test\r\n\r\nx\r\n").code == 550


@pytest.mark.parametrize(
    ("refuse", "word", "key"),
    [
        (_relay, "relay", None),
        (_gone, "gone", None),
        (_size, "size", "smtp.message_octets"),
        (_mismatch, "sender", None),
        (_author, "from", None),
        (_too_many, "too_many", "smtp.free_recipients"),
        (_loop, "loop", "smtp.hops"),
        (_smuggling, "smuggling", None),
        (_two_authors, "two_authors", None),
    ],
)
def test_a_refusal_is_explained(
    demo: Demo, refuse: Callable[[Demo, str], None], word: str, key: str | None
) -> None:
    # Found by what it was about, or by the client; here by an address of its own.
    sender = f"explain-{word.replace('_', '-')}@outside.test"
    refuse(demo, sender)

    def found() -> list[dict[str, object]]:
        events = json.loads(demo.cli("--json", "log", "explain", "127.0.0.1", check=False) or "[]")
        return [event for event in events if event["fields"].get("check") == word]

    eventually(lambda: bool(found()))
    event = found()[-1]
    said = event["explanation"]
    assert isinstance(said, dict)
    assert said["rule"]
    assert said["advice"]
    assert key is None or key in said["configuration"]


def test_an_unknown_recipient_is_found_by_its_address(demo: Demo) -> None:
    probe = _mx(demo)
    probe.ask("MAIL FROM:<explain@outside.test>")
    assert probe.ask(f"RCPT TO:<{NOBODY}>").code == 550
    eventually(lambda: "rule" in demo.cli("log", "explain", NOBODY, check=False))


def test_a_refused_recipient_is_found_by_its_sender_too(demo: Demo) -> None:
    _relay(demo, "explain-sender@outside.test")
    eventually(lambda: "relay" in demo.cli("log", "explain", "explain-sender@outside.test", check=False))


def test_what_a_login_was_refused_is_found_by_its_address(demo: Demo) -> None:
    _mismatch(demo, "not-me@outside.test")
    eventually(lambda: "not-me@outside.test" in demo.cli("log", "explain", ALICE, check=False))
