"""BDAT over sockets: what is held with the command line, what comes later, what never comes."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from tests.kit.loops import both_loops, on_uvloop, until
from tests.kit.smtp_acceptor import running
from tests.kit.smtp_talk import Talk, client_context
from tests.net.test_smtp_server import spooled


async def begin(talk: Talk, more: str = "") -> None:
    for line in (f"MAIL FROM:<a@b.test>{more}", "RCPT TO:<bob@example.test>"):
        assert (await talk.ask(line))[:3] == "250"


@both_loops
async def test_everything_may_come_at_once(tmp_path: Path) -> None:
    # RFC 3030 section 4.2
    mail = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\n"
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        talk.send(
            mail + b"BDAT 8\r\na: b\r\n\r\nBDAT 7 LAST\r\nQUIT\r\n\n" + mail + b"BDAT 1 LAST\r\nxQUIT\r\n"
        )
        said = (await talk.rest()).splitlines()
        assert [line[:3] for line in said] == ["250"] * 7 + ["221"]
        assert [data for _, data, _ in server.acceptor.taken] == [b"a: b\r\n\r\nQUIT\r\n\r\n", b"x\r\n"]


@both_loops
async def test_a_chunk_behind_many_commands_is_no_long_line(tmp_path: Path) -> None:
    recipients = b"".join(b"RCPT TO:<any%d@example.test>\r\n" % n for n in range(60))
    body = b"a: b\r\n\r\n" + b"\0" * 60_000
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        mail = b"MAIL FROM:<a@b.test> BODY=BINARYMIME\r\n" + recipients
        talk.send(mail + b"BDAT %d LAST\r\n" % len(body) + body)
        assert [(await talk.reply())[:3] for _ in range(62)] == ["250"] * 62
        assert server.acceptor.taken[0][1] == body


@both_loops
async def test_one_octet_at_a_time_is_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await begin(talk)
        for octet in b"BDAT 9\r\na: b\r\n\r\n\rBDAT 2\r\n\nxBDAT 0 LAST\r\n":
            talk.send(bytes([octet]))
            await asyncio.sleep(0)
        assert [(await talk.reply())[:3] for _ in range(3)] == ["250"] * 3
        assert server.acceptor.taken[0][1] == b"a: b\r\n\r\n\r\nx\r\n"


@both_loops
async def test_a_large_message_goes_to_the_spool_and_leaves_it(tmp_path: Path) -> None:
    block = b"y" * 98 + b"\r\n"
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await begin(talk)
        talk.send(b"BDAT 2\r\n\r\n")
        await talk.reply()
        for _ in range(4):
            talk.send(b"BDAT 200000\r\n" + block * 2000)
            assert (await talk.reply()) == "250 2.0.0 Chunk ok"
        assert spooled(server) == ["id1"]
        assert (await talk.ask("BDAT 0 LAST")) == "250 2.0.0 Ok id=id1"
        assert server.acceptor.taken[0][1] == b"\r\n" + block * 8000
        assert spooled(server) == []


@pytest.mark.parametrize("line", ["RSET", "EHLO x", "BDAT 999999999 ONCE", "BDAT 99999999"])
@on_uvloop
async def test_what_was_sent_of_a_message_that_ends_in_nothing_is_removed(tmp_path: Path, line: str) -> None:
    # S37
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await begin(talk)
        talk.send(b"BDAT 500000\r\n" + (b"z" * 98 + b"\r\n") * 5000)
        await talk.reply()
        assert spooled(server) == ["id1"]
        talk.send(line.encode() + b"\r\n")
        if line != "BDAT 99999999":
            await talk.reply()
        else:
            await talk.close()
        await until(lambda: spooled(server) == [])


@pytest.mark.parametrize("tls", [False, True])
@both_loops
async def test_a_chunk_that_breaks_off_is_not_stored(tmp_path: Path, tls: bool) -> None:
    # S14, S37 (5 octets told, 4 sent)
    async with running(tmp_path) as server:
        talk = await Talk.hello(server.port)
        if tls:
            await talk.start_tls()
            await talk.ask("EHLO x")
        await begin(talk)
        talk.send(b"BDAT 5 LAST\r\nabcd")
        await talk.writer.drain()
        await talk.close()
        await until(lambda: server.listener.connections == 0)
        assert server.acceptor.started == 0
        assert [line for line in server.lines if line.startswith("lost")]


def _ends_tls_inside_a_chunk(port: int) -> bytes:
    """close_notify in the middle of a chunk, then the rest in clear; what the server says to it."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    raw.recv(1000)
    raw.sendall(b"EHLO x\r\n")
    raw.recv(1000)
    raw.sendall(b"STARTTLS\r\n")
    raw.recv(1000)
    secure = client_context().wrap_socket(raw, suppress_ragged_eofs=False)
    for line in (b"EHLO x\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<bob@example.test>\r\n"):
        secure.sendall(line)
        assert secure.recv(1000)[:3] == b"250"
    secure.sendall(b"BDAT 20 LAST\r\na: b\r\n")
    try:
        plain = secure.unwrap()
        plain.sendall(b"\r\n0123456789ab\r\nQUIT\r\n")
        plain.settimeout(5)
        said = plain.recv(1000)
    except OSError:
        said = b""
    raw.close()
    return said


@both_loops
async def test_the_end_of_tls_inside_a_chunk_ends_the_connection(tmp_path: Path) -> None:
    # S38
    async with running(tmp_path) as server:
        said = await asyncio.to_thread(_ends_tls_inside_a_chunk, server.port)
        assert said == b""
        await until(lambda: server.listener.connections == 0)
        assert server.acceptor.started == 0
        assert os.listdir(server.spool) == []


@both_loops
async def test_chunks_have_a_deadline_and_a_rate(tmp_path: Path) -> None:
    # S16
    async with running(tmp_path, data_wait_s=0.3) as server, await Talk.hello(server.port) as talk:
        await begin(talk)
        talk.send(b"BDAT 100000\r\n")
        said = asyncio.ensure_future(talk.reply())
        while not said.done():
            talk.send(b"x")
            await asyncio.sleep(0.05)
        assert (await said)[:9] == "421 4.4.2"
        assert any("check=too_slow" in line for line in server.lines)


@on_uvloop
async def test_a_chunk_before_the_login_does_not_keep_a_session(tmp_path: Path) -> None:
    server_for_a_second = running(tmp_path, "submissions", login_wait_s=1.0)
    async with server_for_a_second as server, await Talk.hello(server.port, tls=True) as talk:
        talk.send(b"BDAT 9999999999\r\n" + b"x" * 1000)
        assert (await talk.reply())[:3] == "421"


@on_uvloop
async def test_a_client_that_went_after_the_last_chunk_has_its_mail_delivered(tmp_path: Path) -> None:
    # S15
    async with running(tmp_path) as server:
        server.acceptor.gate = asyncio.Event()
        talk = await Talk.hello(server.port)
        await begin(talk)
        talk.send(b"BDAT 6 LAST\r\na: b\r\n")
        await until(lambda: server.acceptor.started == 1)
        await talk.close()
        server.acceptor.gate.set()
        await until(lambda: len(server.acceptor.taken) == 1)


@on_uvloop
async def test_thousands_of_small_chunks_in_one_segment_are_quick(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await begin(talk)
        talk.send(b"BDAT 2\r\n\r\n" + b"BDAT 3\r\nx\r\n" * 20_000 + b"BDAT 0 LAST\r\nQUIT\r\n")
        assert (await asyncio.wait_for(talk.reader.read(), 60)).count(b"250 2.0.0 Chunk ok") == 20_001
        assert server.acceptor.taken[0][1] == b"\r\n" + b"x\r\n" * 20_000


@on_uvloop
async def test_answers_leave_before_a_chunk_is_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        talk.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nBDAT 8 LAST\r\n")
        assert [(await talk.reply())[:3] for _ in range(2)] == ["250", "250"]
        talk.send(b"a: b\r\n\r\n")
        assert (await talk.reply())[:3] == "250"
