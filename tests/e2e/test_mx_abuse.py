"""Port 25 against abuse, with real daemons: relays, block lists, circles, guesses, connection counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.kit.demo import Demo, calm, running_demo
from tests.kit.dns_server import DnsServer
from tests.kit.process import eventually
from tests.kit.smtp_wire import Wire

ALICE, BOB, CARA = "alice@example.test", "bob@example.test", "postmaster@example.test"
SPAMMER, HONEST, QUIET = "203.0.113.66", "203.0.113.77", "203.0.113.88"
TABLE: dict[str, dict[str, Any]] = {
    "66.113.0.203.zen.test": {"A": ["127.0.0.4"]},
    "66.113.0.203.second.test": {"A": ["127.0.0.2"]},
    "77.113.0.203.zen.test": {"A": ["127.255.255.254"]},
    "77.113.0.203.second.test": {"A": []},
    "77.113.0.203.in-addr.arpa": {"PTR": ["mx.honest.test"]},
    "mx.honest.test": {"A": [HONEST]},
    "88.113.0.203.zen.test": {"A": "TIMEOUT"},
    "88.113.0.203.second.test": {"A": "TIMEOUT"},
    "88.113.0.203.in-addr.arpa": {"PTR": "TIMEOUT"},
    "forged.test": {"TXT": ["v=spf1 -all"]},
    "_dmarc.forged.test": {"TXT": ["v=DMARC1; p=reject"]},
}
RELAYS = '[mx]\ntrusted_relays = ["127.0.0.1", "::1"]\n'
LISTS = """
[[filter.block_list]]
zone = "zen.test"
answers = {"127.0.0.4-127.0.0.7" = 4.0}

[[filter.block_list]]
zone = "second.test"
name = "the second list"
weight = 3
"""


def letter(mark: str, *, client: str = "", sender: str = "x@sender.test", extra: str = "") -> bytes:
    received = (
        f"Received: from sender.test (sender.test [{client}])\r\n\tby relay.example.test; x\r\n"
        if client
        else ""
    )
    return (
        f"{received}{extra}From: Some One <{sender}>\r\nTo: you\r\nSubject: lunch {mark}\r\n"
        f"Message-ID: <{mark}@sender.test>\r\n\r\nAre you free for lunch today?\r\n"
    ).encode()


def send(demo: Demo, to: str, message: bytes, sender: str = "x@sender.test") -> str:
    with Wire(demo.host, demo.port("mx")).start("relay.example.test") as wire:
        return wire.mail(sender, [to], message)


def verdict(message: bytes) -> str:
    head = message.partition(b"\r\n\r\n")[0].decode()
    return next(line for line in head.split("\r\n") if line.startswith("X-Mailstack-Verdict: "))


def is_greeted(demo: Demo) -> bool:
    try:
        with Wire(demo.host, demo.port("mx")) as wire:
            return wire.reply().startswith("220")
    except OSError:
        return False


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("abuse") / "demo"
    with (
        DnsServer(TABLE) as dns,
        running_demo(
            folder, "--dns", dns.address, change=lambda text: text.replace("[mx]\n", RELAYS) + LISTS
        ) as demo,
    ):
        yield demo


def test_lists_speak_about_the_client_behind_the_relay(relayed: Demo) -> None:
    assert send(relayed, ALICE, letter("bl-1", client=SPAMMER)).startswith("250")
    found = verdict(relayed.wait_for_message(ALICE, b"bl-1", ".Spam"))
    assert "listed_zen.test:3.43" in found  # 4 and 3 are cut to 6 together
    assert "listed_the_second_list:2.57" in found
    assert "no_reverse_name:" in found


def test_errors_of_a_list_are_no_listing(relayed: Demo) -> None:
    assert send(relayed, ALICE, letter("bl-2", client=HONEST)).startswith("250")
    found = verdict(relayed.wait_for_message(ALICE, b"bl-2"))
    assert "list_error:0.00" in found
    assert "listed_" not in found
    assert "reverse" not in found


def test_silent_lists_delay_mail_little_and_harm_it_not(relayed: Demo) -> None:
    # P13
    began = time.monotonic()
    assert send(relayed, ALICE, letter("bl-3", client=QUIET)).startswith("250")
    found = verdict(relayed.wait_for_message(ALICE, b"bl-3"))
    assert time.monotonic() - began < 9
    assert "listed_" not in found
    assert "unfiltered" not in found


def test_a_forgery_from_a_relay_is_filed_not_refused(relayed: Demo) -> None:
    message = letter("relay-1", client=SPAMMER, sender="boss@forged.test")
    assert send(relayed, ALICE, message, "boss@forged.test").startswith("250")
    stored = relayed.wait_for_message(ALICE, b"relay-1", ".Spam")
    assert b"dmarc=fail" in stored
    relayed.logs("looked_through")
    relayed.logs(f"client={SPAMMER}")


def test_a_circle_is_found_by_its_token(relayed: Demo) -> None:
    # S41
    assert send(relayed, BOB, letter("loop-1", client=HONEST)).startswith("250")
    stored = relayed.wait_for_message(BOB, b"loop-1")
    assert send(relayed, BOB, stored).startswith("554 5.4.6")
    assert send(relayed, ALICE, stored).startswith("250")
    plain = letter("loop-2", client=HONEST, extra=f"Delivered-To: {BOB}\r\n")
    assert send(relayed, BOB, plain).startswith("250")


def test_hops_end_a_circle_too(relayed: Demo) -> None:
    # S40
    field = "Received: from a by b; x\r\n"
    assert send(relayed, ALICE, letter("hops-1", extra=field * 51)).startswith("554 5.4.6")
    assert send(relayed, ALICE, letter("hops-2", extra=field * 100_000)).startswith("55")
    assert send(relayed, ALICE, letter("hops-3", extra=field * 40)).startswith("250")


# -- without relays -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("limits") / "demo"
    smtp = 'error_delay_s = 0.05\nmx_connections_per_minute = "off"\n\n[mx]\nguesses = 30\n'
    with running_demo(folder, "--limits", change=partial(calm, smtp=smtp)) as demo:
        yield demo


def test_the_21st_connection_is_refused_whichever_worker_has_the_others(limited: Demo) -> None:
    # S42
    wires, said = [], []
    try:
        for _ in range(25):
            wire = Wire(limited.host, limited.port("mx"))
            wires.append(wire)
            said.append(wire.reply()[:9])
        assert [line[:3] for line in said].count("220") == 20
        assert [line for line in said if not line.startswith("220")] == ["421 4.7.0"] * 5
    finally:
        for wire in wires:
            wire.close()
    eventually(lambda: is_greeted(limited), explain=limited.log)


def test_50_unknown_recipients_end_sessions_and_put_the_client_off(limited: Demo) -> None:
    # S44
    refused = 0
    for _ in range(3):
        with Wire(limited.host, limited.port("mx")).start("guess.test") as wire:
            assert wire.command("MAIL FROM:<x@sender.test>").startswith("250")
            for n in range(18):
                answer = wire.command(f"RCPT TO:<nobody{n}%x@example.test>")
                refused += answer.startswith("550")
                if not answer.startswith("550"):
                    break
    assert 30 <= refused <= 54

    def ask(address: str) -> str:
        with Wire(limited.host, limited.port("mx")).start("guess.test") as wire:
            wire.command("MAIL FROM:<x@sender.test>")
            answer = wire.command(f"RCPT TO:<{address}>")[:9]
            assert not answer.startswith("421") or wire.reply() == ""
            return answer

    def is_put_off() -> bool:
        # A worker that knows it not yet counts a good recipient, which speaks for the client:
        # five unknown ones (`guesses_ratio`) outweigh it.
        for n in range(5):
            ask(f"nobody{n}%x@example.test")
        return ask(ALICE) == "421 4.7.1"

    eventually(is_put_off, 60, limited.log, every_s=1)
    assert ask(CARA) == "250 2.1.5"
    (row,) = limited.json("client", "list")
    assert (row["client"], row["why"]) == ("127.0.0.1/32", "guesses recipients")
    limited.logs("check=guessing")
    limited.cli("client", "forget", "127.0.0.1")

    def is_forgotten() -> bool:
        # A worker may have written meanwhile what it counted before.
        limited.cli("client", "forget", "127.0.0.1", check=False)
        return send(limited, ALICE, letter("guess-1")).startswith("250")

    eventually(is_forgotten, 60, limited.log, every_s=1)
