"""Takes note of what IMAP clients do with mail, where it teaches the filter something.

A session's mailbox is wrapped: what a client does is done as ever, then noted in a few
words, for `app/feedback.py` to work off.  Most of what clients do says nothing and costs a
look at two folders.  Only the account's own folders count; nothing is read here.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mailstack.app.around_store import AroundStore
from mailstack.app.feedback_options import FeedbackOptions
from mailstack.app.fuse import Fuse
from mailstack.filters.teaching import MARKS, marks_of, place_of
from mailstack.mailbox.metadata import SPECIAL_USE
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.lessons import Place
from mailstack.model.mailbox import (
    AccountStore,
    Appended,
    Copied,
    FlagChange,
    FlagOperation,
    Flags,
    FolderStatus,
    MailboxError,
    MessageRow,
    NewMessage,
)
from mailstack.model.roles import SENT, role_of_name
from mailstack.model.sharing import split_shared
from mailstack.state.feedback import Feedback, Note

#: Programs move mail as it arrives: who moves more of it at once is a person.
_AUTOMATIC_AT_ONCE = 4
#: Our verdict stands above what the sender wrote.
_HEAD_OCTETS = 8_192
_VERDICT = b"\r\nX-Mailstack-Verdict: class="
_UNMARKED = {"junk": "unjunk", "phishing": "unjunk", "notjunk": "unnotjunk"}

_log = logging.getLogger(__name__)


class FeedbackNotes:
    """Notes for one worker; thread-safe."""

    def __init__(
        self,
        table: Feedback,
        options: FeedbackOptions,
        *,
        now: Callable[[], float],
        current: Callable[[Account], Account],
    ) -> None:
        """`current`: the account as it is now; a session may have begun before its settings changed."""
        self._table, self.options, self.now, self.current = table, options, now, current
        self._turn, self._fuse = threading.Lock(), Fuse()

    def around(self, store: AccountStore, account: Account) -> AccountStore:
        """The same mailbox; what happens in it is noted."""
        return cast(AccountStore, _Noting(store, account, self))

    def note(self, notes: Sequence[Note]) -> None:
        """Never fails: a mail program is not told that nothing was learned, and hardly waits for it."""
        if not notes:
            return
        try:
            with self._turn:  # whoever waits behind one that failed does not wait again
                self._fuse.call(lambda: self._table.note(notes, most=self.options.waiting))
        except TemporaryFailure as failure:
            _log.error("what a mail program did is not learned: %s", failure.why)


@dataclass(frozen=True, slots=True)
class _Into:
    """A folder that is about to get messages.  `is_sent`: it is that for sent mail."""

    name: str
    place: Place
    is_sent: bool


class _Noting(AroundStore):
    """What puts messages in or marks them is noted."""

    __slots__ = ("_ids", "_marked", "_notes")

    def __init__(self, store: AccountStore, account: Account, notes: FeedbackNotes) -> None:
        super().__init__(store, account)
        self._notes = notes
        #: Ids of folders messages came into: their status costs a look at the disk.
        self._ids: dict[str, int] = {}
        #: Those in which some message has a keyword that says something.
        self._marked: set[int] = set()

    def status(self, name: str) -> FolderStatus:
        """See AccountStore."""
        found = super().status(name)
        if not found.owner and marks_of(found.keywords):
            self._marked.add(found.id)
        return found

    def copy(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """See AccountStore."""
        source, into = self._look(folder_id, target)
        done = self._store.copy(folder_id, uids, target)
        if into is not None:
            self._placed(source, into, done.target_uids)
        return done

    def move(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """See AccountStore."""
        source, into = self._look(folder_id, target)
        done = self._store.move(folder_id, uids, target)
        if into is not None:
            self._placed(source, into, done.target_uids)
        return done

    def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        """See AccountStore."""
        into = self._watch(name)
        says = [self._says(into, message) for message in messages]  # spooled files are gone afterwards
        done = self._store.append(name, messages)
        if into is not None and any(says):
            self._uploaded(into, [uid for uid, does in zip(done.uids, says, strict=False) if does])
        return done

    def replace(self, folder_id: int, uid: int, name: str, message: NewMessage) -> Appended:
        """See AccountStore."""
        into = self._watch(name)
        says = self._says(into, message)
        done = self._store.replace(folder_id, uid, name, message)
        if into is not None and says:
            self._uploaded(into, done.uids)
        return done

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
        """See AccountStore."""
        words = tuple(keywords)
        done = self._store.change_flags(
            folder_id, uids, operation, flags=flags, keywords=words, unchanged_since=unchanged_since
        )
        name = self._folder(folder_id).name
        if name and done.rows and (marks_of(words) or (operation == "=" and folder_id in self._marked)):
            self._flagged(folder_id, name, operation, words, done.rows)
        return done

    # -- what it says -------------------------------------------------------------------

    def _look(self, folder_id: int, target: str) -> tuple[Place, _Into | None]:
        """Class of the source, and the target if the two together say anything."""
        name = self._folder(folder_id).name
        source = self._place(name)[0] if name else ""
        into = self._watch(target)
        if into is None or into.place == source or (not into.place and source == "ham"):
            return source, None
        return source, into

    def _watch(self, name: str) -> _Into | None:
        """The folder as it is before messages come into it; None: they say nothing there."""
        if split_shared(name) is not None:
            return None
        return _Into(name, *self._place(name))

    def _place(self, name: str) -> tuple[Place, bool]:
        """Its class, and whether it holds sent mail; what cannot be looked at says nothing."""
        try:
            use = self._store.annotations(name).get(SPECIAL_USE, b"") or b""
        except (MailboxError, TemporaryFailure):
            return "", False  # what the client wants done says so itself, or is done already
        text = use.decode("ascii", "replace")
        place = place_of(name, text, self._notes.current(self._account).filters)
        is_sent = not place and (text == SENT or (not text and role_of_name(name) == SENT))
        return place, is_sent

    def _rows(self, into: _Into, uids: Sequence[int]) -> list[MessageRow]:
        """The messages that just came; at most so many as may wait."""
        uids = uids[-self._notes.options.waiting :]
        with contextlib.suppress(MailboxError, TemporaryFailure):
            if into.name in self._ids:
                with contextlib.suppress(MailboxError):
                    found = self._store.details(self._ids[into.name], uids)
                    if found:
                        return list(found.values())
            # Not known yet, or another folder has the name now.
            self._ids[into.name] = self._store.status(into.name).id
            return list(self._store.details(self._ids[into.name], uids).values())
        return []

    def _placed(self, source: Place, into: _Into, uids: Sequence[int]) -> None:
        notes = self._notes
        now, found = notes.now(), []
        for row in self._rows(into, uids):
            age_s = now - row.internal_at
            is_new = 0 <= age_s < notes.options.automatic_s and not row.flags & Flags.SEEN
            is_automatic = into.place == "spam" and is_new and len(uids) <= _AUTOMATIC_AT_ONCE
            what = "automatic" if is_automatic else "placed"
            found.append(self._note(what, into.name, row, source, into.place))
        notes.note(found)

    def _says(self, into: _Into | None, message: NewMessage) -> bool:
        """True when an upload may teach something."""
        if into is None:
            return False
        # Uploaded into an ordinary folder it says something if we had filed it elsewhere.
        return _was_filed(message) if into.place == "ham" else bool(into.place) or into.is_sent

    def _uploaded(self, into: _Into, uids: Sequence[int]) -> None:
        rows = self._rows(into, uids)
        what = "sent" if into.is_sent else "uploaded"
        self._notes.note([self._note(what, into.name, row, "", into.place) for row in rows])

    def _flagged(
        self,
        folder_id: int,
        name: str,
        operation: FlagOperation,
        words: Sequence[str],
        rows: Sequence[MessageRow],
    ) -> None:
        place = self._place(name)[0]
        said = {MARKS[word.lower()]: None for word in words if word.lower() in MARKS}
        whats = list(said)
        if operation == "-":
            whats = [_UNMARKED[mark] for mark in said]  # type: ignore[misc]
        elif not said:
            whats = ["unjunk", "unnotjunk"]  # type: ignore[list-item]
        else:
            self._marked.add(folder_id)
        if operation != "-" and "notjunk" in said and len(said) > 1:
            return  # RFC 5788: who sets both says nothing
        if whats == ["notjunk"] and place == "ham":
            # Programs set it on all they do not take for spam: it only says that another mark was wrong.
            rows = [row for row in rows if marks_of(row.keywords) - {"notjunk"}]
        self._notes.note(
            [
                self._note(what, name, row, place, place)
                for row in rows[-self._notes.options.waiting :]
                for what in whats
            ]
        )

    def _note(self, what: str, folder: str, row: MessageRow, source: Place, target: Place) -> Note:
        return Note(self._account.id, self._notes.now(), what, row.email_id, folder, row.uid, source, target)


def _was_filed(message: NewMessage) -> bool:
    """True when our own verdict on top of it says that the filter had put it elsewhere."""
    if message.data is not None:
        head = message.data[:_HEAD_OCTETS]
    elif message.path:
        try:
            with Path(message.path).open("rb") as file:
                head = file.read(_HEAD_OCTETS)
        except OSError:
            return False
    else:
        return False
    at = head.find(_VERDICT)
    if at < 0:
        return False
    said = head[at + len(_VERDICT) : at + 80]
    return b"action=junk" in said or said.startswith((b"promotions", b"social"))
