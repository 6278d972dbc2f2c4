"""COMPRESS=DEFLATE over real sockets, with a client of our own (I28)."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from pathlib import Path

from mailstack.imap.options import ImapOptions
from tests.kit.bare_session import PASSWORD, USER, message
from tests.kit.imap_service import ImapService, RawClient, running
from tests.kit.loops import both_loops
from tests.kit.memory_mailbox import MemoryMailbox


class PackedClient:
    """A client that compresses."""

    def __init__(self, raw: RawClient) -> None:
        self.raw = raw
        self.received = 0
        self._pack = zlib.compressobj(6, zlib.DEFLATED, -15)
        self._inflate = zlib.decompressobj(-15)
        self._text = b""

    @classmethod
    async def connect(cls, service: ImapService, *, tls: bool = True) -> PackedClient:
        """Logs in and turns compression on."""
        context = service.client_context if tls else None
        raw = await RawClient.connect(service.tls_port if tls else service.port, context)
        await raw.log_in()
        assert await raw.command(b"COMPRESS DEFLATE") == [b"t OK DEFLATE active"]
        return cls(raw)

    async def send(self, data: bytes) -> None:
        """Compressed and flushed."""
        await self.raw.send(self._pack.compress(data) + self._pack.flush(zlib.Z_SYNC_FLUSH))

    async def line(self) -> bytes:
        """The next line; b"" at the end."""
        async with asyncio.timeout(60):
            while b"\r\n" not in self._text:
                data = await self.raw.reader.read(65_536)
                if not data:
                    return b""
                self.received += len(data)
                self._text += self._inflate.decompress(data)
        line, _, self._text = self._text.partition(b"\r\n")
        return line

    async def command(self, text: bytes) -> list[bytes]:
        """One command and all its lines."""
        await self.send(b"t " + text + b"\r\n")
        lines = [await self.line()]
        while not lines[-1].startswith(b"t ") and lines[-1]:
            lines.append(await self.line())
        return lines


@both_loops
async def test_everything_behind_the_ok_is_compressed_in_both_directions(tmp_path: Path) -> None:
    store = MemoryMailbox()
    for number in range(500):
        store.add("INBOX", message(subject=f"number {number}"))
    async with running(tmp_path, store=store) as service:
        client = await PackedClient.connect(service)
        assert b"* 500 EXISTS" in await client.command(b"SELECT INBOX")
        before = client.received
        lines = await client.command(b"FETCH 1:* (FLAGS ENVELOPE)")
        assert len(lines) == 501 and lines[-1] == b"t OK Fetch completed"
        assert client.received - before < sum(map(len, lines)) / 3
        data = message(subject="appended", body="x" * 100_000)
        await client.send(b"t APPEND INBOX {%d+}\r\n%b\r\n" % (len(data), data))
        while not (line := await client.line()).startswith(b"t "):
            pass
        assert line.startswith(b"t OK [APPENDUID")
        assert store.data("INBOX", 501) == data
        assert (await client.command(b"LOGOUT"))[-1].startswith(b"t OK")
        assert await client.line() == b""
        await client.raw.close()


async def test_it_works_together_with_idle(tmp_path: Path) -> None:
    store = MemoryMailbox()
    async with running(tmp_path, store=store) as service:
        client = await PackedClient.connect(service)
        await client.command(b"SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
        for number in range(1, 4):
            store.add("INBOX", message())
            service.hub.heard({"event": "mailbox", "account": USER, "folder": "INBOX"})
            assert await client.line() == b"* %d EXISTS" % number
            assert (await client.line()).endswith(b"RECENT")
        await client.send(b"DONE\r\n")
        assert (await client.line()).startswith(b"i OK")
        assert (await client.command(b"NOOP"))[-1].startswith(b"t OK")
        await client.raw.close()


async def test_it_is_refused_twice_before_login_and_for_other_kinds(tmp_path: Path) -> None:
    # I28
    async with running(tmp_path) as service:
        raw = await RawClient.connect(service.port)
        assert b"COMPRESS" not in await raw.line()
        assert (await raw.command(b"COMPRESS DEFLATE"))[-1].startswith(b"t BAD")
        await raw.command(f'LOGIN "{USER}" "{PASSWORD}"'.encode())
        assert b"COMPRESS=DEFLATE" in (await raw.command(b"CAPABILITY"))[0]
        for wrong in (b"COMPRESS", b"COMPRESS LZ4", b"COMPRESS DEFLATE NOW"):
            assert (await raw.command(wrong))[-1].startswith(b"t BAD")
        await raw.command(b"COMPRESS DEFLATE")
        client = PackedClient(raw)
        assert (await client.command(b"COMPRESS DEFLATE"))[-1].startswith(b"t NO [COMPRESSIONACTIVE]")
        assert b"COMPRESS=DEFLATE" not in (await client.command(b"CAPABILITY"))[0]
        await raw.close()


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    options = ImapOptions(allow_plaintext_loopback=True, compress=False)
    async with running(tmp_path, options=options) as service:
        raw = await (await RawClient.connect(service.port)).log_in()
        assert b"COMPRESS" not in (await raw.command(b"CAPABILITY"))[0]
        assert (await raw.command(b"COMPRESS DEFLATE"))[-1].startswith(b"t NO [CANNOT]")
        await raw.close()


async def test_octets_behind_the_command_end_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        raw = await (await RawClient.connect(service.port)).log_in()
        await raw.send(b"t COMPRESS DEFLATE\r\nu NOOP\r\n")
        assert (await raw.line()).startswith(b"* BYE")
        assert await raw.line() == b""
        await raw.close()


async def test_what_is_not_compressed_ends_the_connection_with_a_compressed_bye(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await PackedClient.connect(service)
        await client.raw.send(b"t NOOP\r\n" * 10)
        assert (await client.line()).startswith(b"* BYE")
        await client.raw.close()


async def test_an_inflate_bomb_meets_the_same_limits_as_what_it_stands_for(tmp_path: Path) -> None:
    # T70: 200 MB of one line in 200 KB.
    async with running(tmp_path) as service:
        client = await PackedClient.connect(service)
        pack = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = pack.compress(b"x" * 200_000_000) + pack.flush(zlib.Z_SYNC_FLUSH)
        with contextlib.suppress(ConnectionError):
            await client.raw.send(bomb)
        assert (await client.line()).startswith(b"* BYE [TOOBIG]")
        await client.raw.close()


async def test_unauthenticate_ends_compression(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await PackedClient.connect(service)
        assert (await client.command(b"UNAUTHENTICATE"))[-1].startswith(b"t OK")
        assert (await client.raw.command(f'LOGIN "{USER}" "{PASSWORD}"'.encode()))[-1].startswith(b"t OK")
        await client.raw.close()


@both_loops
async def test_what_is_compressed_may_come_in_single_octets(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        client = await PackedClient.connect(service, tls=False)
        for number in range(3):
            packed = client._pack.compress(b"t NOOP\r\n") + client._pack.flush(zlib.Z_SYNC_FLUSH)
            for at in range(len(packed)):
                await client.raw.send(packed[at : at + 1])
                await asyncio.sleep(0.001)  # most of them are read alone
            assert await client.line() == b"t OK NOOP completed", number
        await client.raw.close()
