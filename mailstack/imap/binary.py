"""BINARY: parts without their transfer encoding, however large.

A large part is read once to learn its size; after that a client that fetches it in
pieces goes on where the last piece ended.

Standards: RFC 3516, RFC 9051 section 6.4.5 (BINARY items).
Imports: mime, model.  No I/O of its own: it reads through the store's MessageFile.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailstack.mime.decoder import Decoder, decoder
from mailstack.model.mailbox import MailboxError, MessageFile

#: Encoded octets read at a time.
CHUNK_OCTETS = 262_144


@dataclass(slots=True)
class Measured:
    """What is known of a part that was read once.

    Attributes:
        octets: decoded.
        has_nul: NUL is among them.
        encoded_at, decoded_at, decoder: a place to go on from.
    """

    octets: int
    has_nul: bool
    encoded_at: int
    decoded_at: int
    decoder: Decoder


@dataclass(frozen=True, slots=True)
class Body:
    """Where a part's body lies in its message, and how it is encoded."""

    start: int
    end: int
    encoding: str


def new_decoder(body: Body) -> Decoder:
    """The decoder of a body.

    Raises:
        MailboxError: UNKNOWN-CTE.
    """
    found = decoder(body.encoding)
    if found is None:
        raise MailboxError("UNKNOWN-CTE", "This transfer encoding cannot be undone")
    return found


def measure(file: MessageFile, body: Body) -> Measured:
    """Decodes all of a body to learn its size."""
    decoding = new_decoder(body)
    octets, has_nul = 0, False
    for at in range(body.start, body.end, CHUNK_OCTETS):
        data = decoding.feed(_read(file, at, min(CHUNK_OCTETS, body.end - at)))
        octets += len(data)
        has_nul = has_nul or b"\0" in data
    tail = decoding.finish()
    return Measured(octets + len(tail), has_nul or b"\0" in tail, body.start, 0, new_decoder(body))


class Decoding:
    """A range of decoded octets, taken piece by piece.

    Attributes:
        count: octets it gives in all.
        has_nul: of the whole part.
    """

    def __init__(self, file: MessageFile, body: Body, measured: Measured, first: int, count: int) -> None:
        """The octets from `first` on, at most `count`."""
        self.count = min(count, max(measured.octets - first, 0))
        self.has_nul = measured.has_nul
        self._file = file
        self._body = body
        self._measured = measured
        self._first = first
        self._left = self.count
        if measured.decoded_at > first:
            measured.encoded_at, measured.decoded_at = body.start, 0
            measured.decoder = new_decoder(body)
        self._at = measured.encoded_at
        self._decoded = measured.decoded_at
        self._decoder = measured.decoder.copy()

    def piece(self) -> bytes:
        """The next octets, never more than are left; b"" when all were given.

        Raises:
            MailboxError: the file cannot be read.
        """
        while self._left:
            self._remember()
            data = self._next()
            if not data and self._at >= self._body.end:
                return b""
            begin = max(self._first - self._decoded, 0)
            self._decoded += len(data)
            wanted = data[begin : begin + self._left]
            self._left -= len(wanted)
            if wanted:
                return wanted
        return b""

    def read(self) -> bytes:
        """All of it."""
        pieces = []
        while piece := self.piece():
            pieces.append(piece)
        return b"".join(pieces)

    def _remember(self) -> None:
        measured = self._measured
        measured.encoded_at, measured.decoded_at = self._at, self._decoded
        measured.decoder = self._decoder.copy()

    def _next(self) -> bytes:
        count = min(CHUNK_OCTETS, self._body.end - self._at)
        if count <= 0:
            return b""
        data = self._decoder.feed(_read(self._file, self._at, count))
        self._at += count
        if self._at >= self._body.end:
            data += self._decoder.finish()
        return data


def _read(file: MessageFile, at: int, count: int) -> bytes:
    data = file.read(at, count)
    if len(data) != count:
        raise MailboxError("UNAVAILABLE", "The message became shorter")
    return data
