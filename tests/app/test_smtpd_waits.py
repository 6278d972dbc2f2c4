"""The daemon and clients that take their time: slow commands, slow messages, and stress."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from tests.app.test_ports import running
from tests.kit.loops import on_uvloop
from tests.kit.smtp_talk import Talk


async def drip(talk: Talk, first: bytes) -> str:
    """Sends one octet now and then until the server says something."""
    talk.send(first)
    said = asyncio.ensure_future(talk.reply())
    while not said.done():
        talk.send(b"x")
        await asyncio.sleep(0.05)
    return await said


@pytest.mark.parametrize("first", [b"DATA\r\n", b"BDAT 100000\r\n"])
@on_uvloop
async def test_a_message_that_drips_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    # S16
    async with running(tmp_path, monkeypatch, smtp_options={"data_wait_s": 0.5}) as server:
        async with await Talk.hello(server.ports["mx"]) as talk:
            await talk.ask("MAIL FROM:<a@b.test>")
            await talk.ask("RCPT TO:<bob@example.test>")
            if first == b"DATA\r\n":  # waits for its answer
                talk.send(first)
                assert (await talk.reply())[:3] == "354"
            said = await drip(talk, b"x" if first == b"DATA\r\n" else first)
            assert said[:9] == "421 4.4.2"
        await server.until_logged("check=too_slow")


@on_uvloop
async def test_a_command_that_drips_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # S17
    async with running(tmp_path, monkeypatch, smtp_options={"command_wait_s": 0.5}) as server:
        async with await Talk.hello(server.ports["mx"]) as talk:
            assert (await drip(talk, b"NOOP "))[:9] == "421 4.4.2"
        await server.until_logged("check=timeout")


@on_uvloop
async def test_who_speaks_before_the_greeting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # S35
    async with running(tmp_path, monkeypatch, smtp_options={"greeting_wait_s": 0.5}) as server:
        async with await Talk.open(server.ports["mx"]) as talk:
            talk.send(b"EHLO x\r\n")
            assert (await talk.reply())[:9] == "554 5.5.0"
            assert await talk.rest() == ""
        await server.until_logged("check=early_talker")


@on_uvloop
async def test_many_sessions_are_stress_and_idle_ones_go_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # S43: waits that ran already are cut too
    options = {"mx_sessions": 10, "stress_wait_s": 0.5}
    async with running(tmp_path, monkeypatch, smtp_options=options) as server:
        talks = []
        for n in range(9):
            sock = socket.create_connection(
                ("127.0.0.1", server.ports["mx"]), source_address=(f"127.0.{n}.2", 0)
            )
            talks.append(Talk(*await asyncio.open_connection(sock=sock)))
        for talk in talks:
            assert (await talk.reply())[:3] == "220"
        said = [await talk.reply() for talk in talks]
        assert {line[:9] for line in said} == {"421 4.4.2"}
        for talk in talks:
            await talk.close()
        async with await Talk.hello(server.ports["mx"]) as after:
            assert (await after.ask("NOOP"))[:3] in ("250", "421")
