"""One person's mailboxes: their own, and the folders others share with them.

Own folders are passed through as they are.  Names below "Shared/<address>/", and the ids
that come from them, lead to another account, where every call first looks at the folder's
access list (see `neighbours`): what no right covers is NOPERM.

Flags are the folder's, \\Seen too: what one person does everybody sees.  \\Recent is the
owner's alone.

Standards: RFC 4314 section 4 (which right for what), RFC 5464 section 3.3.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mailstack.mailbox import transfer
from mailstack.mailbox.neighbours import Around, Neighbours, SharableStore, There
from mailstack.mailbox.shared_messages import SharedMessages
from mailstack.mailbox.transfer import Source, Target
from mailstack.model.mailbox import (
    Appended,
    Copied,
    Delivery,
    FolderEntry,
    FolderStatus,
    MailboxError,
    NewMessage,
)
from mailstack.model.maildrop import Maildrop
from mailstack.model.quota import QuotaState
from mailstack.model.sharing import ANYONE, Annotated, Place, split_shared

#: With all of these nothing is lost when messages are copied as they are.
_ALL_FLAGS = frozenset("stw")
#: One of these is needed, besides "l", for annotations.
_ANNOTATING = frozenset("rswip")


class Mailboxes(SharedMessages):
    """Implements model.mailbox.AccountStore, where the methods are described."""

    __slots__ = ()

    def __init__(self, own: SharableStore, person: str, neighbours: Neighbours) -> None:
        """`person`: address key of the account `own` belongs to."""
        self.own = own
        self.around = Around(person, neighbours)

    # -- folders ------------------------------------------------------------------------

    def folders(self) -> list[FolderEntry]:
        """Own folders, then those of others."""
        mine = self.own.folders()
        others = {
            entry.name: entry
            for entry in self.around.entries({entry.name for entry in mine if entry.subscribed})
        }
        found = []
        for entry in mine:
            other = others.get(entry.name)
            if other is not None and entry.exists and not other.exists:
                # An own folder with the name of the place where others' folders are.
                found.append(replace(entry, has_children=True))
                del others[entry.name]
            elif other is None:
                found.append(entry)
        return found + list(others.values())

    def status(self, name: str) -> FolderStatus:
        """Counters; of somebody else's folder with the rights one has."""
        at = self.around.named(name, "r")
        if at is None:
            return self.own.status(name)
        return self._told(at, at.store.status(at.name), name)

    def _told(self, at: There, status: FolderStatus, name: str) -> FolderStatus:
        return replace(
            status, id=at.id_here(status.id), name=name, recent=0, owner=at.owner, rights=at.rights
        )

    def create(self, name: str, *, special_use: str = "") -> FolderStatus:
        """Makes a folder, below somebody else's with the right "k"."""
        if split_shared(name) is None:
            return self.own.create(name, special_use=special_use)
        if special_use:
            raise MailboxError("USEATTR", "what a folder is for says its owner")
        at = self.around.parent(name)
        return self._told(at, at.store.create(at.name), name)

    def delete(self, name: str) -> None:
        """Removes a folder."""
        at = self.around.named(name, "x")
        if at is None:
            self.own.delete(name)
        else:
            at.store.delete(at.name)

    def rename(self, old: str, new: str) -> None:
        """Renames within one account."""
        at = self.around.named(old, "x")
        into = split_shared(new)
        if at is None and into is None:
            self.own.rename(old, new)
        elif at is None or into is None or at.owner != into[0] or at.name == "INBOX":
            raise MailboxError("CANNOT", "a folder stays with its owner")
        else:
            at.store.rename(at.name, self.around.parent(new).name)

    def subscribe(self, name: str, *, subscribed: bool) -> None:
        """One's own list holds names of others' folders too."""
        self.own.subscribe(name, subscribed=subscribed)

    # -- messages -------------------------------------------------------------------------

    def copy(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """All or nothing, also between accounts."""
        return self._transfer(folder_id, uids, target, move=False)

    def move(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """As copy; the originals go when the copies are durable."""
        return self._transfer(folder_id, uids, target, move=True)

    def _transfer(self, folder_id: int, uids: Sequence[int], target: str, *, move: bool) -> Copied:
        # RFC 6851 section 4.4: MOVE needs what COPY, STORE \\Deleted and EXPUNGE need.
        source, into = self.around.by_id(folder_id, "rte" if move else "r"), self._target(target)
        store = self.own if source is None else source.store
        own_id = folder_id if source is None else source.id
        is_same = (source.owner if source else "") == (into.owner if into else "")
        if is_same and (into is None or set(into.rights) >= _ALL_FLAGS):
            work = store.move if move else store.copy
            with _discreet(into):
                return work(own_id, uids, target if into is None else into.name)
        goal = Target(self.own, target, "") if into is None else Target(into.store, into.name, into.rights)
        if into is None:
            goal = goal._replace(rights="".join(_ALL_FLAGS))
        with _discreet(into):
            return transfer.send(Source(store, own_id), uids, goal, move=move)

    def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        """All or nothing; flags as far as one may set them."""
        at = self._target(name)
        if at is None:
            return self.own.append(name, messages)
        with _discreet(at):
            return at.store.append(at.name, transfer.stripped(messages, at.rights))

    def replace(self, folder_id: int, uid: int, name: str, message: NewMessage) -> Appended:
        """Within one account in one transaction, else the old one goes last."""
        source, into = self.around.by_id(folder_id, "te"), self._target(name)
        if source is None and into is None:
            return self.own.replace(folder_id, uid, name, message)
        if not self.rows_exist(folder_id, uid):
            raise MailboxError("EXPUNGEISSUED", "the message is gone")
        done = self.append(name, [message])
        if source is None:
            self.own.expunge(folder_id, [uid])
        else:
            source.store.expunge(source.id, [uid])
        return done

    def _target(self, name: str) -> There | None:
        """Somebody else's folder messages are put into; None: one's own."""
        try:
            return self.around.named(name, "i")
        except MailboxError as error:
            if error.code == "NONEXISTENT" and self._may_create(name):
                raise MailboxError("TRYCREATE", error.text) from None
            raise

    def _may_create(self, name: str) -> bool:
        try:
            self.around.parent(name)
        except MailboxError:
            return False
        return True

    # -- annotations and rights --------------------------------------------------------------

    def annotations(self, name: str) -> dict[str, bytes]:
        """Values by entry name."""
        at = self._annotated(name)
        return (
            self.own.annotations(name)
            if at is None
            else at.store.annotations_for(at.name, self.around.person)
        )

    def annotate(self, name: str, changes: Mapping[str, bytes | None]) -> Annotated:
        """Sets annotations; shared ones of somebody else's folder with the right "w"."""
        at = self._annotated(name)
        if at is None:
            return self.own.annotate(name, changes)
        if "w" not in at.rights and any(entry.startswith("/shared/") for entry in changes):
            raise MailboxError("NOPERM", "you may read what this folder's owner notes, not change it")
        return at.store.annotate_for(at.name, changes, self.around.person)

    def _annotated(self, name: str) -> There | None:
        at = self.around.named(name, "l")
        if at is not None and _ANNOTATING.isdisjoint(at.rights):
            raise MailboxError("NOPERM", "the owner of this folder does not let you do that")
        return at

    def locate(self, name: str) -> Place:
        """Where a name leads."""
        at = self.around.named(name)
        return self.own.locate(name) if at is None else Place(at.owner, at.name, at.rights)

    def access(self, name: str) -> dict[str, str]:
        """Rights by identifier, the owner's first."""
        at = self.around.named(name, "a")
        return self.own.access(name) if at is None else at.store.access(at.name)

    def grant(self, name: str, identifier: str, rights: str) -> None:
        """Sets the rights of one identifier, who must be somebody; "": removes its entry."""
        at = self.around.named(name, "a")
        owner, store = (self.around.person, self.own) if at is None else (at.owner, at.store)
        who = identifier.removeprefix("-")
        neighbours = self.around.neighbours
        if rights and who == ANYONE and not neighbours.anyone:
            raise MailboxError("CANNOT", "folders cannot be shared with everybody here")
        if rights and who not in (ANYONE, owner) and neighbours.find(who) is None:
            raise MailboxError("CANNOT", "there is no such address here")
        if rights and who == identifier:
            neighbours.note(owner, who)
        store.grant(name if at is None else at.name, identifier, rights)
        if not rights and not any(who in entries for entries in store.access_of_all().values()):
            neighbours.forget(owner, who)

    # -- the owner's alone ---------------------------------------------------------------------

    def deliver(
        self,
        name: str,
        message: NewMessage,
        *,
        base_name: str,
        prefix: bytes = b"",
        cuts: Sequence[tuple[int, int]] = (),
        create: bool = False,
    ) -> Delivery:
        """Into one's own folders only."""
        return self.own.deliver(name, message, base_name=base_name, prefix=prefix, cuts=cuts, create=create)

    def maildrop(self, names: Sequence[str]) -> Maildrop:
        """Of one's own folders."""
        return self.own.maildrop(names)

    def note_fetched(self, folder_id: int, uids: Sequence[int]) -> None:
        """In one's own folders."""
        self.own.note_fetched(folder_id, uids)

    def expire_fetched(self, before: int) -> list[str]:
        """In one's own folders."""
        return self.own.expire_fetched(before)

    def quota(self) -> QuotaState:
        """Of one's own account."""
        return self.own.quota()


@contextlib.contextmanager
def _discreet(at: There | None) -> Iterator[None]:
    """How full somebody else's account is, is their business."""
    try:
        yield
    except MailboxError as error:
        if at is None or error.code != "OVERQUOTA":
            raise
        raise MailboxError(error.code, "the mailbox of this folder's owner is full") from None
