"""A mail server that takes everything and keeps nothing: `python -m bench.outbound_sink PORT`.

Listens on every address of this machine, so that 127.0.0.0/8 holds as many destinations as
one likes.  `XCOUNT` answers how many messages came so far.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

_EHLO = b"250-sink.test\r\n250-PIPELINING\r\n250-SIZE 60000000\r\n250-8BITMIME\r\n250 DSN\r\n"


class Sink(asyncio.Protocol):
    """One connection.  Commands may come in one block; a message ends with its dot."""

    count = 0

    def __init__(self) -> None:
        self._rest = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answers whatever is whole."""
        self._rest += data
        answers = b""
        while True:
            end = b"\r\n.\r\n" if self._in_data else b"\r\n"
            one, found, rest = self._rest.partition(end)
            if not found:
                break
            self._rest = rest
            answers += self._answer(one)
        if answers:
            self._transport.write(answers)

    def _answer(self, line: bytes) -> bytes:
        if self._in_data:
            self._in_data = False
            Sink.count += 1
            return b"250 2.0.0 taken\r\n"
        verb = line[:4].upper()
        if verb == b"DATA":
            self._in_data = True
            return b"354 go on\r\n"
        if verb == b"XCOU":
            return b"250 %d\r\n" % Sink.count
        if verb == b"QUIT":
            self._transport.write(b"221 2.0.0 bye\r\n")
            self._transport.close()
            return b""
        return _EHLO if verb == b"EHLO" else b"250 2.0.0 ok\r\n"


async def main(port: int) -> None:
    """Serves until it is killed."""
    server = await asyncio.get_running_loop().create_server(Sink, "0.0.0.0", port, backlog=1_000)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
