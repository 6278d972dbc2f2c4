"""Folders and messages of the mailbox in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mailstack.mime import lines, recode
from mailstack.model.mailbox import FilePiece, MailboxError, MessagePiece, MessageRow, NewMessage, Piece


@dataclass
class Message:
    """A message and its row; `told`: somebody has seen it as \\Recent."""

    row: MessageRow
    data: bytes
    base_name: str = ""
    told: bool = False


@dataclass
class Folder:
    """A folder and what its expunge log knows."""

    id: int
    name: str
    uid_validity: int
    special_use: str = ""
    uid_next: int = 1
    modseq: int = 1
    messages: dict[int, Message] = field(default_factory=dict)
    log: list[tuple[int, int]] = field(default_factory=list)
    #: What was expunged up to this MODSEQ is forgotten.
    floor: int = 0

    def bump(self) -> int:
        """The next MODSEQ."""
        self.modseq += 1
        return self.modseq


class File:
    """An open message; counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.closed = False
        self.octets_read = 0
        self._data = data

    @property
    def size_octets(self) -> int:
        return len(self._data)

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        found = self._data[offset:] if count is None else self._data[offset : offset + count]
        self.octets_read += len(found)
        return found

    def close(self) -> None:
        self.closed = True


def octets(message: NewMessage) -> bytes:
    """What is stored of a new message."""
    if message.data is not None:
        data = message.data
    elif message.path:
        data = Path(message.path).read_bytes()
    else:
        data = b"".join(_piece(piece) for piece in message.pieces)
    if message.binary:
        try:
            data = b"".join(recode.without_binary(data))
        except recode.NotText:
            raise MailboxError("UNKNOWN-CTE", "The message holds NUL outside its parts") from None
    return lines.normalise(data)


def _piece(piece: Piece) -> bytes:
    match piece:
        case bytes():
            return piece
        case FilePiece(path):
            return Path(path).read_bytes()
        case MessagePiece(file, start, count):
            return file.read(start, count)
