"""The message files of the queue: durable, and self-describing.

A file is the message's octets, then one line of JSON with the envelope, then a footer of
fixed length.  With the footer the rows of a lost database can be made again (F23).  The
file never changes; what has been delivered stands in the database only.

    <octets><JSON>\\nmailstack-queue 1 <length of JSON, 10 digits> <SHA-256 of JSON>\\n
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Protocol

import msgspec

from mailstack.delivery.entry import Kind, QueueMessage, QueueRecipient, RecipientKind
from mailstack.delivery.rank import LOOK_OCTETS, NORMAL, rank_of
from mailstack.disk.durable import GroupSync, guarded, make_folder, write_synced
from mailstack.disk.fault import fault_point
from mailstack.mime.header import Octets
from mailstack.mime.scanner import scan
from mailstack.model.errors import TemporaryFailure

BLOCK_OCTETS = 262_144
#: Messages up to this size are held in memory during an attempt.
IN_MEMORY_OCTETS = 1_048_576
#: 500 recipients of 1 KiB each fit; nothing of ours is longer.
MAX_ENVELOPE_OCTETS = 16_777_216

_MAGIC = b"mailstack-queue 1 "
_FOOTER_OCTETS = 1 + len(_MAGIC) + 10 + 1 + 64 + 1


class QueuePaths(Protocol):
    """The folders of a queue; `mailstack.app.paths.Paths` has them."""

    @property
    def queue_db(self) -> Path:
        """The database."""
        ...

    @property
    def queue_messages(self) -> Path:
        """Message files by queue id."""
        ...

    @property
    def queue_tmp(self) -> Path:
        """Files that are being written; same file system."""
        ...

    @property
    def queue_quarantine(self) -> Path:
        """Files that must not be delivered as they are."""
        ...


class _Short(OSError):
    """A file ends before the size its row states."""


class StoredRecipient(msgspec.Struct, frozen=True):
    """A recipient in a file's trailer; the fields of QueueRecipient."""

    address: str
    notify: tuple[str, ...] = ()
    orcpt: str = ""
    kind: RecipientKind = "remote"
    owner: str = ""
    detail: str = ""
    original: str = ""


class Envelope(msgspec.Struct, frozen=True):
    """A file's trailer; `size_octets` and `sha256` are those of the message alone."""

    queue_id: str
    accept_id: str
    kind: Kind
    sender: str
    owner: str
    is_sender_verified: bool
    smtputf8: bool
    body: str
    has_8bit: bool
    has_8bit_header: bool
    ret: str
    envid: str
    created_at: float
    size_octets: int
    sha256: str
    recipients: tuple[StoredRecipient, ...]
    requiretls: bool = False
    rank: int = NORMAL


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file that is not what its row says.  `why`: a sentence without its subject."""

    why: str


@dataclass(frozen=True, slots=True)
class Content:
    """The octets of a queued message: in memory when small, else the front of a file."""

    data: bytes | None
    path: Path
    size_octets: int

    def read(self) -> bytes:
        """All of it.

        Raises:
            TemporaryFailure: the file cannot be read.
        """
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """All of it in blocks of at most BLOCK_OCTETS; TemporaryFailure as in `read`."""
        if self.data is not None:
            yield self.data
            return
        with guarded("reading a queued message"), self.path.open("rb") as file:
            yield from _blocks(file.fileno(), self.size_octets)


class Spool:
    """Writes, reads and removes message files.  Thread-safe."""

    def __init__(self, paths: QueuePaths, *, bulk_recipients: int) -> None:
        """Touches nothing.

        Args:
            bulk_recipients: from so many recipients on a message is bulk.
        """
        self._bulk_recipients = bulk_recipients
        self.messages = paths.queue_messages
        self.tmp = paths.queue_tmp
        self.quarantine = paths.queue_quarantine
        self._group = GroupSync()

    def make_folders(self) -> None:
        """Creates what is missing."""
        for folder in (self.messages, self.tmp, self.quarantine):
            with guarded("making the queue's folders"):
                make_folder(folder)

    def path(self, queue_id: str) -> Path:
        """Where the file of a message lies."""
        return self.messages / queue_id

    def write(self, message: QueueMessage, queue_id: str, created_at: float) -> Envelope:
        """Writes and fsyncs a file in tmp; `publish` makes it count.

        Raises:
            TemporaryFailure: the caller discards what may be left.
        """
        writing = _Writing(message, queue_id, created_at, self._bulk_recipients)
        with guarded("writing to the queue"):
            write_synced(self.tmp / queue_id, writing.chunks())
            fault_point("queue.spool_synced")
        assert writing.envelope is not None
        return writing.envelope

    def publish(self, queue_ids: Sequence[str]) -> None:
        """Gives files their final names, durably; several share one fsync of the folder.

        Raises:
            TemporaryFailure: the caller discards what may be left.
        """
        with guarded("writing to the queue"):
            for queue_id in queue_ids:
                os.rename(self.tmp / queue_id, self.path(queue_id))
            fault_point("queue.renamed")
            self._group.sync(self.messages)
            fault_point("queue.folder_synced")

    def discard(self, queue_ids: Sequence[str]) -> None:
        """Removes files that never counted, wherever they are by now; missing ones are no error."""
        for queue_id in queue_ids:
            with contextlib.suppress(OSError):
                (self.tmp / queue_id).unlink()
        self.remove(queue_ids)

    def remove(self, queue_ids: Sequence[str]) -> None:
        """Removes files that no longer count; missing ones are no error."""
        for queue_id in queue_ids:
            with contextlib.suppress(OSError):
                os.unlink(f"{self.messages}/{queue_id}")

    def open(self, queue_id: str, size_octets: int, sha256: str) -> Content | Damaged:
        """The message, after its octets were compared with its row.

        Raises:
            TemporaryFailure: the file is there and cannot be read.
        """
        path = self.path(queue_id)
        try:
            with path.open("rb") as file:
                data, digest = _digest(file.fileno(), size_octets)
        except FileNotFoundError:
            return Damaged("its file is missing")
        except _Short:
            return Damaged("its file is shorter than it was")
        except OSError as error:
            raise TemporaryFailure(f"the file {path} cannot be read: {error.strerror}") from error
        if digest != sha256:
            return Damaged("its file has been changed")
        return Content(data, path, size_octets)

    def isolate(self, queue_id: str) -> Path | None:
        """Moves a file to quarantine; None when there is none."""
        target = self.quarantine / queue_id
        with guarded("moving a file to quarantine"):
            try:
                os.rename(self.path(queue_id), target)
            except FileNotFoundError:
                return None
            self._group.sync(self.quarantine)
        return target


class _Writing:
    """The octets of a file to be, and what is learned of them on the way."""

    def __init__(self, message: QueueMessage, queue_id: str, created_at: float, bulk_recipients: int) -> None:
        self._message = message
        self._queue_id = queue_id
        self._created_at = created_at
        self._bulk_recipients = bulk_recipients
        self._front = b""
        self._hash = hashlib.sha256()
        self._size = 0
        self._has_8bit = False
        self._header_8bit = False
        self._header_tail: bytes | None = b""
        self.envelope: Envelope | None = None

    def chunks(self) -> Iterator[bytes]:
        for chunk in self._octets():
            self._learn(chunk)
            yield chunk
        self.envelope = self._describe()
        yield trailer(self.envelope)
        fault_point("queue.spool_written")

    def _octets(self) -> Iterator[bytes]:
        if self._message.prefix:
            yield self._message.prefix
        if self._message.data is not None:
            yield self._message.data
            return
        with open(self._message.path, "rb") as file:
            if self._message.path_octets is not None:
                yield from _blocks(file.fileno(), self._message.path_octets)
                return
            while block := os.read(file.fileno(), BLOCK_OCTETS):
                yield block

    def _learn(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._size += len(chunk)
        if len(self._front) < LOOK_OCTETS:
            self._front += chunk[: LOOK_OCTETS - len(self._front)]
        is_ascii = chunk.isascii()
        self._has_8bit |= not is_ascii
        if self._header_tail is None:
            return
        seen = self._header_tail + chunk
        end = 0 if not self._size - len(chunk) and chunk.startswith(b"\r\n") else seen.find(b"\r\n\r\n")
        self._header_8bit |= not is_ascii and not (seen if end < 0 else seen[:end]).isascii()
        self._header_tail = seen[-3:] if end < 0 else None

    def _describe(self) -> Envelope:
        message = self._message
        return Envelope(
            queue_id=self._queue_id,
            accept_id=message.accept_id,
            kind=message.kind,
            sender=message.sender,
            owner=message.owner,
            is_sender_verified=message.is_sender_verified,
            smtputf8=message.smtputf8,
            body=message.body,
            has_8bit=self._has_8bit,
            has_8bit_header=self._header_8bit or self._has_8bit_part(),
            ret=message.ret,
            envid=message.envid,
            created_at=self._created_at,
            size_octets=self._size,
            sha256=self._hash.hexdigest(),
            recipients=tuple(_stored(recipient) for recipient in message.recipients),
            requiretls=message.requiretls,
            rank=rank_of(
                message.kind,
                self._front,
                recipients=len(message.recipients),
                is_whole=self._size == len(self._front),
                bulk_recipients=self._bulk_recipients,
            ),
        )

    def _has_8bit_part(self) -> bool:
        """True for UTF-8 in the header of a part, of a message that came with SMTPUTF8."""
        message = self._message
        if not message.smtputf8 or not self._has_8bit:
            return False
        if message.data is not None:
            return has_8bit_part(message.data)
        with open(message.path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as octets:
            return has_8bit_part(octets)


def _stored(recipient: QueueRecipient) -> StoredRecipient:
    return StoredRecipient(
        recipient.address,
        tuple(sorted(recipient.notify)),
        recipient.orcpt,
        recipient.kind,
        recipient.owner,
        recipient.detail,
        recipient.original,
    )


def has_8bit_part(octets: Octets) -> bool:
    """True when the header of a part below the first holds octets above 127 (RFC 6532)."""
    work = list(scan(octets).children)
    while work:
        part = work.pop()
        if not octets[part.start : part.header_end].isascii():
            return True
        work.extend(part.children)
    return False


def trailer(envelope: Envelope) -> bytes:
    """JSON and footer as they stand behind the message."""
    text = msgspec.json.encode(envelope)
    digest = hashlib.sha256(text).hexdigest().encode()
    return b"".join((text, b"\n", _MAGIC, b"%010d " % len(text), digest, b"\n"))


def read_trailer(path: Path) -> Envelope | Damaged:
    """The envelope a file describes itself with; its message is compared too.

    Raises:
        TemporaryFailure: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = _read_trailer(file.fileno())
    except OSError as error:
        raise TemporaryFailure(f"the file {path} cannot be read: {error.strerror}") from error
    if isinstance(found, Envelope) and found.queue_id != path.name:
        return Damaged("its trailer names another message")
    return found


def _read_trailer(fd: int) -> Envelope | Damaged:
    size = os.fstat(fd).st_size
    if size < _FOOTER_OCTETS:
        return Damaged("it is no queue file: too short")
    footer = os.pread(fd, _FOOTER_OCTETS, size - _FOOTER_OCTETS)
    fields = footer[1 + len(_MAGIC) : -1].split(b" ")
    if not footer.startswith(b"\n" + _MAGIC) or not footer.endswith(b"\n") or not fields[0].isdigit():
        return Damaged("it has no trailer: it was not written to its end")
    length = int(fields[0])
    start = size - _FOOTER_OCTETS - length
    if start < 0 or length > MAX_ENVELOPE_OCTETS:
        return Damaged("its trailer states a wrong length")
    text = os.pread(fd, length, start)
    if hashlib.sha256(text).hexdigest().encode() != fields[-1]:
        return Damaged("its trailer has been changed")
    try:
        envelope = msgspec.json.decode(text, type=Envelope)
    except msgspec.MsgspecError:
        return Damaged("its trailer is of another version")
    if envelope.size_octets != start or _digest(fd, start)[1] != envelope.sha256:
        return Damaged("its message has been changed")
    return envelope


def _digest(fd: int, size: int) -> tuple[bytes | None, str]:
    """SHA-256 of the first `size` octets, and the octets themselves when they are few."""
    digest = hashlib.sha256()
    kept = []
    for block in _blocks(fd, size):
        digest.update(block)
        if size <= IN_MEMORY_OCTETS:
            kept.append(block)
    return (b"".join(kept) if size <= IN_MEMORY_OCTETS else None), digest.hexdigest()


def _blocks(fd: int, size: int) -> Iterator[bytes]:
    offset = 0
    while offset < size:
        block = os.pread(fd, min(BLOCK_OCTETS, size - offset), offset)
        if not block:
            raise _Short(errno.ENODATA, "shorter than it was")
        offset += len(block)
        yield block
