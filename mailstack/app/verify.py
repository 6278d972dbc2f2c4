"""The whole instance looked through: directory, queue, every mailbox.

Works while the daemons run and while they do not.  Never deletes a message: what cannot
be explained is set aside and reported (promise P15; faults, section 2.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.delivery.queue import Queue
from mailstack.delivery.recover import check_database, recover
from mailstack.directory.verify import verify as verify_directory
from mailstack.mailbox.recover import verify_all
from mailstack.mailbox.shared_with import shared_with
from mailstack.state.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailstack.app.config import Config


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        where: "directory", "queue", or the address of a mailbox.
        what: one sentence.
        repaired: it was put right.
    """

    where: str
    what: str
    repaired: bool


def verify(
    config: Config, *, repair: bool, now: Callable[[], float], random_bytes: Callable[[int], bytes]
) -> list[Finding]:
    """Compares everything with everything.

    Args:
        repair: puts right what can be.
        now: Unix seconds.

    Raises:
        TemporaryFailure: a disk or a database that cannot be used at all.
    """
    paths = config.paths
    found = [Finding("directory", what, False) for what in verify_directory(paths)]
    check_database(paths)
    queue = Queue(paths, now=now, random_bytes=random_bytes, options=config.queue)
    try:
        for item in recover(queue, check_all=True, repair=repair):
            found.append(Finding("queue", item.what, item.action != "reported"))
    finally:
        queue.close()
    for finding in verify_all(paths.mail, repair, now=now, random_bytes=random_bytes, options=config.mailbox):
        found.append(Finding(finding.account, finding.what, finding.repaired))
    found += _shares(config, repair=repair, now=now, random_bytes=random_bytes)
    return found


def _shares(
    config: Config, *, repair: bool, now: Callable[[], float], random_bytes: Callable[[int], bytes]
) -> list[Finding]:
    """Folders that are shared, and whom nobody would show them to."""
    found = []
    shares = Shares(config.paths.state_db)
    try:
        for owner, person in shared_with(config.paths.mail, now=now, random_bytes=random_bytes):
            if owner in shares.owners(person):
                continue
            if repair:
                shares.note(owner, person)
            found.append(Finding(owner, f"shares folders with {person}, who is not shown them", repair))
    finally:
        shares.close()
    return found
