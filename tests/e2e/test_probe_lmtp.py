"""A black-box probe of LMTP over TCP: RFC 2033, against the whole instance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.demo import Demo
from tests.kit.smtp_probe import Probe, mail

ALICE, BOB = "alice@example.test", "bob@example.test"
NOBODY = "nobody@sub.example.test"


@pytest.fixture
def bare(demo: Demo) -> Iterator[Probe]:
    """Connected, the greeting read."""
    with Probe((demo.host, demo.port("lmtp"))) as probe:
        assert probe.greeting().code == 220
        yield probe


@pytest.fixture
def probe(bare: Probe) -> Probe:
    """After LHLO."""
    bare.hello("LHLO")
    return bare


def test_lhlo_offers_what_lmtp_must_have(probe: Probe) -> None:
    # RFC 2033 section 5
    assert {"PIPELINING", "ENHANCEDSTATUSCODES"} <= probe.keywords.keys()
    assert {"8BITMIME", "SIZE"} <= probe.keywords.keys()


@pytest.mark.parametrize("verb", ["HELO", "EHLO"])
def test_smtps_hello_is_an_unknown_command(bare: Probe, verb: str) -> None:
    # RFC 2033 section 4.1: 500
    assert bare.ask(f"{verb} probe.test", status=False).code == 500
    bare.hello("LHLO")


def test_lhlo_is_none_of_smtps(demo: Demo) -> None:
    with Probe((demo.host, demo.port("mx"))) as probe:
        probe.greeting()
        assert probe.ask("LHLO probe.test", status=False).code == 500


def test_each_recipient_has_its_own_reply(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 2033 section 4.2: one reply per accepted RCPT, in their order
    assert probe.ask("MAIL FROM:<a@outside.test>").code == 250
    assert [probe.ask(f"RCPT TO:<{to}>").code for to in (ALICE, NOBODY, BOB)] == [250, 550, 250]
    assert probe.ask("DATA").code == 354
    probe.send(mail(mark) + b".\r\n")
    assert [probe.reply().code for _ in range(2)] == [250, 250]
    assert probe.ask("NOOP").code == 250
    for address in (ALICE, BOB):
        assert demo.wait_for_message(address, mark.encode())


def test_a_recipient_given_twice_is_answered_twice(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 2033 section 4.2: a reply for each successful RCPT, without regard to duplicates
    probe.envelope([ALICE, ALICE])
    assert probe.ask("DATA").code == 354
    probe.send(mail(mark) + b".\r\n")
    assert [probe.reply().code for _ in range(2)] == [250, 250]
    assert probe.ask("NOOP").code == 250
    demo.wait_for_message(ALICE, mark.encode())
    assert sum(mark.encode() in message for message in demo.messages(ALICE)) == 1


def test_data_without_a_recipient_is_503(probe: Probe) -> None:
    # RFC 2033 section 4.2
    assert probe.ask("MAIL FROM:<a@outside.test>").code == 250
    assert probe.ask(f"RCPT TO:<{NOBODY}>").code == 550
    assert probe.ask("DATA").code == 503


def test_the_last_chunk_is_answered_for_each_recipient(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 2033 section 4.3
    octets = mail(mark)
    probe.envelope([ALICE, BOB])
    probe.send(b"BDAT 10\r\n" + octets[:10])
    assert probe.reply().code == 250
    probe.send(b"BDAT %d LAST\r\n" % (len(octets) - 10) + octets[10:])
    assert [probe.reply().code for _ in range(2)] == [250, 250]
    assert probe.ask("NOOP").code == 250
    assert demo.wait_for_message(BOB, mark.encode())


def test_a_message_refused_as_a_whole_is_refused_for_each(probe: Probe, mark: str) -> None:
    probe.envelope([ALICE, BOB])
    assert probe.ask("DATA").code == 354
    probe.send(mail(mark, body=b"one\n.\nMAIL FROM:<evil@outside.test>\r\n") + b".\r\n")
    assert [probe.reply().code for _ in range(2)] == [550, 550]
    assert probe.ask("NOOP").code == 250


def test_the_trace_says_lmtp(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 3848
    probe.envelope([ALICE])
    assert probe.ask("DATA").code == 354
    probe.send(mail(mark) + b".\r\n")
    assert probe.reply().code == 250
    assert b"with LMTP" in demo.wait_for_message(ALICE, mark.encode())


def test_nothing_is_relayed(probe: Probe) -> None:
    probe.ask("MAIL FROM:<a@outside.test>")
    assert probe.ask("RCPT TO:<victim@elsewhere.test>").code in (550, 554)


def test_the_whole_transaction_in_one_write(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 2920 section 3.1, with LMTP's several replies
    probe.send(f"MAIL FROM:<a@outside.test>\r\nRCPT TO:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n".encode())
    assert [probe.reply().code for _ in range(4)] == [250, 250, 250, 354]
    probe.send(mail(mark) + b".\r\nQUIT\r\n")
    assert [probe.reply().code for _ in range(3)] == [250, 250, 221]
    assert probe.is_closed()
