"""Makes one folder of two: "Sent Items" into Sent, with everything below.

Messages are moved, so each is always in one of the two; doing it again goes on where it
stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailstack.mailbox import maildir
from mailstack.mailbox.metadata import SPECIAL_USE
from mailstack.mailbox.store import Account
from mailstack.model.mailbox import FolderEntry, MailboxError

#: Messages moved in one transaction.
SLICE = 1_000
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Merged:
    """What was done.

    Attributes:
        messages: moved one by one.
        folders: new names of folders that went over as they are.
        special_use: attribute the target took over; "" for none.
    """

    messages: int
    folders: tuple[str, ...]
    special_use: str


def merge(account: Account, source: str, target: str) -> Merged:
    """Moves all of `source` into `target`, and removes it unless it is INBOX.

    Raises:
        MailboxError: NONEXISTENT, CANNOT: the two are one, or one lies in the other.
        TemporaryFailure: the disk is in trouble.
    """
    source, target = maildir.check_name(source), maildir.check_name(target)
    known = {entry.name: entry for entry in account.folders() if entry.exists}
    _check(known, source, target)
    below = [] if source == "INBOX" else [name for name in known if name.startswith(source + "/")]
    moved, renamed, emptied = 0, list[str](), list[str]()
    for name in [source, *sorted(below)]:
        new = target + name[len(source) :]
        if any(name.startswith(old + "/") for old in renamed):
            continue  # went over with the folder above it
        if new in known:
            moved += _move(account, name, new)
            emptied.append(name)
        else:
            account.rename(name, new)
            renamed.append(name)
    use = _take_over(account, known[source], known[target])
    for name in reversed(emptied):
        if name != "INBOX":
            moved += _remove(account, name, target + name[len(source) :])
            account.subscribe(name, subscribed=False)
    return Merged(moved, tuple(target + name[len(source) :] for name in renamed), use)


def _check(known: dict[str, FolderEntry], source: str, target: str) -> None:
    for name in (source, target):
        if name not in known:
            raise MailboxError("NONEXISTENT", f"there is no folder {name}")
    if source == target or (source != "INBOX" and target.startswith(source + "/")):
        raise MailboxError("CANNOT", "a folder cannot be merged into itself, or into one below it")


def _remove(account: Account, source: str, target: str) -> int:
    """Removes an emptied folder; moves what came into it meanwhile, and gives how many."""
    moved = 0
    for _ in range(_ATTEMPTS):
        if account.delete_empty(source):
            return moved
        moved += _move(account, source, target)
    raise MailboxError("INUSE", f"messages come into {source} all the time")


def _move(account: Account, source: str, target: str) -> int:
    folder_id = account.status(source).id
    uids = [row.uid for row in account.rows(folder_id)]
    for begin in range(0, len(uids), SLICE):
        account.move(folder_id, uids[begin : begin + SLICE], target)
    return len(uids)


def _take_over(account: Account, source: FolderEntry, target: FolderEntry) -> str:
    if source.subscribed and not target.subscribed:
        account.subscribe(target.name, subscribed=True)
    if not source.special_use or target.special_use or target.name == "INBOX":
        return ""
    account.annotate(target.name, {SPECIAL_USE: source.special_use.encode("ascii")})
    return source.special_use
