"""Makes account.db anew from the Maildir, beside the old one, and puts it in its place when it is whole.

Daemons use the old one meanwhile, as far as it can be used, and nobody ever sees a mailbox
without its keywords, dates, rights or subscriptions.  Messages keep their UIDs where those
can be read, below a new UIDVALIDITY: programs that look whether they still hold the same
mail, as mbsync does, go on without fetching it again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mailstack.disk import durable, lock, migrations
from mailstack.disk.sqlite import BUSY_TIMEOUT_S, open_database
from mailstack.mailbox import counting, folders, presence, salvage, scan
from mailstack.mailbox.core import Core
from mailstack.mailbox.store import MailStore
from mailstack.mailbox.worker import Worker
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError

#: In the home: where the new one grows, and what is locked meanwhile.
_PLACE, _LOCK = "rebuilding", "rebuild"
#: Looks at the files that begin again because a folder was deleted at that moment.
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found.

    Attributes:
        set_aside: the old database; "" when there was none.
        kept: a few words on what was taken from it.
    """

    account: str
    folders: int
    messages: int
    set_aside: str
    kept: str = ""


def rebuild(store: MailStore, address: Address) -> Rebuilt:
    """Makes account.db anew from the Maildir; the old one is set aside beside it.

    Daemons that have it open notice and open the new one.

    Raises:
        PermanentFailure: 1.1, there is no such mailbox.
        TemporaryFailure: disk in trouble, or somebody else does the same.
    """
    core = store.existing(address).core
    with lock.alone(core.home / _LOCK, "rebuilding the mailbox") as is_alone:
        if not is_alone:
            raise TemporaryFailure(f"the mailbox of {core.address} is being rebuilt already")
        with _beside(core) as new:
            _look(new)  # may take long
            return _finish(core, new)


def _finish(core: Core, new: Core) -> Rebuilt:
    """Takes in what happened meanwhile, and what can be read, while nobody writes."""
    core.close()
    with alone(core):
        old = salvage.read(core.db.path)
        found = _look(new)
        for folder_id, directory in found:
            salvage.doom(new, folder_id, directory, old)
        with new.db.write("rebuilding", durable_commit=True) as connection:
            salvage.apply(new, connection, old)
            _count_on(core, connection)
            (count,) = connection.execute("SELECT coalesce(sum(messages), 0) FROM folders").fetchone()
        new.close()
        if os.path.exists(f"{new.db.path}-wal"):
            raise TemporaryFailure(f"{new.db.path} is in use: nobody else may open it")
        aside = set_aside(core) if core.db.path.exists() else ""
        os.rename(new.db.path, core.db.path)
        durable.sync_folder(core.home)
        presence.forget(core.home)
    with core.disk("rebuilding the mailbox"):
        core.cache.remove()
        core.forget_looks()
    with core.db.read():
        pass  # the numbers it gives out are noted beside it
    core.worker.doomed(core)
    core.worker.names(core)
    return Rebuilt(core.address, len(found), count, aside, _kept(old))


@contextlib.contextmanager
def _beside(core: Core) -> Iterator[Core]:
    """The same account, whose databases lie in a folder of their own; it is removed in the end."""
    place = core.home / _PLACE
    nothing = dict.fromkeys(("names", "doomed", "notices"), lambda core: False)
    worker = Worker(core.options, core.worker.report, nothing)
    try:
        with core.disk("rebuilding the mailbox"):
            shutil.rmtree(place, ignore_errors=True)
            durable.make_folder(place)
        yield Core(
            core.home,
            now=core.now,
            random_bytes=core.random_bytes,
            options=core.options,
            group=core.group,
            worker=worker,
            boot=core.db.boot,
            prepare=folders.prepare,
            opened=lambda core, connection: None,
            place=place,
        )
    finally:
        worker.close()
        shutil.rmtree(place, ignore_errors=True)


def _look(new: Core) -> list[tuple[int, str]]:
    """Brings it in line with the files; gives ids and directories of the folders."""
    for _ in range(_ATTEMPTS):
        new.forget_looks()
        folders.discover(new)
        with new.db.read() as connection:
            found = connection.execute("SELECT id, dir FROM folders ORDER BY id").fetchall()
        try:
            for folder_id, _ in found:
                scan.refresh(new, folder_id, force=True)
        except MailboxError:
            continue  # a folder was deleted at this moment
        return found
    raise TemporaryFailure(f"the folders of {new.address} change again and again")


def _count_on(core: Core, connection: sqlite3.Connection) -> None:
    """Gives out no UIDVALIDITY and no generation the old one has given out."""
    generation, validity = counting.read_witness(core.home)
    counting.write_meta(connection, "generation", generation + 1)
    counting.new_validities(connection, int(core.now()), at_least=validity)


def _kept(old: salvage.Old) -> str:
    if not old.ids:
        return "nothing else could be read"
    what = "subscriptions, special folders, keywords and dates"
    return f"{what} were kept" if old.is_whole else f"{what} were kept as far as they could be read"


@contextlib.contextmanager
def alone(core: Core) -> Iterator[None]:
    """Nobody opens its account.db, or writes to it."""
    with (
        core.disk("rebuilding the mailbox"),
        migrations.exclusive(core.home / "lock", wait_s=BUSY_TIMEOUT_S),
        _held(core.db.path),
    ):
        yield


def set_aside(core: Core) -> str:
    """Gives account.db another name, and says which."""
    stamp = int(core.now())
    while os.path.exists(aside := f"{core.db.path}.damaged-{stamp}"):
        stamp += 1
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{core.db.path}{suffix}", f"{aside}{suffix}")
    durable.sync_folder(core.home)
    return aside


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Holds the old database's write lock, when it still has one, so that nobody is in it."""
    connection = None
    with contextlib.suppress(TemporaryFailure, sqlite3.Error):
        if path.exists():
            connection = open_database(path, timeout_s=BUSY_TIMEOUT_S)
            connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
