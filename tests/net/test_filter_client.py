"""The client answers whatever the filter does: down, late, gone, talking nonsense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from mailstack.model.verdict import FilterAnswer, FilterRequest, MessageVerdict
from mailstack.net.filter_client import PAUSE_S, FilterClient
from mailstack.net.filter_wire import MAX_FRAME_OCTETS, Ask, FrameReader, Said, frame

REQUEST = FilterRequest("id", "192.0.2.1", "h", "a@b.test", (), 0.0, b"message")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def serve(path: Path, handler: Handler) -> asyncio.Server:
    return await asyncio.start_unix_server(handler, path)


async def receive(reader: asyncio.StreamReader) -> Ask:
    length = int.from_bytes(await reader.readexactly(4), "big")
    return msgspec.msgpack.decode(await reader.readexactly(length), type=Ask)


def answer(ask: Ask, score: float = 0.25) -> bytes:
    raw = msgspec.Raw(msgspec.msgpack.encode(FilterAnswer(MessageVerdict(score=score))))
    return frame(msgspec.msgpack.encode(Said(ask.number, raw)))


async def honest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            writer.write(answer(await receive(reader)))
        except asyncio.IncompleteReadError:
            writer.close()
            return


async def test_answers_come_back(tmp_path: Path) -> None:
    server = await serve(tmp_path / "f.sock", honest)
    client = FilterClient(tmp_path / "f.sock")
    answers = await asyncio.gather(*(client.ask(REQUEST) for _ in range(50)))
    assert {a.verdict.score for a in answers} == {0.25}
    await client.close()
    server.close()


async def test_answers_may_come_in_any_order(tmp_path: Path) -> None:
    async def backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asks = [await receive(reader) for _ in range(3)]
        for ask in reversed(asks):
            score = float(msgspec.msgpack.decode(ask.request, type=FilterRequest).received_at)
            writer.write(answer(ask, score))

    server = await serve(tmp_path / "f.sock", backwards)
    client = FilterClient(tmp_path / "f.sock")
    requests = [msgspec.structs.replace(REQUEST, received_at=n / 10) for n in range(3)]
    answers = await asyncio.gather(*(client.ask(request) for request in requests))
    assert [a.verdict.score for a in answers] == [0.0, 0.1, 0.2]
    await client.close()
    server.close()


async def test_a_filter_that_is_down_costs_nothing_and_is_found_again(tmp_path: Path) -> None:
    client = FilterClient(tmp_path / "f.sock")
    began = time.monotonic()
    for _ in range(100):
        assert (await client.ask(REQUEST)).verdict.unfiltered == "filter down"
    assert time.monotonic() - began < 20  # 0.1 s on a quiet machine
    server = await serve(tmp_path / "f.sock", honest)
    await asyncio.sleep(PAUSE_S)
    assert (await client.ask(REQUEST)).verdict.unfiltered == ""
    await client.close()
    server.close()


async def test_a_late_filter_is_not_waited_for(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await serve(tmp_path / "f.sock", silent)
    client = FilterClient(tmp_path / "f.sock", budget_s=0.1)
    began = time.monotonic()
    assert (await client.ask(REQUEST)).verdict.unfiltered == "timeout"
    assert time.monotonic() - began < 5
    await client.close()
    server.close()


async def test_a_filter_that_dies_answers_everybody_at_once(tmp_path: Path) -> None:
    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            await receive(reader)
        writer.transport.abort()

    server = await serve(tmp_path / "f.sock", dying)
    client = FilterClient(tmp_path / "f.sock")
    answers = await asyncio.gather(*(client.ask(REQUEST) for _ in range(3)))
    assert {a.verdict.unfiltered for a in answers} == {"filter gone"}
    await client.close()
    server.close()


async def test_a_filter_that_is_restarted_is_waited_for(tmp_path: Path) -> None:
    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receive(reader)
        server.close()
        (tmp_path / "f.sock").unlink()
        writer.transport.abort()

    server = await serve(tmp_path / "f.sock", dying)
    client = FilterClient(tmp_path / "f.sock")
    asking = [asyncio.create_task(client.ask(REQUEST)) for _ in range(5)]
    await asyncio.sleep(0.2)
    again = await serve(tmp_path / "f.sock", honest)
    assert {a.verdict.unfiltered for a in await asyncio.gather(*asking)} == {""}
    await client.close()
    assert (await client.ask(REQUEST)).verdict.unfiltered == "filter down"
    again.close()


@pytest.mark.parametrize(
    "noise",
    [
        b"\xff\xff\xff\xff",
        frame(b"\xc1"),
        frame(b"nonsense"),
        frame(msgspec.msgpack.encode([1, 2])),
        frame(b""),
    ],
)
async def test_garbage_is_survived(tmp_path: Path, noise: bytes) -> None:
    async def noisy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receive(reader)
        writer.write(noise)
        await reader.read()
        writer.close()

    server = await serve(tmp_path / "f.sock", noisy)
    client = FilterClient(tmp_path / "f.sock", budget_s=0.3)
    assert (await client.ask(REQUEST)).verdict.unfiltered in (
        "filter gone",
        "timeout",
        "garbage from the filter",
    )
    await client.close()
    server.close()


async def test_a_message_too_large_for_a_frame_is_unfiltered(tmp_path: Path) -> None:
    server = await serve(tmp_path / "f.sock", honest)
    client = FilterClient(tmp_path / "f.sock")
    large = msgspec.structs.replace(REQUEST, message=b"x" * (MAX_FRAME_OCTETS + 1))
    assert (await client.ask(large)).verdict.unfiltered == "too large"
    assert (await client.ask(REQUEST)).verdict.unfiltered == ""
    await client.close()
    server.close()


def test_frames_are_cut_however_they_arrive() -> None:
    payloads = [b"", b"a", b"bb" * 1000, b"ccc"]
    wire = b"".join(frame(p) for p in payloads)
    for step in (1, 2, 3, 7, len(wire)):
        reader = FrameReader()
        found = [f for n in range(0, len(wire), step) for f in reader.feed(wire[n : n + step])]
        assert found == payloads
