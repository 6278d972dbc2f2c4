"""Messages that go from one account to another: copied, durable, and only then removed.

All or none: the copies are one APPEND.  When the originals cannot be removed after a MOVE,
the copies are taken back; if that fails too, a message is there twice, never not at all.
An original that somebody else removed meanwhile was theirs to expunge or to move: of two
MOVEs of one message, one has it.

Standards: RFC 4314 section 4 (flags by rights), RFC 6851 (MOVE).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import (
    AccountStore,
    Copied,
    Flags,
    MailboxError,
    MessageFile,
    MessagePiece,
    NewMessage,
)

_OTHERS = Flags.ANSWERED | Flags.FLAGGED | Flags.DRAFT


class Source(NamedTuple):
    """A folder messages come from."""

    store: AccountStore
    folder_id: int


class Target(NamedTuple):
    """A folder messages go to; `rights` of the person who sends them."""

    store: AccountStore
    name: str
    rights: str


def flags_by_rights(rights: str) -> Flags:
    """The flags these rights let a person change."""
    allowed = Flags.SEEN if "s" in rights else Flags.NONE
    allowed |= Flags.DELETED if "t" in rights else Flags.NONE
    return allowed | (_OTHERS if "w" in rights else Flags.NONE)


def stripped(messages: Iterable[NewMessage], rights: str) -> list[NewMessage]:
    """Messages without the flags one may not set."""
    allowed = flags_by_rights(rights)
    return [
        replace(
            message,
            flags=message.flags & allowed,
            keywords=message.keywords if "w" in rights else (),
        )
        for message in messages
    ]


def send(source: Source, uids: Sequence[int], target: Target, *, move: bool) -> Copied:
    """Copies messages into another account, or moves them.

    Raises:
        MailboxError: TRYCREATE, OVERQUOTA, EXPUNGEISSUED, LIMIT: nothing was copied.
        TemporaryFailure: of a disk or database.
    """
    asked = set(uids)
    rows = [row for row in source.store.rows(source.folder_id) if row.uid in asked]
    target_status = target.store.status(target.name)
    if not rows:
        return Copied(target_status.uid_validity, (), ())
    new = [
        NewMessage(
            None,
            pieces=(MessagePiece(_Later(source, row.uid, row.size_octets), 0, row.size_octets),),
            flags=row.flags,
            keywords=row.keywords,
            internal_at=row.internal_at,
        )
        for row in rows
    ]
    done = target.store.append(target.name, stripped(new, target.rights))
    copied = Copied(done.uid_validity, tuple(row.uid for row in rows), done.uids)
    if not move:
        return copied
    return _remove(source, copied, lambda uids: target.store.expunge(target_status.id, uids))


def _remove(source: Source, copied: Copied, undo: Callable[[Sequence[int]], object]) -> Copied:
    """Removes the originals; gives those this MOVE had, with their copies."""
    try:
        removed = set(source.store.expunge(source.folder_id, copied.source_uids))
    except (MailboxError, TemporaryFailure):
        with contextlib.suppress(MailboxError, TemporaryFailure):
            undo(copied.target_uids)
        raise
    pairs = list(zip(copied.source_uids, copied.target_uids, strict=True))
    if too_many := [copy for original, copy in pairs if original not in removed]:
        with contextlib.suppress(MailboxError, TemporaryFailure):
            undo(too_many)
    own = [pair for pair in pairs if pair[0] in removed]
    return Copied(copied.uid_validity, tuple(pair[0] for pair in own), tuple(pair[1] for pair in own))


class _Later:
    """A message that is opened when it is read, so that many can wait their turn."""

    def __init__(self, source: Source, uid: int, size: int) -> None:
        self._source = source
        self._uid = uid
        self._file: MessageFile | None = None
        self._left = size
        self.size_octets = size

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        """Octets; closed again behind the last one."""
        if self._file is None:
            self._file = self._source.store.open(self._source.folder_id, self._uid)
        try:
            data = self._file.read(offset, count)
        except MailboxError:
            self.close()
            raise
        self._left -= len(data)
        if self._left <= 0 or not data:
            self.close()
        return data

    def close(self) -> None:
        """Releases the descriptor."""
        if self._file is not None:
            self._file.close()
            self._file = None
