"""The places of a message's parts as a few octets, so that a large one is scanned once.

What is unpacked serves IMAP's sections: places, kinds and transfer encodings; not content
types, parameters or other fields.

Imports: scanner.  No I/O.
"""

from __future__ import annotations

import json

from mailstack.mime.scanner import Part

_PLAIN, _MULTIPART, _MESSAGE = range(3)


def pack(message: Part) -> bytes:
    """A message's parts, parents before their children."""
    out: list[int | str] = []
    work = [message]
    while work:
        part = work.pop()
        kind = _MULTIPART if part.is_multipart else _MESSAGE if part.is_message else _PLAIN
        encoding = part.fields.get(b"content-transfer-encoding", b"").decode("ascii", "replace")
        out += [part.start, part.header_end, part.end, kind, len(part.children), encoding]
        work.extend(reversed(part.children))
    return json.dumps(out, separators=(",", ":")).encode()


def unpack(packed: bytes) -> Part | None:
    """What `pack` gave; None when it is something else."""
    try:
        values = json.loads(packed)
        parts = [_part(*values[at : at + 6]) for at in range(0, len(values), 6)]
        return _joined(parts) if parts else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _part(start: int, header_end: int, end: int, kind: int, children: int, encoding: str) -> tuple[Part, int]:
    fields = {b"content-transfer-encoding": encoding.encode()} if encoding else {}
    part = Part(start, header_end, end, fields)
    part.is_multipart = kind == _MULTIPART
    part.is_message = kind == _MESSAGE
    return part, children


def _joined(parts: list[tuple[Part, int]]) -> Part:
    """Gives parents their children."""
    opened: list[tuple[Part, int]] = []
    for part, count in parts:
        while opened and not opened[-1][1]:
            opened.pop()
        if opened:
            parent, left = opened.pop()
            parent.children.append(part)
            part.depth = parent.depth + 1
            opened.append((parent, left - 1))
        opened.append((part, count))
    return parts[0][0]
