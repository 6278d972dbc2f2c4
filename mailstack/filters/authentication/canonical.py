"""Canonical forms of fields and bodies, hashed in pieces.

dkimpy's own regular expressions take quadratic time on long runs of blanks (64 KiB of
them: seconds) and copy the body several times, so only the forms themselves are ours:
linear, in pieces, memory flat for 50 MB (D19).  tests/filters compares both.

Standards: RFC 6376 section 3.4.
"""

from __future__ import annotations

import hashlib
from mmap import mmap

#: Octets of body handled at one time.
PIECE_OCTETS = 262_144


def relaxed_field(name: bytes, value: bytes) -> bytes:
    """A field in the relaxed form, with its final CRLF.

    Source: RFC 6376 section 3.4.2.
    """
    text = value.replace(b"\r\n", b"")
    if b"\n" in text:
        text = text.replace(b"\n", b"")
    return name.rstrip(b" \t").lower() + b":" + _without_runs(text).strip(b" ") + b"\r\n"


class BodyHash:
    """SHA-256 of a canonical body, and its length in octets.

    Source: RFC 6376 sections 3.4.3 (simple) and 3.4.4 (relaxed).
    """

    def __init__(self, *, relaxed: bool) -> None:
        self._relaxed = relaxed
        self._hash = hashlib.sha256()
        self._empty_lines = 0  # not yet hashed: they count only when something follows
        self._any = False
        self._last = b""
        self.octets = 0

    def update(self, piece: bytes) -> None:
        """Takes whole lines (the last piece may lack its line end)."""
        if self._relaxed:
            piece = _relax(piece)
        content = _without_final_empty_lines(piece)
        # "abc\r\n\r\n": one line end belongs to the last line, the others are empty lines.
        trailing = (len(piece) - len(content)) // 2
        if content:
            self._flush()
            ended = piece[len(content) : len(content) + 2]
            self._add(content + ended)
            self._any = True
            trailing -= 1 if ended else 0
        self._empty_lines += max(trailing, 0)

    def _flush(self) -> None:
        while self._empty_lines:
            count = min(self._empty_lines, PIECE_OCTETS)
            self._add(b"\r\n" * count)
            self._empty_lines -= count

    def _add(self, data: bytes) -> None:
        self._hash.update(data)
        self.octets += len(data)
        self._last = data[-2:]

    def digest(self) -> bytes:
        """The hash; a missing final CRLF is added as the RFC says."""
        if self._any:
            if self._last != b"\r\n":
                self._add(b"\r\n")
        elif not self._relaxed:
            self._add(b"\r\n")  # section 3.4.3: an empty simple body is one CRLF
            self._any = True
        return self._hash.digest()


def hash_body(message: bytes | mmap, body_at: int, *, relaxed: bool) -> tuple[bytes, int]:
    """SHA-256 and length of the canonical body that starts at `body_at`."""
    out = BodyHash(relaxed=relaxed)
    at, end = body_at, len(message)
    while at < end:
        stop = at + PIECE_OCTETS
        if stop < end:
            line_end = message.rfind(b"\r\n", at, stop)
            # Without a line end in reach the piece grows to the next one: SMTP bounds lines to 64 KiB.
            stop = line_end + 2 if line_end >= 0 else message.find(b"\r\n", stop - 1) + 2
            stop = end if stop < at + 2 else stop
        out.update(bytes(message[at:stop]))
        at = stop
    digest = out.digest()
    return digest, out.octets


def _relax(piece: bytes) -> bytes:
    return _without_runs(piece).replace(b" \r\n", b"\r\n")


def _without_runs(text: bytes) -> bytes:
    """Each run of blanks as one space."""
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    while b"  " in text:  # halves the runs each time; a pattern's sub would build a list of every piece
        text = text.replace(b"  ", b" ")
    return text


def _without_final_empty_lines(piece: bytes) -> bytes:
    """`piece` without the CRLFs at its end."""
    content = piece.rstrip(b"\r\n")
    tail = piece[len(content) :]
    if tail.count(b"\r\n") * 2 == len(tail):
        return content
    end = len(piece)
    while piece.endswith(b"\r\n", 0, end) and end > len(content):
        end -= 2
    return piece[:end]
