"""Devices over real sockets: patience, odd commands, no login from a known address."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.accounts import PRINTER
from tests.kit.smtp_acceptor import Running, running
from tests.kit.smtp_talk import Talk

LOGIN = {"login": "printer@example.test", "password": "printer-pw"}
ALICE = {"login": "alice@example.test", "password": "a$1 geheim"}


async def to_data(talk: Talk, server: Running, sender: str) -> None:
    """Up to the 354; from then on the server is short of room."""
    assert (await talk.ask(f"MAIL FROM:<{sender}>"))[:3] == "250"
    assert (await talk.ask("RCPT TO:<bob@example.test>"))[:3] == "250"
    server.shared.is_stressed = lambda: True
    assert (await talk.ask("DATA"))[:3] == "354"


async def test_a_scanner_may_pause_also_when_we_are_in_a_hurry(tmp_path: Path) -> None:
    # Product page, section 6: pauses of minutes while scanning
    async with (
        running(tmp_path, "submissions", stress_wait_s=0.2, submission_data_wait_s=60.0) as server,
        await Talk.hello(server.port, tls=True, **LOGIN) as talk,
    ):
        await to_data(talk, server, "scan")
        talk.send(b"page 1\r\n")
        await asyncio.sleep(1)
        talk.send(b"page 2\r\n.\r\n")
        assert (await talk.reply())[:3] == "250"


async def test_a_person_who_pauses_then_is_cut_off(tmp_path: Path) -> None:
    async with (
        running(tmp_path, "submissions", stress_wait_s=0.2, submission_data_wait_s=60.0) as server,
        await Talk.hello(server.port, tls=True, **ALICE) as talk,
    ):
        await to_data(talk, server, "alice@example.test")
        talk.send(b"page 1\r\n")
        assert (await talk.reply())[:3] == "421"


async def test_a_known_address_sends_without_login_and_tls(tmp_path: Path) -> None:
    # limits, section 8
    async with running(tmp_path, "submission") as server:
        server.acceptor.devices["127.0.0.1"] = PRINTER
        async with await Talk.open(server.port) as talk:
            await talk.reply()
            assert (await talk.ask("HELO"))[:3] == "250"
            assert (await talk.ask("AUTH LOGIN"))[:3] == "530"
            await talk.begin(sender="anybody@any.test")
            assert (await talk.ask("scan\r\n."))[:3] == "250"
            assert (await talk.ask("STARTTLS"))[:3] == "220"
        envelope = server.acceptor.taken[0][0]
        assert (envelope.sender, envelope.client.by_address) == ("printer@example.test", True)


async def test_the_device_is_looked_for_at_submission_only(tmp_path: Path) -> None:
    async with running(tmp_path, "mx") as server:
        server.acceptor.devices["127.0.0.1"] = PRINTER
        async with await Talk.hello(server.port) as talk:
            assert (await talk.ask("MAIL FROM:<x@far.test>"))[:3] == "250"
            assert (await talk.ask("RCPT TO:<x@elsewhere.test>"))[:3] == "550"


@pytest.mark.parametrize(
    "message",
    [b"From: a@b\n\nbare\nlines\n", b"\r\n\r\n", b"no header at all\n"],
    ids=["lf", "empty", "text"],
)
async def test_bare_line_feeds_and_missing_headers_are_taken_from_devices(
    tmp_path: Path, message: bytes
) -> None:
    # S4, S46
    async with running(tmp_path, "submissions") as server:
        async with await Talk.hello(server.port, tls=True, **LOGIN) as talk:
            await talk.begin(sender="scan")
            talk.send(message + b"\r\n.\r\n")
            assert (await talk.reply())[:3] == "250"
        data = server.acceptor.taken[0][1]
        assert data.count(b"\n") == data.count(b"\r\n")
