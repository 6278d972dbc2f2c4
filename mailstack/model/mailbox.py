"""The mailbox as IMAP and delivery see it: values, errors and the store's interface.

`mailstack.mailbox` implements `AccountStore`; `mailstack.imap` talks to it through
the shell; neither imports the other.

Standards: RFC 3501, RFC 9051, RFC 7162 (MODSEQ), RFC 8474 (object ids), RFC 8514 (SAVEDATE).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Literal, Protocol, TypeAlias, TypeVar

from mailstack.model.maildrop import Maildrop
from mailstack.model.quota import QuotaState
from mailstack.model.sharing import ALL_RIGHTS, FolderDetails

T = TypeVar("T")


class Flags(IntFlag):
    """System flags as a bit mask."""

    NONE = 0
    SEEN = 1
    ANSWERED = 2
    FLAGGED = 4
    DELETED = 8
    DRAFT = 16


#: RFC 9051 section 2.3.2, in the order of the bits.
FLAG_NAMES: tuple[tuple[Flags, str], ...] = (
    (Flags.SEEN, "\\Seen"),
    (Flags.ANSWERED, "\\Answered"),
    (Flags.FLAGGED, "\\Flagged"),
    (Flags.DELETED, "\\Deleted"),
    (Flags.DRAFT, "\\Draft"),
)

#: Folders every account has from the first login, with their RFC 6154 attribute.
DEFAULT_FOLDERS: tuple[tuple[str, str], ...] = (
    ("INBOX", ""),
    ("Drafts", "\\Drafts"),
    ("Sent", "\\Sent"),
    ("Spam", "\\Junk"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
    ("Promotions", ""),
    ("SocialNetworks", ""),
)

FlagOperation: TypeAlias = Literal["+", "-", "="]


class MailboxError(Exception):
    """The mailbox refuses; `code` is an RFC 5530 response code for IMAP's NO.

    Codes: NONEXISTENT, ALREADYEXISTS, CANNOT, OVERQUOTA, LIMIT, TRYCREATE, INUSE,
    UNAVAILABLE, EXPUNGEISSUED, TOOBIG, HASCHILDREN, UNKNOWN-CTE, BADURL with its URL.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def again_if_gone(work: Callable[[], T]) -> T:
    """Does what finds a folder by its name, once more when it is gone by then.

    Its id may have changed in between, when the index was made anew.
    """
    try:
        return work()
    except MailboxError as error:
        if error.code != "NONEXISTENT":
            raise
    return work()


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """One line of LIST.

    Attributes:
        name: IMAP name in Unicode with "/" (not modified UTF-7); "INBOX" in upper case.
        exists: False for a missing parent of an existing folder (\\NonExistent).
        special_use: RFC 6154 attribute such as "\\Junk"; "" for none.
        rights: what the person who asks may do (see `sharing`).
    """

    name: str
    exists: bool
    has_children: bool
    subscribed: bool
    special_use: str = ""
    rights: str = ALL_RIGHTS


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """Counters of one folder.

    Attributes:
        object_id: RFC 8474 MAILBOXID.
        owner: address key of the account it belongs to; "" for one's own.
        rights: what the person who asks may do (see `sharing`).
    """

    id: int
    name: str
    uid_validity: int
    uid_next: int
    messages: int
    unseen: int
    recent: int
    deleted: int
    size_octets: int
    highest_modseq: int
    object_id: str
    keywords: tuple[str, ...] = ()
    owner: str = ""
    rights: str = ALL_RIGHTS


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message as the index knows it.

    Attributes:
        size_octets: RFC822.SIZE: of the file; files always hold CRLF.
        internal_at, saved_at: Unix seconds.
        email_id: RFC 8474 EMAILID.
        thread_id: RFC 8474 THREADID; "" while nobody has asked for it (`AccountStore.details`).
    """

    uid: int
    flags: Flags
    keywords: tuple[str, ...]
    modseq: int
    size_octets: int
    internal_at: int
    saved_at: int
    email_id: str
    thread_id: str = ""


@dataclass(slots=True)
class MessageColumns:
    """All messages of a folder by ascending UID, column by column.

    Attributes:
        flags: bits of Flags.
        dates: internal dates, Unix seconds.
        keywords: by UID, of those that have some.
    """

    uids: array[int] = field(default_factory=lambda: array("I"))
    flags: bytearray = field(default_factory=bytearray)
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    dates: array[int] = field(default_factory=lambda: array("q"))
    modseqs: array[int] = field(default_factory=lambda: array("Q"))
    keywords: dict[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessageTexts:
    """Ready-made FETCH texts, kept in cache.db.

    Attributes:
        envelope: the parenthesised ENVELOPE value.
        body, bodystructure: BODY and BODYSTRUCTURE values.
        header_octets: length of the header block with its empty line.
        preview: RFC 8970 text.
        parts: places of a large message's parts (`mime.packing`); b"" for others.
    """

    envelope: bytes
    body: bytes
    bodystructure: bytes
    header_octets: int
    preview: str = ""
    parts: bytes = b""


@dataclass(frozen=True, slots=True)
class MessageFields:
    """What SORT and THREAD look at (RFC 5256, RFC 5957), decoded.

    Attributes:
        sent_at: Unix seconds of the Date field; INTERNALDATE when there is none.
        sent_day: days since 1970-01-01 in the Date field's own zone.
        from_mailbox, to_mailbox, cc_mailbox: local part of the first address; "" for none.
        from_display, to_display: its name, else its address.
        message_id: without brackets and quotes; "" for none.
        references: ids of References, else the first of In-Reply-To.
        base_subject: RFC 5256 section 2.1, in its own case.
        is_reply: the subject is that of a reply or forward.
    """

    sent_at: int
    sent_day: int
    subject: str
    from_mailbox: str
    to_mailbox: str
    cc_mailbox: str
    from_display: str
    to_display: str
    message_id: str
    references: tuple[str, ...]
    base_subject: str
    is_reply: bool


@dataclass(frozen=True, slots=True)
class Needle:
    """A text that is looked for, folded by `mime.searchable.fold`; "" is in every message."""

    part: Literal["text", "body", "header", "from", "to", "cc", "bcc", "subject"]
    text: str


@dataclass(frozen=True, slots=True)
class TextHits:
    """Which messages of a folder hold a needle.

    Attributes:
        found: UIDs that certainly hold it.
        unsure: UIDs that must be looked into; whatever is in neither does not hold it.
    """

    found: frozenset[int]
    unsure: frozenset[int]


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append.

    Attributes:
        data: octets; None when `path` or `pieces` are given.
        path: a file on the mail file system that may be linked or read; "" otherwise.
        internal_at: Unix seconds; None: now.
        pieces: what it is put together from, in order (RFC 4469).
        binary: parts may hold NUL and are then encoded (RFC 3516).
    """

    data: bytes | None
    path: str = ""
    flags: Flags = Flags.NONE
    keywords: tuple[str, ...] = ()
    internal_at: int | None = None
    pieces: tuple[Piece, ...] = ()
    binary: bool = False


@dataclass(frozen=True, slots=True)
class FilePiece:
    """All of a file on the mail file system."""

    path: str


@dataclass(frozen=True, slots=True)
class MessagePiece:
    """A range of an open message."""

    file: MessageFile
    start: int
    count: int


Piece: TypeAlias = bytes | FilePiece | MessagePiece


@dataclass(frozen=True, slots=True)
class Appended:
    """APPENDUID (RFC 4315)."""

    uid_validity: int
    uids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FlagChange:
    """What became of a change of flags.

    Attributes:
        rows: the rows that changed, by ascending UID; all have the same MODSEQ.
        refused_uids: those not touched because they have changed since (RFC 7162 section 3.1.3).
    """

    rows: list[MessageRow]
    refused_uids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Copied:
    """COPYUID (RFC 4315): pairs by position."""

    uid_validity: int
    source_uids: tuple[int, ...]
    target_uids: tuple[int, ...]


class MessageFile(Protocol):
    """An open message; reading by offset never crosses into another message."""

    @property
    def size_octets(self) -> int:
        """Octets in the file when it was opened."""
        ...

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        """Octets from `offset`; raises MailboxError UNAVAILABLE on a read error."""
        ...

    def close(self) -> None:
        """Releases the descriptor."""
        ...


class AccountStore(FolderDetails, Protocol):
    """One account's folders and messages.  Blocking; safe to call from any thread.

    Every change bumps the folder's highest MODSEQ; writes that IMAP answers OK to are
    durable (synchronous=FULL) when the call returns.  Raises MailboxError, or
    TemporaryFailure for a disk or database in trouble.
    """

    def folders(self) -> list[FolderEntry]:
        """All folders, sorted, with missing parents as exists=False."""
        ...

    def status(self, name: str) -> FolderStatus:
        """Counters; NONEXISTENT when it is not there."""
        ...

    def create(self, name: str, *, special_use: str = "") -> FolderStatus:
        """Makes a folder; ALREADYEXISTS, CANNOT (bad name), LIMIT."""
        ...

    def delete(self, name: str) -> None:
        """Removes a folder; its messages stay restorable; CANNOT for INBOX."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Renames with children; INBOX: moves its messages to a new folder (RFC 3501 6.3.5)."""
        ...

    def subscribe(self, name: str, *, subscribed: bool) -> None:
        """Remembers a subscription, also of a name that does not exist."""
        ...

    def refresh(self, folder_id: int) -> bool:
        """Looks for files changed by other programs; True when something changed."""
        ...

    def is_open(self) -> bool:
        """Cheap: False when the next call has to open it first, which may have to wait for others."""
        ...

    def is_settled(self, folder_id: int) -> bool:
        """Cheap: True when `refresh` would find that no file has come, gone or changed its name."""
        ...

    def directory(self, folder_id: int | None) -> str:
        """Where a folder's new/ and cur/ lie; None: what holds all folders; "": nowhere to be watched."""
        ...

    def highest_modseq(self, folder_id: int) -> int:
        """Cheap: has anything changed?  NONEXISTENT when the folder was deleted."""
        ...

    def rows(self, folder_id: int, *, since_modseq: int = 0) -> list[MessageRow]:
        """Messages by ascending UID; with since_modseq only those changed after it."""
        ...

    def columns(self, folder_id: int) -> MessageColumns:
        """All messages, as cheap as can be."""
        ...

    def expunged(self, folder_id: int, *, since_modseq: int) -> list[tuple[int, int]]:
        """UIDs expunged after that MODSEQ, as ascending ranges (first, last).

        When the log no longer reaches back, all UIDs below UIDNEXT that are gone.
        """
        ...

    def details(self, folder_id: int, uids: Sequence[int]) -> dict[int, MessageRow]:
        """Rows by UID, each with its thread_id ("" only where it cannot be found out)."""
        ...

    def claim_recent(self, folder_id: int) -> int:
        """First UID nobody has been told of as \\Recent; marks all as told."""
        ...

    def texts(
        self, folder_id: int, uids: Sequence[int], *, ready_only: bool = False
    ) -> dict[int, MessageTexts]:
        """Ready-made texts; those that are missing are made now, with `ready_only` left out."""
        ...

    def fields(self, folder_id: int, uids: Sequence[int]) -> dict[int, MessageFields]:
        """What to sort and thread by; messages that are gone are left out."""
        ...

    def headers(self, folder_id: int, uids: Sequence[int]) -> dict[int, bytes]:
        """The header fields of `mime.heads.KEPT`; those that must be read from the message are left out."""
        ...

    def find_text(self, folder_id: int, needles: Sequence[Needle]) -> list[TextHits]:
        """Where needles are, one answer for each; never looks into files."""
        ...

    def open(self, folder_id: int, uid: int) -> MessageFile:
        """The message; UNAVAILABLE when its file cannot be read, EXPUNGEISSUED when gone."""
        ...

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
        """Adds, removes or replaces; LIMIT for keywords.

        Args:
            unchanged_since: messages with a higher MODSEQ are left alone; None: no condition.
        """
        ...

    def expunge(self, folder_id: int, uids: Sequence[int], *, only_marked: bool = False) -> list[int]:
        """Removes these messages, or those of them marked \\Deleted; gives the UIDs removed."""
        ...

    def copy(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """All or nothing; TRYCREATE, OVERQUOTA."""
        ...

    def move(self, folder_id: int, uids: Sequence[int], target: str) -> Copied:
        """As copy, and the originals are expunged in the same breath (RFC 6851)."""
        ...

    def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        """All or nothing; TRYCREATE, OVERQUOTA."""
        ...

    def replace(self, folder_id: int, uid: int, name: str, message: NewMessage) -> Appended:
        """Stores a message and removes another in one transaction (RFC 8508).

        TRYCREATE, OVERQUOTA; EXPUNGEISSUED: the other is gone, and nothing is stored.
        """
        ...

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
        """Stores a message under a deterministic name, durably, once.

        Args:
            name: target folder; when it does not exist and `create` is False: INBOX.
            message: what to store; `prefix` goes in front, the ranges `cuts` are left out.
            base_name: file name without flags suffix; if a file of that name (in any
                folder sub-directory of the target) or its row exists, nothing is written again.

        Returns:
            Where it is.  On return: tmp -> fsync -> rename -> fsync folder -> row done.
        """
        ...

    def maildrop(self, names: Sequence[str]) -> Maildrop:
        """The messages of these folders as one list; a folder that does not exist has none."""
        ...

    def note_fetched(self, folder_id: int, uids: Sequence[int]) -> None:
        """Remembers that POP3 fetched these messages, for `expire_fetched`."""
        ...

    def expire_fetched(self, before: int) -> list[str]:
        """Expunges what POP3 fetched before that time (Unix seconds), but nothing flagged.

        Gives the names of the folders that lost something.
        """
        ...

    def quota(self) -> QuotaState:
        """What is used and what may be, outside Spam and Trash."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a delivered message is; `again` when it had been there already."""

    folder: str
    uid: int
    base_name: str
    again: bool = False
