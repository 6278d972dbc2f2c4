"""Message files: written whole and durably, read by offset, always with CRLF.

What we write has CRLF line ends.  A file another program put there may have bare line
feeds: it is left as it is, and converted each time it is read, so that its size, its
structure and its octets always agree.

Standards: RFC 3501 section 6.4.5; the Maildir convention.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from mailstack.disk.durable import write_all
from mailstack.disk.fault import fault_point, is_armed
from mailstack.mime import lines, recode
from mailstack.mime.header import Octets
from mailstack.model.mailbox import FilePiece, MailboxError, MessagePiece, NewMessage, Piece

#: Messages up to this size are read at once and hold no descriptor.
SMALL_OCTETS = 64 * 1024
_CHUNK_OCTETS = 256 * 1024
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class Examined(NamedTuple):
    """A file somebody else put there.

    Attributes:
        size: octets we will serve.
        disk_size: octets on disk when line ends must be converted, else None.
        internal_at: when it was written; Unix seconds.
        open_end: its last line has no end.
    """

    size: int
    disk_size: int | None
    internal_at: int
    open_end: bool = False


class OpenMessage:
    """An open message; implements model.mailbox.MessageFile."""

    __slots__ = ("_data", "_fd", "size_octets", "trouble")

    def __init__(self, fd: int, size_octets: int, data: bytes | None) -> None:
        self._fd = fd
        self._data = data
        self.size_octets = size_octets
        #: Told when it cannot be read.
        self.trouble: Callable[[OSError], None] | None = None

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        """Octets from `offset`, never behind the end.

        Raises:
            MailboxError: UNAVAILABLE: a read error, or the file became shorter.
        """
        if offset < 0 or (count is not None and count < 0):
            raise ValueError("offset and count are not negative")
        left = max(self.size_octets - offset, 0)
        count = left if count is None else min(count, left)
        if self._data is not None:
            return self._data[offset : offset + count]
        data = self._pread(offset, count)
        if len(data) != count:
            raise MailboxError("UNAVAILABLE", "the message became shorter while it was read")
        return data

    def _pread(self, offset: int, count: int) -> bytes:
        pieces = []
        while count:
            try:
                piece = os.pread(self._fd, min(count, 1 << 24), offset)
            except OSError as error:
                if self.trouble is not None:
                    self.trouble(error)
                raise MailboxError("UNAVAILABLE", f"the message cannot be read: {error.strerror}") from error
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Releases the descriptor; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class Changed(Exception):
    """The file is not what the index says: another size, or no regular file."""


def open_message(path: str, *, size: int, disk_size: int | None) -> OpenMessage:
    """Opens a message file whose sizes the index knows.

    Raises:
        FileNotFoundError: it is not there.
        Changed: its size is another, or it is no regular file (T65: no link is followed).
        MailboxError: UNAVAILABLE: it cannot be read.
    """
    fd, found = _open_regular(path)
    try:
        if found != (size if disk_size is None else disk_size):
            raise Changed(path)
        if disk_size is not None:
            data = lines.normalise(_read_all(fd, found))
            if len(data) != size:
                raise Changed(path)
        elif size <= SMALL_OCTETS:
            data = _read_all(fd, found)
            if len(data) != size:
                raise Changed(path)
        else:
            opened = OpenMessage(fd, size, None)
            fd = -1
            return opened
    finally:
        if fd >= 0:
            os.close(fd)
    return OpenMessage(-1, size, data)


def examine(path: str) -> Examined | None:
    """Looks at a file another program put there; None when it is no readable regular file."""
    try:
        fd, size = _open_regular(path)
    except (OSError, Changed, MailboxError):
        return None
    try:
        feeds = returns = pairs = 0
        last = b""
        for chunk in _chunks(fd):
            feeds += chunk.count(b"\n")
            returns += chunk.count(b"\r")
            pairs += chunk.count(b"\r\n") + (last == b"\r" and chunk[:1] == b"\n")
            last = chunk[-1:]
        served = size + feeds - pairs
        clean = feeds == returns == pairs
        open_end = last not in (b"", b"\n")
        return Examined(served, None if clean else size, int(os.fstat(fd).st_mtime), open_end)
    except OSError:
        return None
    finally:
        os.close(fd)


def _open_regular(path: str) -> tuple[int, int]:
    try:
        fd = os.open(path, _READ_FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MailboxError("UNAVAILABLE", f"the message cannot be opened: {error.strerror}") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise Changed(path)
    return fd, status.st_size


def _read_all(fd: int, size: int) -> bytes:
    """The whole file; one octet more is asked for, so that a longer one is noticed."""
    try:
        data = os.read(fd, size + 1)
        if len(data) >= size or not data:
            return data
        pieces = [data]
        while piece := os.read(fd, _CHUNK_OCTETS):
            pieces.append(piece)
        return b"".join(pieces)
    except OSError as error:
        raise MailboxError("UNAVAILABLE", f"the message cannot be read: {error.strerror}") from error


def _chunks(fd: int) -> Iterator[bytes]:
    while chunk := os.read(fd, _CHUNK_OCTETS):
        yield chunk


class Written(NamedTuple):
    """A message in tmp/: its octets when they were at hand, and how many.

    Attributes:
        open_end: its last line has no end.
    """

    path: str
    size: int
    data: bytes | None
    open_end: bool = False


def write_message(
    path: str,
    message: NewMessage,
    *,
    prefix: bytes = b"",
    cuts: Sequence[tuple[int, int]] = (),
    internal_at: int,
) -> Written:
    """Writes a new message to a file that must not exist, and fsyncs it.

    Line ends are made CRLF where they are not; on any failure the file is removed.

    Args:
        prefix: goes in front.
        cuts: ranges of the message's octets that are left out, ascending.
        internal_at: becomes the file's time, from which a rebuild takes it.

    Raises:
        OSError: as the system gave it.
        MailboxError: UNAVAILABLE: what to write cannot be read; UNKNOWN-CTE: it is binary
            where it cannot be encoded.
    """
    data: bytes | None = None
    if message.data is not None:
        kept = _encoded(message.data, cuts) if message.binary else _kept(message.data, cuts)
        data = lines.normalise(b"".join([prefix, *kept]))
    fd = os.open(path, _WRITE_FLAGS, 0o600)
    try:
        try:
            if data is not None:
                size, last = _write_data(fd, data), data[-1:]
            else:
                size, last = _write_chunks(fd, itertools.chain((prefix,), _chunks_of(message, cuts)))
            os.utime(fd, (internal_at, internal_at))
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return Written(path, size, data, open_end=last not in (b"", b"\n"))


def _write_data(fd: int, data: bytes) -> int:
    if is_armed("mailbox.tmp_half"):
        half = len(data) // 2
        write_all(fd, data[:half])
        fault_point("mailbox.tmp_half")
        write_all(fd, data[half:])
    else:
        write_all(fd, data)
    return len(data)


def _write_chunks(fd: int, chunks: Iterable[bytes]) -> tuple[int, bytes]:
    """Octets written, and the last one."""
    size, last = 0, b""
    for chunk in lines.normalise_chunks(chunks):
        write_all(fd, chunk)
        size += len(chunk)
        last = chunk[-1:]
        fault_point("mailbox.tmp_half")
    return size, last


def _chunks_of(message: NewMessage, cuts: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    if message.binary:
        yield from _encoded_file(message.path, cuts)
    elif message.pieces:
        for piece in message.pieces:
            yield from _piece_chunks(piece)
    else:
        yield from _kept_chunks(message.path, cuts)


def _piece_chunks(piece: Piece) -> Iterator[bytes]:
    match piece:
        case bytes():
            yield piece
        case FilePiece(path):
            yield from _kept_chunks(path, ())
        case MessagePiece(file, start, count):
            for at in range(start, start + count, _CHUNK_OCTETS):
                yield file.read(at, min(_CHUNK_OCTETS, start + count - at))


def _encoded_file(path: str, cuts: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    # A temporary file of ours, which nobody else makes shorter: so it can be mapped.
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        yield from _encoded(data, cuts)


def _encoded(data: Octets, cuts: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    try:
        yield from recode.without_binary(data, cuts)
    except recode.NotText:
        raise MailboxError("UNKNOWN-CTE", "the message holds NUL outside its parts") from None


def _kept(data: bytes, cuts: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    at = 0
    for start, end in cuts:
        yield data[at:start]
        at = end
    yield data[at:] if at else data


def _kept_chunks(path: str, cuts: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    try:
        fd, size = _open_regular(path)
    except (FileNotFoundError, Changed) as error:
        raise MailboxError("UNAVAILABLE", "the message to store is gone") from error
    try:
        at = 0
        for start, end in [*cuts, (size, size)]:
            while at < start:
                chunk = os.pread(fd, min(_CHUNK_OCTETS, start - at), at)
                if not chunk:
                    raise MailboxError("UNAVAILABLE", "the message to store became shorter")
                at += len(chunk)
                yield chunk
            at = end
    finally:
        os.close(fd)
