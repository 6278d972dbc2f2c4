"""Undoes a transfer encoding piece by piece, whatever the size of the pieces.

Lenient as `encoding` is, and bounded: a decoder holds back a few octets, of
quoted-printable at most one line.  A copy of a decoder goes on from the same place, so
that a client that fetches a large part in many pieces does not pay for it each time.

Standards: RFC 2045 sections 6.7 and 6.8.
Imports: nothing of ours.  No I/O.
"""

from __future__ import annotations

import binascii
from typing import Final, Protocol

#: A line of quoted-printable without end is cut here.
MAX_LINE_OCTETS: Final = 65_536
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)
_QUAD: Final = 4


class Decoder(Protocol):
    """Octets in, decoded octets out."""

    def feed(self, data: bytes) -> bytes:
        """What can be decoded by now."""
        ...

    def finish(self) -> bytes:
        """What was held back; nothing is fed afterwards."""
        ...

    def copy(self) -> Decoder:
        """Another one in the same place."""
        ...


def decoder(encoding: str) -> Decoder | None:
    """The decoder of a Content-Transfer-Encoding; None for one nobody knows.

    Args:
        encoding: in lower case.
    """
    match encoding:
        case "7bit" | "8bit" | "binary":
            return _Identity()
        case "base64":
            return _Base64()
        case "quoted-printable":
            return _QuotedPrintable()
        case _:
            return None


class _Identity:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""

    def copy(self) -> _Identity:
        return self


class _Base64:
    """Foreign octets are skipped; the first padding in its right place is the end."""

    def __init__(self) -> None:
        self._held = b""
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        if self._ended:
            return b""
        pieces = (self._held + data.translate(None, _NOT_BASE64)).split(b"=")
        length = 0
        for number, piece in enumerate(pieces[:-1], 1):
            length += len(piece)
            if length % _QUAD >= 2:
                self._ended = True
                return _decode(b"".join(pieces[:number]))
            # RFC 2045 section 6.8: padding stands at the end; here "=" is a foreign octet.
        text = b"".join(pieces)
        whole = len(text) - len(text) % _QUAD
        self._held = text[whole:]
        return binascii.a2b_base64(text[:whole])

    def finish(self) -> bytes:
        return b"" if self._ended else _decode(self._held)

    def copy(self) -> _Base64:
        other = _Base64()
        other._held, other._ended = self._held, self._ended
        return other


def _decode(text: bytes) -> bytes:
    """Base64 without its padding; a lone last character says nothing."""
    if len(text) % _QUAD == 1:
        text = text[:-1]
    return binascii.a2b_base64(text + b"=" * (-len(text) % _QUAD))


class _QuotedPrintable:
    """Whole lines at a time; "=ZZ" stays as it is."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        cut = data.rfind(b"\n") + 1
        if len(data) - cut > MAX_LINE_OCTETS:
            # An "=" and what belongs to it stay together.
            near = data.rfind(b"=", len(data) - 3)
            cut = near if near >= 0 else len(data)
        self._held = data[cut:]
        return binascii.a2b_qp(data[:cut])

    def finish(self) -> bytes:
        return binascii.a2b_qp(self._held)

    def copy(self) -> _QuotedPrintable:
        other = _QuotedPrintable()
        other._held = self._held
        return other
