"""clamd asked about messages: the real one, one that lies, one that is not there; M22."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.model.errors import ConfigError
from mailstack.model.verdict import VirusScan
from mailstack.net.clamd import MAX_ANSWER_OCTETS, Clamd
from mailstack.net.clamd_options import ClamdOptions, parse_address
from tests.kit.clamd import NAME, VIRUS, FakeClamd, real_clamd

CLEAN = b"Subject: lunch\r\n\r\nAre you free?\r\n"
BAD = b"Subject: lunch\r\n\r\n" + VIRUS + b"\r\n"


def scanner(address: str, **options: object) -> Clamd:
    return Clamd(ClamdOptions(address=address, **options))  # type: ignore[arg-type]


async def scan(clamd: Clamd, message: bytes, budget_s: float = 60) -> VirusScan:
    return await clamd.scan(message, "", len(message), budget_s=budget_s)


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_clamd(tmp_path_factory.mktemp("clamd"), stream_octets=1_000_000) as address:
        yield address


async def test_the_real_one_finds_a_virus_and_clears_others(clamd: str, tmp_path: Path) -> None:
    asked = scanner(clamd, budget_s=30)
    assert await scan(asked, CLEAN) == VirusScan("clean")
    assert await scan(asked, BAD) == VirusScan("found", NAME)
    attached = (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(VIRUS * 3)
    )
    assert (await scan(asked, attached)).result == "found"
    file = tmp_path / "message"
    file.write_bytes(CLEAN * 10_000 + BAD)
    found = await asked.scan(None, str(file), file.stat().st_size, budget_s=60)
    assert found == VirusScan("found", NAME)
    many = await asyncio.gather(*(scan(asked, CLEAN if n % 2 else BAD) for n in range(40)))
    assert [one.result for one in many] == ["found", "clean"] * 20


async def test_the_real_one_has_a_limit_of_its_own(clamd: str) -> None:
    asked = scanner(clamd, budget_s=30, failures=1)
    large = await scan(asked, b"x" * 3_000_000)
    assert large == VirusScan("unscanned", why="clamd: INSTREAM size limit exceeded.")
    # That is no reason to leave it alone.
    assert (await scan(asked, BAD)).result == "found"


@pytest.mark.parametrize(
    "answer",
    [
        b"stream: OK\n\0",
        b"stream: OK\0stream: Eicar FOUND\0",
        b"stream: OK\nstream: Eicar FOUND\0",
        b"stream: Eicar FOUND\r\nX-Spam: no\0",
        b"stream: \xff\xfe FOUND\0",
        b"stream: a b FOUND\0",
        b"stream:  FOUND\0",
        b"stream: OK",
        b"OK\0",
        b"",
        b"\0",
        b"\0\0\0\0",
        bytes(range(256)),
        b"stream: " + b"x" * 201 + b" FOUND\0",
        b"x" * (MAX_ANSWER_OCTETS * 100),
        b"stream: OK\0" + b"more" * 1_000,
    ],
    ids=range(16),
)
async def test_an_answer_that_is_none_counts_as_none(tmp_path: Path, answer: bytes) -> None:
    # M22: extra lines, binary, half answers
    async with FakeClamd(tmp_path, answer) as fake:
        asked = scanner(fake.address)
        assert await scan(asked, BAD) == VirusScan("unscanned", why="clamd answers nonsense")
        assert fake.got == BAD


async def test_it_is_sent_the_whole_message(tmp_path: Path) -> None:
    async with FakeClamd(tmp_path) as fake:
        asked = scanner(fake.address)
        for size in (0, 1, 65_535, 65_536, 65_537, 300_000):
            message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            assert await scan(asked, message) == VirusScan("clean")
            assert fake.got == message


async def test_it_may_take_so_long(tmp_path: Path) -> None:
    async with FakeClamd(tmp_path, wait_s=30) as fake:
        began = time.monotonic()
        slow = await scan(scanner(fake.address, budget_s=0.2), CLEAN)
        assert slow == VirusScan("unscanned", why="clamd does not answer in time")
        slow = await scan(scanner(fake.address, budget_s=60), CLEAN, budget_s=0.2)
        assert slow.result == "unscanned"
        assert time.monotonic() - began < 10


async def test_waiting_for_a_turn_counts_too(tmp_path: Path) -> None:
    async with FakeClamd(tmp_path, wait_s=1.0) as fake:
        asked = scanner(fake.address, connections=1, budget_s=1.9, failures=100)
        found = await asyncio.gather(*(scan(asked, CLEAN) for _ in range(4)))
        assert sorted(one.result for one in found)[0] == "clean"
        assert "unscanned" in [one.result for one in found]


async def test_one_that_is_gone_is_left_alone_for_a_while(tmp_path: Path) -> None:
    fake = FakeClamd(tmp_path)
    asked = scanner(fake.address, failures=2, rest_s=1.5)
    for _ in range(2):
        assert (await scan(asked, CLEAN)).why == "clamd cannot be reached: No such file or directory"
    async with fake:
        assert (await scan(asked, CLEAN)).why == "clamd is left alone after failures"
        assert fake.asked == 0
        while (found := await scan(asked, CLEAN)).result != "clean":
            assert found.why == "clamd is left alone after failures"
            await asyncio.sleep(0.01)


async def test_one_that_hangs_up_is_heard_first(tmp_path: Path) -> None:
    async with FakeClamd(tmp_path, b"no. ERROR\0", hangs_up=True) as fake:
        found = await scan(scanner(fake.address), b"x" * 5_000_000)
        assert found.result == "unscanned"
        assert found.why in ("clamd: no.", "clamd answers nonsense")


async def test_what_is_too_large_is_not_sent(tmp_path: Path) -> None:
    async with FakeClamd(tmp_path) as fake:
        asked = scanner(fake.address, max_octets=100)
        assert (await scan(asked, b"x" * 100)).result == "clean"
        assert await scan(asked, b"x" * 101) == VirusScan("unscanned", why="larger than clamd.max_octets")
        assert fake.asked == 1


async def test_a_message_that_is_gone_is_not_the_scanners_fault(tmp_path: Path) -> None:
    async with FakeClamd(tmp_path) as fake:
        asked = scanner(fake.address, failures=1)
        gone = await asked.scan(None, str(tmp_path / "gone"), 10, budget_s=5)
        assert gone.why == "the message cannot be read: No such file or directory"
        assert (await scan(asked, CLEAN)).result == "clean"


async def test_over_tcp(tmp_path: Path) -> None:
    fake = FakeClamd(tmp_path)
    server = await asyncio.start_server(fake._serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await scan(scanner(f"127.0.0.1:{port}"), CLEAN) == VirusScan("clean")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("unix:/run/clamav/clamd.ctl", "/run/clamav/clamd.ctl"),
        ("127.0.0.1", ("127.0.0.1", 3310)),
        ("127.0.0.1:99", ("127.0.0.1", 99)),
        ("localhost:99", ("127.0.0.1", 99)),
        ("[::1]:99", ("::1", 99)),
        ("::1", ("::1", 3310)),
    ],
)
def test_addresses(text: str, where: object) -> None:
    assert parse_address(text) == where


@pytest.mark.parametrize("text", ["unix:clamd", "clamd.example:3310", "127.0.0.1:x", "127.0.0.1:0", "x", "["])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        ClamdOptions(address=text)


async def test_waiting_for_others_is_no_failure_of_clamd(tmp_path: Path) -> None:
    async with FakeClamd(tmp_path, b"stream: OK\0", wait_s=0.5) as fake:
        asked = scanner(fake.address, connections=1, failures=1, budget_s=30)
        first = asyncio.create_task(scan(asked, CLEAN))
        await asyncio.sleep(0)
        waits = await scan(asked, CLEAN, budget_s=0.05)
        assert waits == VirusScan("unscanned", why="too many messages wait for clamd")
        assert (await first).result == "clean"
        assert (await scan(asked, CLEAN)).result == "clean", "it is not left alone"
