"""Scripts that run after IMAP clients have stored, copied or marked messages.

A session's mailbox is wrapped: what a client did is done as ever, then noted.  One thread
runs the scripts, whatever it is about to change is changed through the mailbox itself, so
that nothing it does is noted again.  Only the account's own folders count.

Copies are made first, all of them or the message stays as it is; then flags are set.

Standard: RFC 6785.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from mailstack.app.around_store import AroundStore, Known
from mailstack.app.event_scripts import EventScript, script_for
from mailstack.app.stored_changes import Change, Report, carry_out, without, words_of
from mailstack.delivery.local import flags_of
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import (
    FLAG_NAMES,
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
from mailstack.model.sharing import split_shared
from mailstack.sieve import (
    NORMAL,
    Cause,
    Context,
    Discard,
    EventOutcome,
    FileInto,
    ImapEvent,
    Message,
    run_event,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Happened:
    """What one command did.

    Attributes:
        uid_validity: of the folder: another one may have its name when the script's turn comes.
        changed: flags that were set or reset, by UID; of Cause.FLAG.
    """

    script: EventScript
    cause: Cause
    account: Account
    folder: str
    uid_validity: int
    uids: Sequence[int]
    changed: Mapping[int, tuple[str, ...]]


class _Failed(Exception):
    """A script failed, or wants what cannot be; the message is as it was."""


class StoredEvents:
    """Notes what happens and runs scripts for it; one of a worker.  Thread-safe."""

    def __init__(
        self,
        scripts: Sequence[EventScript],
        open_own: Callable[[Account], AccountStore],
        *,
        host: str,
        most: int,
        now: Callable[[], float],
        tell: Callable[[Account, str], None],
        trouble: Callable[[TemporaryFailure], None],
    ) -> None:
        """Begins.

        Args:
            open_own: the mailbox of an account, in which nothing is noted.
            most: messages that may wait.
            tell: a folder of the account changed.
        """
        self._scripts, self._open_own, self._host, self._most = scripts, open_own, host, most
        self._now, self._tell, self._trouble = now, tell, trouble
        self._queue: queue.SimpleQueue[_Happened | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="imap-events", daemon=True)
        self._thread.start()

    def around(self, store: AccountStore, account: Account) -> AccountStore:
        """The same mailbox; what happens in it is noted."""
        return cast(AccountStore, _Noting(store, account, self))

    def close(self) -> None:
        """Ends after the message at hand; what waits stays as it is."""
        self._is_over = True
        self._queue.put(None)
        self._thread.join()
        if self._waiting:
            _log.warning("sieve.imap: %d messages were still waiting for their script", self._waiting)

    def wants_flags(self, folder: str) -> bool:
        """True when some script runs after changes of flags there."""
        return script_for(self._scripts, Cause.FLAG, folder) is not None

    def note(
        self,
        cause: Cause,
        account: Account,
        where: Known,
        uids: Sequence[int],
        changed: Mapping[int, tuple[str, ...]] | None = None,
    ) -> None:
        """Something happened; never waits, never fails."""
        folder = "INBOX" if where.name.upper() == "INBOX" else where.name
        script = script_for(self._scripts, cause, folder)
        if script is None or not uids or split_shared(folder) is not None:
            return
        with self._lock:
            uids, left_out = uids[: self._most - self._waiting], len(uids)
            left_out -= len(uids)
            self._waiting += len(uids)
        if left_out:
            _log.warning(
                "sieve.imap: %s: %s: %d messages stay as they are: too many wait for scripts "
                "(sieve.imap_waiting)",
                account.address,
                folder,
                left_out,
            )
        if uids:
            self._queue.put(
                _Happened(script, cause, account, folder, where.uid_validity, uids, changed or {})
            )

    # -- the thread ---------------------------------------------------------------------

    def _run(self) -> None:
        while (happened := self._queue.get()) is not None:
            failed, why = 0, ""
            for uid in happened.uids:
                if self._is_over:
                    return
                problem = self._safely(happened, uid)
                failed, why = failed + bool(problem), why or problem
                with self._lock:
                    self._waiting -= 1
            if failed:
                _log.warning(
                    "sieve.imap: %s: %s: %s: %d messages stay as they were; the first: %s",
                    happened.script.path,
                    happened.account.address,
                    happened.folder,
                    failed,
                    why,
                )

    def _safely(self, happened: _Happened, uid: int) -> str:
        """One message; gives what went wrong."""
        try:
            self._look(happened, uid)
        except _Failed as failed:
            return str(failed)
        except MailboxError as error:
            return "" if error.code in ("EXPUNGEISSUED", "NONEXISTENT") else error.text
        except TemporaryFailure as failure:
            self._trouble(failure)
            return failure.why
        except Exception as error:  # whatever it is, the next message has its turn
            _log.exception("sieve.imap: a mistake in mailstack itself")
            return repr(error)
        return ""

    def _look(self, happened: _Happened, uid: int) -> None:
        store = self._open_own(happened.account)
        status = store.status(happened.folder)
        if status.uid_validity != happened.uid_validity:
            return  # renamed or deleted meanwhile, and this is another one
        row = store.details(status.id, [uid]).get(uid)
        if row is None:
            return
        address = str(happened.account.address)
        event = ImapEvent(
            happened.cause,
            status.name,
            user=address,
            email=address,
            owner=address,
            flags=words_of(row),
            changed_flags=happened.changed.get(uid, ()),
        )
        outcome = self._outcome(happened.script, store, status, row, event)
        for folder in _carry_out(store, status, row, outcome):
            self._tell(happened.account, folder)

    def _outcome(
        self,
        script: EventScript,
        store: AccountStore,
        status: FolderStatus,
        row: MessageRow,
        event: ImapEvent,
    ) -> EventOutcome:
        file = store.open(status.id, row.uid)
        try:
            octets = file.read()
        finally:
            file.close()
        context = Context(
            Message.from_bytes(octets),
            now=self._now(),
            cpu_clock=time.thread_time,
            environment={"host": self._host, "domain": event.owner.rpartition("@")[2], "name": "mailstack"},
            limits=NORMAL,
        )
        outcome = run_event(script.script, context, event)
        if not outcome.run.ok:
            raise _Failed(str(outcome.run.errors[-1]) if outcome.run.errors else "the script failed")
        for action in outcome.others:
            if not isinstance(action, Discard):
                raise _Failed(f"{action.name} is not done with stored mail")
        return outcome


def _carry_out(
    store: AccountStore, status: FolderStatus, row: MessageRow, outcome: EventOutcome
) -> Iterable[str]:
    """Does it; gives the folders that changed.

    Raises:
        _Failed: it cannot be done; nothing has changed.
    """
    made: list[tuple[int, Sequence[int]]] = []
    try:
        for copy in outcome.copies:
            made.append(_copy(store, status, row, copy))
        have = words_of(row)
        wanted = (*outcome.flags, "\\Deleted") if outcome.is_deleted else outcome.flags
        change = Change(row.uid, "", plus=without(wanted, have), minus=without(have, wanted))
        report = Report()
        carry_out(store, status.id, [change], report)
        if report.problems:
            raise _Failed(report.problems[0])
    except (MailboxError, TemporaryFailure, _Failed):
        for folder_id, uids in made:
            with contextlib.suppress(MailboxError, TemporaryFailure):
                store.expunge(folder_id, uids)
        raise
    return dict.fromkeys([*(copy.mailbox for copy in outcome.copies), *([status.name] if change else ())])


def _copy(
    store: AccountStore, status: FolderStatus, row: MessageRow, copy: FileInto
) -> tuple[int, Sequence[int]]:
    """Makes one copy; gives the folder it is in, and its UID there."""
    try:
        target = store.status(copy.mailbox)
    except MailboxError as error:
        raise _Failed(f"{copy.mailbox}: {error.text}") from None
    uids = store.copy(status.id, [row.uid], target.name).target_uids
    if copy.flags is not None:
        flags, keywords = flags_of(copy.flags)
        store.change_flags(target.id, uids, "=", flags=flags, keywords=keywords)
    return target.id, uids


class _Noting(AroundStore):
    """What puts messages in or marks them is noted."""

    __slots__ = ("_events",)

    def __init__(self, store: AccountStore, account: Account, events: StoredEvents) -> None:
        super().__init__(store, account)
        self._events = events

    def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        """See AccountStore."""
        done = self._store.append(name, messages)
        self._events.note(Cause.APPEND, self._account, Known(name, done.uid_validity), done.uids)
        return done

    def replace(self, folder_id: int, uid: int, name: str, message: NewMessage) -> Appended:
        """See AccountStore."""
        done = self._store.replace(folder_id, uid, name, message)
        self._events.note(Cause.APPEND, self._account, Known(name, done.uid_validity), done.uids)
        return done

    def copy(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """See AccountStore."""
        done = self._store.copy(folder_id, uids, target)
        self._events.note(Cause.COPY, self._account, Known(target, done.uid_validity), done.target_uids)
        return done

    def move(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """See AccountStore."""
        done = self._store.move(folder_id, uids, target)
        self._events.note(Cause.COPY, self._account, Known(target, done.uid_validity), done.target_uids)
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
        folder = self._folder(folder_id)
        is_wanted = bool(folder.name) and self._events.wants_flags(folder.name)
        before = self._flags(folder_id, uids) if is_wanted else {}
        done = self._store.change_flags(
            folder_id, uids, operation, flags=flags, keywords=words, unchanged_since=unchanged_since
        )
        if is_wanted:
            changed = {
                row.uid: _different(before[row.uid], words_of(row)) for row in done.rows if row.uid in before
            }
            changed = {uid: names for uid, names in changed.items() if names}
            self._events.note(Cause.FLAG, self._account, folder, list(changed), changed)
        return done

    def _flags(self, folder_id: int, uids: Sequence[int]) -> dict[int, tuple[str, ...]]:
        try:
            columns = self._store.columns(folder_id)
        except (MailboxError, TemporaryFailure):
            return {}  # the change itself says so
        wanted = set(uids)
        return {
            uid: (
                *(name for flag, name in FLAG_NAMES if columns.flags[at] & flag),
                *columns.keywords.get(uid, ()),
            )
            for at, uid in enumerate(columns.uids)
            if uid in wanted
        }


def _different(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Flags that were set or reset."""
    return (*without(after, before), *without(before, after))
