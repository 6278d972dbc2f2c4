"""Who an account shares folders with: what the table of shares must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mailstack.mailbox import homes, maildir, rights
from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address, AddressError
from mailstack.model.errors import TemporaryFailure


def shared_with(
    root: Path, *, now: Callable[[], float], random_bytes: Callable[[int], bytes]
) -> Iterator[tuple[str, str]]:
    """Pairs of owner and person (address keys, or `anyone`) from the access lists of all mailboxes.

    A mailbox that cannot be read is left out: `recover.verify` tells of it.
    """
    store = MailStore(root, now=now, random_bytes=random_bytes)
    try:
        for home in homes.homes(root):
            try:
                core = store.account(Address.parse(maildir.address_of(home))).core
                with core.db.read() as connection:
                    lists = rights.read_all(connection)
            except (AddressError, TemporaryFailure):
                continue
            persons = {who for entries in lists.values() for who in entries if not who.startswith("-")}
            yield from ((core.address, person) for person in sorted(persons))
    finally:
        store.close()
