"""What goes in time: old spam, what was expunged, removed accounts, the queue's quarantine.

Runs in the queue daemon, because there is exactly one, about once an hour and never at
the same minute as everybody else.  A run does a bounded amount of work and the next one
goes on where it stopped.  Whatever is kept for so many days is kept by time that really
passed, not by the date (`state/steady`, F28).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mailstack.disk import durable
from mailstack.disk.lock import alone
from mailstack.mailbox import aside, homes, ready
from mailstack.mailbox.expiry import Gone, expire, rules_of, trim
from mailstack.mailbox.maildir import account_home
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError
from mailstack.state.forward_targets import ForwardTargets
from mailstack.state.sending import Sending
from mailstack.state.steady import Reading, Steady, read_clocks

if TYPE_CHECKING:
    from mailstack.app.daemon import Context
    from mailstack.directory import Directory
    from mailstack.directory.values import RemovedAccount
    from mailstack.mailbox import MailStore
    from mailstack.model.address import Address

#: Seconds from one run to the next, half of it by chance.
EVERY_S = 3_600.0
#: The first run is so many seconds after the start at most.
FIRST_S = 300.0
#: One run looks at so many accounts, expunges so many messages of each, and takes so long.
MOST_ACCOUNTS = 5_000
MOST_MESSAGES = 2_000
MOST_S = 300.0
#: Between two accounts, so that others get at the disk; in seconds.
PAUSE_S = 0.005
_DAY_S = 86_400
#: Damaged queue files and databases are kept this long, for an operator to look at.
QUARANTINE_S = 30.0 * _DAY_S

_log = logging.getLogger(__name__)


class Notes(msgspec.Struct):
    """What is remembered from run to run.

    Attributes:
        clock: how much time has passed.
        id: tells this clock from those of other machines.
        after: the address the next run begins behind; "" for the first.
        removed: when an account was first seen to be removed, by id and date of removal.
        quarantine: when a file was first seen in the queue's quarantine, by name.
        aside: the same of messages that killed a filter worker.
    """

    clock: Steady = msgspec.field(default_factory=Steady)
    id: str = ""
    after: str = ""
    removed: dict[str, float] = {}
    quarantine: dict[str, float] = {}
    aside: dict[str, float] = {}


class Upkeep:
    """The work of one run; blocking."""

    def __init__(
        self,
        context: Context,
        directory: Directory,
        store: MailStore,
        *,
        clocks: Callable[[float], Reading] = read_clocks,
    ) -> None:
        self._context = context
        self._directory = directory
        self._store = store
        self._clocks = clocks
        self._notes_path = context.paths.state / "upkeep.json"
        self._sending = Sending(context.paths.state_db)
        self._targets = ForwardTargets(context.paths.state_db)

    def run(self) -> None:
        """Does a bounded amount of work, unless another process is at it.

        Raises:
            TemporaryFailure: disk or directory in trouble.
        """
        lock = self._context.paths.run / "upkeep.lock"
        with alone(lock, f"locking {lock}") as is_alone:
            if not is_alone:
                return
            notes = _load(self._notes_path)
            notes.id = notes.id or self._context.random_bytes(8).hex()
            notes.clock.look(self._clocks(self._context.now()))
            self._save(notes)
            self._accounts(notes)
            self._removed(notes)
            self._set_aside(notes)
            self._save(notes)

    def _accounts(self, notes: Notes) -> None:
        accounts = sorted(self._directory.accounts(""), key=lambda account: account.address.key)
        rest = [account for account in accounts if account.address.key > notes.after]
        until = time.monotonic() + MOST_S
        for account in rest[:MOST_ACCOUNTS]:
            if self._context.stop.is_set() or time.monotonic() > until:
                return
            with _alone(account.address):
                self._account(account, notes)
            notes.after = account.address.key
            time.sleep(PAUSE_S)
        if len(rest) <= MOST_ACCOUNTS:
            notes.after = ""

    def _account(self, account: Account, notes: Notes) -> None:
        clock = notes.clock
        if not self._store.exists(account.address):
            return
        store, options = self._store.of(account), self._context.config.mailbox
        gone = expire(store, rules_of(account, options), now=clock.date_s, most=MOST_MESSAGES)
        gone += trim(store, now=clock.date_s, most=MOST_MESSAGES)
        for each in gone:
            self._tell(account, each)
        if account.pop3_delete_after_days is not None:
            before = int(clock.date_s - account.pop3_delete_after_days * _DAY_S)
            for name in store.expire_fetched(before):
                self._publish(account, name)
        store.full_for_s()
        home = account_home(self._context.paths.mail, account.address)
        keep_days = options.expunged_keep_days
        for day in aside.purge(home, keep_days=keep_days, elapsed_s=clock.elapsed_s, clock=notes.id):
            _log.info("%s: what was expunged on %s is gone for good", account.address, day)
        store.core.worker.flush(store.core)
        ready.sweep(store.core)
        store.core.close()

    def _tell(self, account: Account, gone: Gone) -> None:
        _log.info("%s: %d messages in %s expired (%s)", account.address, gone.messages, gone.folder, gone.why)
        self._context.maillog.write(
            "expired",
            received_by=[str(account.address)],
            account=str(account.address),
            mailbox=gone.folder,
            messages=gone.messages,
            why=gone.why,
        )
        self._publish(account, gone.folder)

    def _publish(self, account: Account, folder: str) -> None:
        event: dict[str, str | int] = {"event": "mailbox", "account": str(account.address), "folder": folder}
        self._context.bus.publish("imap", event)

    def _removed(self, notes: Notes) -> None:
        """Removes the homes of accounts whose time is over; their names stay remembered."""
        homes.sweep(self._context.paths.mail)
        seen: dict[str, float] = {}
        keep_s = self._context.config.auth.restore_days * _DAY_S
        for gone in self._directory.removed(""):
            key = f"{gone.id}:{gone.removed_at}"
            seen[key] = notes.removed.get(key, notes.clock.elapsed_s)
            with _alone(gone.address):
                if not self._store.exists(gone.address):
                    del seen[key]
                elif notes.clock.elapsed_s - seen[key] >= keep_s:
                    self._remove(gone)
                    del seen[key]
        notes.removed = seen

    def _remove(self, gone: RemovedAccount) -> None:
        self._store.account(gone.address).core.close()
        is_removed = partial(self._is_removed, gone)
        if homes.remove(self._context.paths.mail, gone.address, is_removed=is_removed):
            self._sending.forget(gone.id)
            self._targets.forget(gone.address)
            _log.info("the mailbox of %s, removed long ago, is gone for good", gone.address)

    def _is_removed(self, gone: RemovedAccount) -> bool:
        # Removing the homes before it may have taken long, and it may have been restored since.
        return gone in self._directory.removed(gone.address.domain)

    def _set_aside(self, notes: Notes) -> None:
        """The queue's quarantine, where each file may be the only copy; what killed a filter."""
        paths, elapsed_s = self._context.paths, notes.clock.elapsed_s
        keep_s = self._context.config.filter.aside_days * _DAY_S
        notes.quarantine = _clear(paths.queue_quarantine, notes.quarantine, elapsed_s, QUARANTINE_S)
        notes.aside = _clear(paths.filter_aside, notes.aside, elapsed_s, keep_s)

    def _save(self, notes: Notes) -> None:
        with durable.guarded(f"writing {self._notes_path}"):
            durable.replace_text(self._notes_path, msgspec.json.encode(notes).decode() + "\n")


@contextlib.contextmanager
def _alone(address: Address) -> Iterator[None]:
    """What is wrong with one mailbox is told, and stops only what is done with that one."""
    try:
        yield
    except (TemporaryFailure, MailboxError, OSError) as error:
        if isinstance(error, TemporaryFailure) and error.fatal:
            raise
        _log.error("upkeep of %s: %s", address, error)
    except Exception:
        _log.exception("upkeep of %s: a mistake in mailstack itself", address)


def _clear(folder: Path, before: dict[str, float], elapsed_s: float, keep_s: float) -> dict[str, float]:
    """Removes files that were first seen long ago; gives when the others were."""
    seen: dict[str, float] = {}
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            first = before.get(path.name, elapsed_s)
            if elapsed_s - first < keep_s:
                seen[path.name] = first
                continue
            with contextlib.suppress(OSError):
                path.unlink()
                _log.info("%s, kept aside for long, is gone for good", path)
    return seen


def _load(path: Path) -> Notes:
    """What was remembered; nothing when it cannot be read: then things are kept longer."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Notes)
    except (OSError, msgspec.MsgspecError):
        return Notes()


async def upkeep(context: Context, directory: Directory, store: MailStore) -> None:
    """Goes on until it is cancelled."""
    work = Upkeep(context, directory, store)
    wait_s = FIRST_S * _chance(context)
    while True:
        await asyncio.sleep(wait_s)
        try:
            await asyncio.to_thread(work.run)
        except TemporaryFailure as error:
            _log.error("upkeep: %s", error.why)
            if error.fatal:
                context.fatal(error.why)
        wait_s = EVERY_S * (0.75 + 0.5 * _chance(context))


def _chance(context: Context) -> float:
    return int.from_bytes(context.random_bytes(4), "big") / 2**32
