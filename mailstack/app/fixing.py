"""Writes a submission anew as `smtp/fixups` says: in memory, or from file to file.

A message too large for memory is never held whole: it is mapped, and written piece by piece
beside its spool file, whose place the new one takes.

Standards: RFC 6409 section 8.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterable
from dataclasses import replace

from mailstack.disk.durable import failure, write_all
from mailstack.mime.sevenbit import is_plain
from mailstack.model.envelope import Body, Envelope
from mailstack.smtp import fixups

#: Octets that are gathered before they are written.
_WRITE_OCTETS = 1 << 20


def fix(body: Body, message: bytes | mmap.mmap, wishes: fixups.Wishes) -> Body:
    """The fixed message; blocking.

    Args:
        body: where `message` lies; a file of its is replaced.

    Raises:
        TemporaryFailure: the disk is full or broken.
    """
    pieces = fixups.fix(message, wishes)
    if body.data is not None:
        data = b"".join(pieces)
        return replace(body, data=data, size_octets=len(data))
    path = f"{body.path}.fixed"
    try:
        size_octets = _write(path, pieces)
        os.replace(path, body.path)
    except OSError as error:
        raise failure(error, "writing the message with its fix-ups") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return replace(body, size_octets=size_octets)


def _write(path: str, pieces: Iterable[bytes]) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size, held, held_octets = 0, [], 0
        for piece in pieces:
            held.append(piece)
            held_octets += len(piece)
            if held_octets >= _WRITE_OCTETS:
                write_all(fd, b"".join(held))
                size, held, held_octets = size + held_octets, [], 0
        write_all(fd, b"".join(held))
        return size + held_octets
    finally:
        os.close(fd)


def relabel(envelope: Envelope, body: Body, message: bytes | mmap.mmap) -> tuple[Envelope, Body]:
    """Both as the fixed message wants them: 7BIT and not binary when there is nothing else in it."""
    if envelope.body == "7BIT" or not is_plain(message):
        return envelope, body
    return replace(envelope, body="7BIT"), replace(body, is_binary=False)
