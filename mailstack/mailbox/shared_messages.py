"""The messages of one folder, one's own or somebody else's, by its id.

Standards: RFC 4314 section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mailstack.mailbox.neighbours import Around, SharableStore
from mailstack.mailbox.transfer import flags_by_rights
from mailstack.model.mailbox import (
    FlagChange,
    FlagOperation,
    Flags,
    MailboxError,
    MessageColumns,
    MessageFields,
    MessageFile,
    MessageRow,
    MessageTexts,
    Needle,
    TextHits,
)

_LAST_UID = 4_294_967_295
_EVERY_FLAG = Flags.SEEN | Flags.ANSWERED | Flags.FLAGGED | Flags.DELETED | Flags.DRAFT


class SharedMessages:
    """The part of `sharing.Mailboxes` that goes by folder ids.

    Attributes:
        own: the person's own mailbox.
        around: everybody else's.
    """

    __slots__ = ("around", "own")

    own: SharableStore
    around: Around

    def _at(self, folder_id: int, need: str = "r") -> tuple[SharableStore, int]:
        at = self.around.by_id(folder_id, need)
        return (self.own, folder_id) if at is None else (at.store, at.id)

    def refresh(self, folder_id: int) -> bool:
        """Looks for files changed by other programs."""
        store, number = self._at(folder_id)
        return store.refresh(number)

    def is_open(self) -> bool:
        """True while one's own mailbox is."""
        return self.own.is_open()

    def is_settled(self, folder_id: int) -> bool:
        """True when `refresh` would find nothing."""
        store, number = self._at(folder_id)
        return store.is_settled(number)

    def directory(self, folder_id: int | None) -> str:
        """Where a folder's files lie."""
        if folder_id is None:
            return self.own.directory(None)
        store, number = self._at(folder_id)
        return store.directory(number)

    def highest_modseq(self, folder_id: int) -> int:
        """NONEXISTENT also when it is no longer shared with us."""
        store, number = self._at(folder_id)
        return store.highest_modseq(number)

    def rows(self, folder_id: int, *, since_modseq: int = 0) -> list[MessageRow]:
        """Messages by ascending UID."""
        store, number = self._at(folder_id)
        return store.rows(number, since_modseq=since_modseq)

    def columns(self, folder_id: int) -> MessageColumns:
        """All messages, column by column."""
        store, number = self._at(folder_id)
        return store.columns(number)

    def expunged(self, folder_id: int, *, since_modseq: int) -> list[tuple[int, int]]:
        """Ranges of UIDs expunged after that MODSEQ."""
        store, number = self._at(folder_id)
        return store.expunged(number, since_modseq=since_modseq)

    def details(self, folder_id: int, uids: Sequence[int]) -> dict[int, MessageRow]:
        """Rows with everything in them."""
        store, number = self._at(folder_id)
        return store.details(number, uids)

    def deleted_octets(self, folder_id: int) -> int:
        """Octets of the messages marked \\Deleted."""
        store, number = self._at(folder_id)
        return store.deleted_octets(number)

    def claim_recent(self, folder_id: int) -> int:
        """Nothing is \\Recent for anybody but the owner, who is to hear of new mail first."""
        at = self.around.by_id(folder_id, "r")
        return self.own.claim_recent(folder_id) if at is None else _LAST_UID

    def texts(
        self, folder_id: int, uids: Sequence[int], *, ready_only: bool = False
    ) -> dict[int, MessageTexts]:
        """Ready-made texts."""
        store, number = self._at(folder_id)
        return store.texts(number, uids, ready_only=ready_only)

    def fields(self, folder_id: int, uids: Sequence[int]) -> dict[int, MessageFields]:
        """What to sort and thread by."""
        store, number = self._at(folder_id)
        return store.fields(number, uids)

    def headers(self, folder_id: int, uids: Sequence[int]) -> dict[int, bytes]:
        """Header fields that are kept ready."""
        store, number = self._at(folder_id)
        return store.headers(number, uids)

    def find_text(self, folder_id: int, needles: Sequence[Needle]) -> list[TextHits]:
        """Where needles are."""
        store, number = self._at(folder_id)
        return store.find_text(number, needles)

    def open(self, folder_id: int, uid: int) -> MessageFile:
        """The message."""
        store, number = self._at(folder_id)
        return store.open(number, uid)

    def rows_exist(self, folder_id: int, uid: int) -> bool:
        """Whether a message is there."""
        store, number = self._at(folder_id)
        return uid in store.details(number, [uid])

    def expunge(self, folder_id: int, uids: Sequence[int], *, only_marked: bool = False) -> list[int]:
        """Removes messages, with the right "e"."""
        store, number = self._at(folder_id, "e")
        return store.expunge(number, uids, only_marked=only_marked)

    def change_flags(
        self,
        folder_id: int,
        uids: Sequence[int],
        operation: FlagOperation,
        *,
        flags: Flags,
        keywords: Iterable[str] = (),
        unchanged_since: int | None = None,
    ) -> FlagChange:
        """Changes the flags one may change; NOPERM when that is none of those asked for."""
        at = self.around.by_id(folder_id)
        words = tuple(keywords)
        store, number = (self.own, folder_id) if at is None else (at.store, at.id)
        allowed = _EVERY_FLAG if at is None else flags_by_rights(at.rights)
        if allowed == _EVERY_FLAG:
            return store.change_flags(
                number, uids, operation, flags=flags, keywords=words, unchanged_since=unchanged_since
            )
        assert at is not None
        may = bool(flags & allowed) or (bool(words) and "w" in at.rights) or (operation == "=" and allowed)
        if not may and (flags or words or operation == "="):
            raise MailboxError("NOPERM", "the owner of this folder does not let you change these flags")
        words = words if "w" in at.rights else ()
        if operation != "=":
            return store.change_flags(
                number,
                uids,
                operation,
                flags=flags & allowed,
                keywords=words,
                unchanged_since=unchanged_since,
            )
        return self._replace_some(store, number, uids, allowed, flags, words, at.rights, unchanged_since)

    def _replace_some(
        self,
        store: SharableStore,
        number: int,
        uids: Sequence[int],
        allowed: Flags,
        flags: Flags,
        words: tuple[str, ...],
        rights: str,
        unchanged_since: int | None,
    ) -> FlagChange:
        """`=` for some of the flags: the others stay as they are."""
        gone: set[str] = set()
        if "w" in rights:
            known = {word for row in store.details(number, uids).values() for word in row.keywords}
            gone = known - set(words)
        taken = store.change_flags(
            number, uids, "-", flags=allowed & ~flags, keywords=gone, unchanged_since=unchanged_since
        )
        left = [uid for uid in uids if uid not in set(taken.refused_uids)]
        given = store.change_flags(number, left, "+", flags=allowed & flags, keywords=words)
        rows = {row.uid: row for row in (*taken.rows, *given.rows)}
        return FlagChange([rows[uid] for uid in sorted(rows)], taken.refused_uids)
