"""Which folders a client means: `personal`, `subscribed`, `subtree (a b)`, `mailboxes c`.

Standards: RFC 5465 section 6 (filter-mailboxes), RFC 7377 section 2.2 (subtree-one).
Imports: parser, session (types).  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from mailstack.imap.errors import Bad, No
from mailstack.imap.parser import Cursor
from mailstack.model.mailbox import FolderEntry
from mailstack.model.sharing import split_shared

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Names in one command.
MAX_NAMES = 1_000

Covers: TypeAlias = "Callable[[FolderEntry], bool]"


class FilterReader:
    """Reads filters of one command; the names of all of them together are bounded."""

    def __init__(self, session: Session, cursor: Cursor) -> None:
        self._session = session
        self._cursor = cursor
        self._names = 0
        #: What stands behind "mailboxes", of all filters.
        self.named: frozenset[str] = frozenset()

    def read(self, kind: bytes, *, one_level: bool = False) -> Covers:
        """The filter whose first word, `kind`, was read already.

        Args:
            one_level: "subtree-one" is known too.

        Raises:
            Bad: there is no such filter, or too many names.
        """
        if kind in (b"INBOXES", b"PERSONAL"):
            # RFC 5465 section 6.3: where a script may file mail anywhere, every folder is an inbox.
            return lambda entry: split_shared(entry.name) is None
        if kind == b"SUBSCRIBED":
            return lambda entry: entry.subscribed
        if kind == b"MAILBOXES":
            names = self._read_names()
            self.named |= names
            return lambda entry: entry.name in names
        if kind == b"SUBTREE":
            roots = self._read_names()
            return lambda entry: any(
                entry.name == root or entry.name.startswith(f"{root}/") for root in roots
            )
        if kind != b"SUBTREE-ONE" or not one_level:
            self._cursor.fail("a kind of mailboxes")
        roots = self._read_names()
        return lambda entry: entry.name in roots or entry.name.rpartition("/")[0] in roots

    def _read_names(self) -> frozenset[str]:
        cursor = self._cursor
        cursor.space()
        names = set()
        several = cursor.take(b"(")
        while True:
            self._names += 1
            if self._names > MAX_NAMES:
                raise Bad(f"More than {MAX_NAMES} names")
            try:
                names.add(self._session.read_name(cursor))
            except No:
                pass  # RFC 5465 section 3.1: what is no mailbox is ignored
            if not several or cursor.take(b")"):
                return frozenset(names)
            cursor.space()
