"""An account's mailbox in memory: what `mailstack.mailbox` does, without a disk.

For unit tests of IMAP; kept as simple as the protocol allows.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mailstack.mailbox import maildir
from mailstack.mime import heads, preview, searchable, structure
from mailstack.mime.header import Headers
from mailstack.mime.summary import summarise
from mailstack.model.mailbox import (
    DEFAULT_FOLDERS,
    Appended,
    Copied,
    Delivery,
    FlagChange,
    FlagOperation,
    Flags,
    FolderEntry,
    FolderStatus,
    MailboxError,
    MessageColumns,
    MessageFields,
    MessageRow,
    MessageTexts,
    Needle,
    NewMessage,
    TextHits,
)
from mailstack.model.maildrop import ID_OCTETS, Maildrop
from mailstack.model.quota import QuotaState
from mailstack.model.ranges import ranges
from mailstack.model.roles import ROLES, role_of_name
from tests.kit.memory_details import MemoryDetails
from tests.kit.memory_folder import File, Folder, Message, octets


class MemoryMailbox(MemoryDetails):
    """See `model.mailbox.AccountStore`; `calls` counts what was asked."""

    def __init__(
        self, *, now: Callable[[], float] = lambda: 1_767_225_600.0, quota: int | None = None
    ) -> None:
        self._now = now
        self._quota = quota
        self._next_id = 1
        self._validity = 1000
        self._folders: dict[str, Folder] = {}
        self._subscribed: set[str] = set()
        self._lock = threading.RLock()
        self.opened: list[File] = []
        self.fetched: dict[tuple[int, int], int] = {}
        self.truncate: dict[int, int] = {}
        for name, use in DEFAULT_FOLDERS:
            self.create(name, special_use=use)
            self._subscribed.add(name)

    @classmethod
    def of(cls, owner: str) -> MemoryMailbox:
        """Somebody's, by their address key."""
        made = cls()
        made.owner = owner
        return made

    # -- folders ----------------------------------------------------------------------

    def folders(self) -> list[FolderEntry]:
        names = set(self._folders) | self._subscribed
        parents = {name[:at] for name in self._folders for at in range(len(name)) if name[at] == "/"}
        return [
            FolderEntry(
                name,
                name in self._folders,
                name in parents,
                name in self._subscribed,
                self._folders[name].special_use if name in self._folders else "",
            )
            for name in sorted(names | parents)
        ]

    def _named(self, name: str, code: str = "NONEXISTENT") -> Folder:
        if name not in self._folders:
            raise MailboxError(code, "There is no such mailbox")
        return self._folders[name]

    def _by_id(self, folder_id: int) -> Folder:
        for folder in self._folders.values():
            if folder.id == folder_id:
                return folder
        raise MailboxError("NONEXISTENT", "The mailbox was deleted")

    def status(self, name: str) -> FolderStatus:
        folder = self._named(name)
        rows = [message.row for message in folder.messages.values()]
        return FolderStatus(
            id=folder.id,
            name=name,
            uid_validity=folder.uid_validity,
            uid_next=folder.uid_next,
            messages=len(rows),
            unseen=sum(1 for row in rows if not row.flags & Flags.SEEN),
            recent=sum(1 for message in folder.messages.values() if not message.told),
            deleted=sum(1 for row in rows if row.flags & Flags.DELETED),
            size_octets=sum(row.size_octets for row in rows),
            highest_modseq=folder.modseq,
            object_id=f"M{folder.id}",
            keywords=tuple(dict.fromkeys(word for row in rows for word in row.keywords)),
        )

    def create(self, name: str, *, special_use: str = "") -> FolderStatus:
        if name in self._folders:
            raise MailboxError("ALREADYEXISTS", "There is such a mailbox already")
        name = maildir.check_name(name)
        special_use = self._role_for(name, special_use)
        self._validity += 1
        self._folders[name] = Folder(self._next_id, name, self._validity, special_use)
        self._next_id += 1
        self.inherit(name)
        return self.status(name)

    def _role_for(self, name: str, wanted: str) -> str:
        role = wanted or role_of_name(name)
        before = self._with_role(role) if role else None
        if wanted and (wanted not in ROLES or (before is not None and before.messages)):
            raise MailboxError("USEATTR", "The folder cannot be that")
        if before is not None and before.messages:
            return ""
        if before is not None:
            before.special_use = ""
        return role

    def _with_role(self, role: str) -> Folder | None:
        return next((folder for folder in self._folders.values() if folder.special_use == role), None)

    def delete(self, name: str) -> None:
        if name not in self._folders and any(other.startswith(name + "/") for other in self._folders):
            raise MailboxError("HASCHILDREN", "There are mailboxes below this name")
        self._named(name)
        del self._folders[name]

    def rename(self, old: str, new: str) -> None:
        maildir.check_name(new)
        if new in self._folders:
            raise MailboxError("ALREADYEXISTS", "There is such a mailbox already")
        if old == "INBOX":
            inbox = self._named("INBOX")
            self.create(new)
            self.move(inbox.id, list(inbox.messages), new)
            return
        if old not in self._folders and not any(name.startswith(old + "/") for name in self._folders):
            raise MailboxError("NONEXISTENT", "There is no such mailbox")
        for name in list(self._folders):
            if name == old or name.startswith(old + "/"):
                folder = self._folders.pop(name)
                folder.name = new + name[len(old) :]
                self._folders[folder.name] = folder
        for name in list(self._subscribed):
            if name == old or name.startswith(old + "/"):
                self._subscribed.remove(name)
                self._subscribed.add(new + name[len(old) :])

    def subscribe(self, name: str, *, subscribed: bool) -> None:
        if subscribed:
            self._subscribed.add(name)
        else:
            self._subscribed.discard(name)

    # -- messages ---------------------------------------------------------------------

    def refresh(self, folder_id: int) -> bool:
        self._by_id(folder_id)
        return False

    def is_open(self) -> bool:
        return True

    def is_settled(self, folder_id: int) -> bool:
        self._by_id(folder_id)
        return False

    def directory(self, folder_id: int | None) -> str:
        return ""

    def highest_modseq(self, folder_id: int) -> int:
        return self._by_id(folder_id).modseq

    def rows(self, folder_id: int, *, since_modseq: int = 0) -> list[MessageRow]:
        with self._lock:
            messages = self._by_id(folder_id).messages
            return [messages[uid].row for uid in sorted(messages) if messages[uid].row.modseq > since_modseq]

    def details(self, folder_id: int, uids: Sequence[int]) -> dict[int, MessageRow]:
        found = self._by_id(folder_id).messages
        return {uid: replace(found[uid].row, thread_id="T1") for uid in uids if uid in found}

    def columns(self, folder_id: int) -> MessageColumns:
        found = MessageColumns()
        for row in self.rows(folder_id):
            found.uids.append(row.uid)
            found.flags.append(int(row.flags))
            found.sizes.append(row.size_octets)
            found.dates.append(row.internal_at)
            found.modseqs.append(row.modseq)
            if row.keywords:
                found.keywords[row.uid] = row.keywords
        return found

    def expunged(self, folder_id: int, *, since_modseq: int) -> list[tuple[int, int]]:
        folder = self._by_id(folder_id)
        if since_modseq < folder.floor:
            return ranges(uid for uid in range(1, folder.uid_next) if uid not in folder.messages)
        return ranges(uid for modseq, uid in folder.log if modseq > since_modseq)

    def claim_recent(self, folder_id: int) -> int:
        folder = self._by_id(folder_id)
        first = min((uid for uid, m in folder.messages.items() if not m.told), default=folder.uid_next)
        for message in folder.messages.values():
            message.told = True
        return first

    def texts(
        self, folder_id: int, uids: Sequence[int], *, ready_only: bool = False
    ) -> dict[int, MessageTexts]:
        out: dict[int, MessageTexts] = {}
        if ready_only:
            return out
        for uid in uids:
            message = self._by_id(folder_id).messages.get(uid)
            if message is not None:
                found = structure.describe(message.data)
                shown = preview.preview(message.data, found.message)
                out[uid] = MessageTexts(
                    found.envelope, found.body, found.bodystructure, found.header_octets, shown
                )
        return out

    def fields(self, folder_id: int, uids: Sequence[int]) -> dict[int, MessageFields]:
        messages = self._by_id(folder_id).messages
        return {
            uid: summarise(Headers.parse(messages[uid].data), messages[uid].row.internal_at)
            for uid in uids
            if uid in messages
        }

    def headers(self, folder_id: int, uids: Sequence[int]) -> dict[int, bytes]:
        """Every third message's must be read from it."""
        messages = self._by_id(folder_id).messages
        there = [uid for uid in uids if uid in messages and uid % 3]
        return {uid: heads.select(Headers.parse(messages[uid].data), heads.KEPT) for uid in there}

    def find_text(self, folder_id: int, needles: Sequence[Needle]) -> list[TextHits]:
        """Every third message is one the index cannot speak for."""
        messages = self._by_id(folder_id).messages
        texts = {uid: searchable.read(m.data) for uid, m in messages.items() if uid % 3}
        unsure = frozenset(messages) - texts.keys()
        return [
            TextHits(frozenset(uid for uid, text in texts.items() if text.holds(n.part, n.text)), unsure)
            for n in needles
        ]

    def open(self, folder_id: int, uid: int) -> File:
        message = self._by_id(folder_id).messages.get(uid)
        if message is None:
            raise MailboxError("EXPUNGEISSUED", "The message is gone")
        file = File(message.data[: self.truncate.get(uid)])
        self.opened.append(file)
        return file

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
        words = tuple(keywords)
        changed = []
        refused = []
        with self._lock:
            folder = self._by_id(folder_id)
            modseq = 0
            for uid in uids:
                message = folder.messages.get(uid)
                if message is None:
                    continue
                old = message.row
                if unchanged_since is not None and old.modseq > unchanged_since:
                    refused.append(uid)
                    continue
                match operation:
                    case "+":
                        new = old.flags | flags, tuple(dict.fromkeys(old.keywords + words))
                    case "-":
                        new = old.flags & ~flags, tuple(w for w in old.keywords if w not in words)
                    case "=":
                        new = flags, words
                if new != (old.flags, old.keywords):
                    modseq = modseq or folder.bump()
                    message.row = replace(old, flags=new[0], keywords=new[1], modseq=modseq)
                    changed.append(message.row)
        return FlagChange(changed, refused)

    def expunge(self, folder_id: int, uids: Sequence[int], *, only_marked: bool = False) -> list[int]:
        with self._lock:
            folder = self._by_id(folder_id)
            gone = [uid for uid in uids if uid in folder.messages]
            if only_marked:
                gone = [uid for uid in gone if folder.messages[uid].row.flags & Flags.DELETED]
            if gone:
                modseq = folder.bump()
                for uid in gone:
                    del folder.messages[uid]
                    folder.log.append((modseq, uid))
            return gone

    def copy(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        folder = self._by_id(folder_id)
        to = self._named(target, "TRYCREATE")
        source = [uid for uid in uids if uid in folder.messages]
        self._check_quota(sum(len(folder.messages[uid].data) for uid in source))
        made = []
        for uid in source:
            message = folder.messages[uid]
            made.append(
                self._add(to, message.data, message.row.flags, message.row.keywords, message.row.internal_at)
            )
        return Copied(to.uid_validity, tuple(source), tuple(made))

    def move(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        quota, self._quota = self._quota, None
        try:
            done = self.copy(folder_id, uids, target)
        finally:
            self._quota = quota
        self.expunge(folder_id, done.source_uids)
        return done

    def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        folder = self._named(name, "TRYCREATE")
        datas = [octets(m) for m in messages]
        self._check_quota(sum(map(len, datas)))
        uids = [
            self._add(folder, data, m.flags, m.keywords, m.internal_at)
            for m, data in zip(messages, datas, strict=True)
        ]
        return Appended(folder.uid_validity, tuple(uids))

    def replace(self, folder_id: int, uid: int, name: str, message: NewMessage) -> Appended:
        with self._lock:
            if uid not in self._by_id(folder_id).messages:
                raise MailboxError("EXPUNGEISSUED", "The message is gone")
            done = self.append(name, [message])
            self.expunge(folder_id, [uid])
            return done

    def _check_quota(self, more: int) -> None:
        state = self.quota()
        if state.limit_octets is not None and state.used_octets + more > state.limit_octets:
            raise MailboxError("OVERQUOTA", "The mailbox is full")

    def _add(
        self,
        folder: Folder,
        data: bytes,
        flags: Flags = Flags.NONE,
        keywords: tuple[str, ...] = (),
        internal_at: int | None = None,
        base_name: str = "",
    ) -> int:
        with self._lock:
            uid = folder.uid_next
            folder.uid_next += 1
            now = int(self._now())
            row = MessageRow(
                uid, flags, keywords, folder.bump(), len(data),
                now if internal_at is None else internal_at, now, f"E{folder.id}-{uid}",
            )  # fmt: skip
            folder.messages[uid] = Message(row, data, base_name)
            return uid

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
        if name not in self._folders:
            if create:
                self.create(name)
            else:
                name = "INBOX"
        folder = self._folders[name]
        for uid, there in folder.messages.items():
            if there.base_name == base_name:
                return Delivery(name, uid, base_name, again=True)
        data = message.data if message.data is not None else Path(message.path).read_bytes()
        for start, end in reversed(cuts):
            data = data[:start] + data[end:]
        uid = self._add(
            folder, prefix + data, message.flags, message.keywords, message.internal_at, base_name
        )
        return Delivery(name, uid, base_name)

    def maildrop(self, names: Sequence[str]) -> Maildrop:
        folders = [self._folders[name] for name in names if name in self._folders]
        drop = Maildrop(tuple(each.id for each in folders), tuple(each.name for each in folders))
        found = sorted(
            (m.row.saved_at, at, uid, m)
            for at, folder in enumerate(folders)
            for uid, m in folder.messages.items()
        )
        ids = b""
        for _, at, uid, message in found:
            drop.folder.append(at)
            drop.uids.append(uid)
            drop.sizes.append(len(message.data) + 2 * (bool(message.data) and message.data[-2:] != b"\r\n"))
            ids += hashlib.blake2b(b"%d.%d" % (folders[at].id, uid), digest_size=ID_OCTETS).digest()
        return replace(drop, ids=ids)

    def note_fetched(self, folder_id: int, uids: Sequence[int]) -> None:
        for uid in uids:
            self.fetched.setdefault((folder_id, uid), int(self._now()))

    def expire_fetched(self, before: int) -> list[str]:
        due = [key for key, at in self.fetched.items() if at < before]
        return [
            self._by_id(folder_id).name
            for folder_id, uid in due
            if uid in self._by_id(folder_id).messages and self.expunge(folder_id, [uid])
        ]

    def quota(self) -> QuotaState:
        sizes = [m.row.size_octets for folder in self._folders.values() for m in folder.messages.values()]
        return QuotaState(sum(sizes), self._quota, len(sizes), None)

    # -- for tests --------------------------------------------------------------------

    def add(self, name: str, data: bytes, flags: Flags = Flags.NONE, internal_at: int | None = None) -> int:
        """A message that has just arrived; gives its UID."""
        return self._add(self._named(name), data, flags, internal_at=internal_at)

    def lose(self, name: str, uid: int) -> None:
        """Another session expunges it."""
        self.expunge(self._named(name).id, [uid])

    def forget_expunged(self, name: str) -> None:
        """The log of what was expunged is lost up to now."""
        folder = self._named(name)
        folder.log.clear()
        folder.floor = folder.modseq

    def renew(self, name: str) -> None:
        """The folder gets another UIDVALIDITY."""
        self._validity += 1
        self._named(name).uid_validity = self._validity

    def data(self, name: str, uid: int) -> bytes:
        """A stored message."""
        return self._named(name).messages[uid].data
