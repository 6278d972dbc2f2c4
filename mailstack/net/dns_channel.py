"""One question to one resolver and its answer: UDP, then TCP when it was cut.

Sockets are connected, so the kernel drops answers of strangers and reports a closed port;
each is used for a limited number of questions, so that source ports change.

Standards: RFC 1035 section 4.2, RFC 5452 (forgery resilience), RFC 7766 (TCP).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field

import dns.flags
import dns.message

from mailstack.model.dns import Question
from mailstack.net.dns_wire import MAX_ANSWER_OCTETS, make_query, read_response

#: Questions per source port, and sockets open at one time per server.
MAX_USES = 200
MAX_CHANNELS = 8


class NoServer(Exception):
    """The server's port is closed or its network cannot be reached."""


class Unaskable(Exception):
    """The name cannot stand in a DNS message: such a name does not exist."""


@dataclass(slots=True, eq=False)
class _Channel(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport | None = None
    uses: int = 0
    closed: bool = False
    pending: dict[int, tuple[dns.message.Message, asyncio.Future[dns.message.QueryMessage]]] = field(
        default_factory=dict
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self.closed:
            transport.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        entry = self.pending.get(int.from_bytes(data[:2], "big"))
        if entry is None or entry[1].done():
            return
        response = read_response(data, entry[0])
        if response is not None:
            entry[1].set_result(response)

    def error_received(self, exc: Exception) -> None:
        for _, future in self.pending.values():
            if not future.done():
                future.set_exception(NoServer(str(exc)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.error_received(exc or ConnectionError("closed"))

    def close(self) -> None:
        self.closed = True
        if self.transport is not None:
            self.transport.close()


class Server:
    """One resolver we ask."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.port = port
        self._channels: list[_Channel] = []
        self._next = 0
        self._opening = asyncio.Lock()

    async def ask(self, question: Question) -> dns.message.QueryMessage:
        """The server's response; waits for ever, so bound it with a timeout.

        Raises:
            NoServer: it cannot be reached.
            Unaskable: the name is too long or otherwise impossible.
        """
        channel = await self._channel()
        number = self._free_number(channel)
        query = make_query(question, number)
        if query is None:
            raise Unaskable
        future = asyncio.get_running_loop().create_future()
        channel.pending[number] = (query, future)
        channel.uses += 1
        try:
            assert channel.transport is not None
            channel.transport.sendto(query.to_wire())
            response: dns.message.QueryMessage = await future
        finally:
            del channel.pending[number]
            if channel.uses >= MAX_USES and not channel.pending:
                channel.close()
        if response.flags & dns.flags.TC:
            return await self._ask_by_tcp(query)
        return response

    def close(self) -> None:
        """Closes the sockets; open questions fail."""
        for channel in self._channels:
            channel.close()

    @staticmethod
    def _free_number(channel: _Channel) -> int:
        number = secrets.randbelow(65_536)
        while number in channel.pending:
            number = secrets.randbelow(65_536)
        return number

    async def _channel(self) -> _Channel:
        self._channels = [c for c in self._channels if not c.closed]
        usable = [c for c in self._channels if c.uses < MAX_USES]
        if len(usable) < MAX_CHANNELS:
            async with self._opening:
                usable.append(await self._open())
        return secrets.choice(usable)

    async def _open(self) -> _Channel:
        loop, channel = asyncio.get_running_loop(), _Channel()
        try:
            await loop.create_datagram_endpoint(lambda: channel, remote_addr=(self.address, self.port))
        except OSError as error:
            raise NoServer(str(error)) from None
        except asyncio.CancelledError:
            channel.close()  # uvloop does not, and waits for its socket when the loop ends
            raise
        self._channels.append(channel)
        return channel

    async def _ask_by_tcp(self, query: dns.message.Message) -> dns.message.QueryMessage:
        try:
            reader, writer = await asyncio.open_connection(self.address, self.port)
        except OSError as error:
            raise NoServer(str(error)) from None
        try:
            wire = query.to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            length = int.from_bytes(await reader.readexactly(2), "big")
            data = await reader.readexactly(min(length, MAX_ANSWER_OCTETS))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise NoServer(str(error)) from None
        finally:
            writer.close()
        response = read_response(data, query)
        if response is None:
            raise NoServer("broken answer")
        return response
