"""Accounts of one instance that can share folders with each other, without a directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mailstack.mailbox.neighbours import SharableStore
from mailstack.mailbox.sharing import Mailboxes
from mailstack.model.mailbox import Flags, NewMessage

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"


class Street:
    """Implements mailbox.neighbours.Neighbours.

    Attributes:
        shares: pairs of owner and person.
        suspended: address keys.
    """

    def __init__(self, accounts: Mapping[str, SharableStore], *, anyone: bool = False) -> None:
        self.anyone = anyone
        self.shares: set[tuple[str, str]] = set()
        self.suspended: set[str] = set()
        self.accounts = dict(accounts)

    def find(self, key: str) -> tuple[int, SharableStore] | None:
        if key not in self.accounts or key in self.suspended:
            return None
        return list(self.accounts).index(key) + 1, self.accounts[key]

    def owners(self, person: str) -> Sequence[str]:
        return sorted({owner for owner, who in self.shares if who in (person, "anyone")})

    def note(self, owner: str, person: str) -> None:
        self.shares.add((owner, person))

    def forget(self, owner: str, person: str) -> None:
        self.shares.discard((owner, person))

    def of(self, key: str) -> Mailboxes:
        """One person's mailboxes."""
        return Mailboxes(self.accounts[key], key, self)


def furnished(make: Callable[[str], SharableStore], *, shared: bool) -> Mailboxes:
    """Alice's mailboxes in a street with Bob.

    Args:
        make: gives the mailbox of an address.
        shared: Bob lets Alice read his INBOX (two messages), list his Drafts, put into his
            Archive, and do everything in Work (one message) but administer it.
    """
    street = Street({key: make(key) for key in (ALICE, BOB)})
    if shared:
        bob = street.of(BOB)
        for folder, texts in (("INBOX", ("one", "two")), ("Work", ("plan",))):
            if folder == "Work":
                bob.create("Work")
            new = [
                NewMessage(b"Subject: %b\r\n\r\nx\r\n" % text.encode(), flags=Flags.FLAGGED) for text in texts
            ]
            bob.append(folder, new)
        for folder, rights in (("INBOX", "lr"), ("Drafts", "l"), ("Archive", "lrsi"), ("Work", "lrswipkxte")):
            bob.grant(folder, ALICE, rights)
    return street.of(ALICE)
