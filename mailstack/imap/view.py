"""The selected folder as one client has been told of it.

Sequence numbers are positions in this view, so it changes only when the client is
told: `learn` takes in what the store says, `gone` waits there until an EXPUNGE may be
sent.  Columns instead of objects: 10,000 messages are 250 KiB.

Standards: RFC 3501 sections 2.3.1, 5.2, 7.4.1.
Imports: mime, model, grammar.  No I/O.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress

from mailstack.imap.binary import Measured
from mailstack.imap.errors import Bad
from mailstack.imap.grammar import SAVED_PAIR, MessageSet
from mailstack.imap.response import RECENT
from mailstack.mime.scanner import Part
from mailstack.model.mailbox import Flags, MessageColumns, MessageRow
from mailstack.model.sharing import ALL_RIGHTS

#: Flag bytes without \\Recent.
_OTHERS = bytes(bits for bits in range(256) if not bits & RECENT)
#: Structures of large messages that are kept.
MAX_REMEMBERED = 4


@dataclass(slots=True)
class Learned:
    """What `View.learn` found new.

    Attributes:
        arrived: messages were added at the end.
        changed: positions whose flags or keywords are not what the client was told.
        new_keywords: the folder has keywords it did not have.
        gone: UIDs of messages whose EXPUNGE comes next; they still have their positions.
    """

    arrived: int = 0
    changed: list[int] = field(default_factory=list)
    new_keywords: bool = False
    gone: list[int] = field(default_factory=list)


class View:
    """Positions count from 0; sequence numbers from 1."""

    __slots__ = (
        "ahead",
        "behind",
        "dates",
        "dropped",
        "flags",
        "folder_id",
        "gone",
        "keywords",
        "known_keywords",
        "measured",
        "modseq",
        "modseqs",
        "name",
        "owner",
        "parts",
        "read_only",
        "rights",
        "sizes",
        "uids",
    )

    def __init__(self, folder_id: int, name: str, *, read_only: bool, modseq: int) -> None:
        self.folder_id = folder_id
        self.name = name
        self.read_only = read_only
        #: Address key of the account the folder belongs to, "" for one's own; what one may do.
        self.owner = ""
        self.rights = ALL_RIGHTS
        self.modseq = modseq
        self.uids = array("I")
        self.flags = bytearray()
        self.sizes = array("Q")
        self.dates = array("q")
        self.modseqs = array("Q")
        self.keywords: dict[int, tuple[str, ...]] = {}
        self.known_keywords: dict[str, None] = {}
        self.gone: set[int] = set()
        self.parts: dict[int, Part] = {}
        #: Of the messages in `parts`: large parts, by number, that were decoded once.
        self.measured: dict[int, dict[tuple[int, ...], Measured]] = {}
        #: MODSEQ of the last change of our own; the client may have seen it before others' changes.
        self.ahead = 0
        #: Up to where the client knew everything when the first of `gone` went.
        self.behind = 0
        #: Messages were told as gone since this was last looked at.
        self.dropped = False

    def __len__(self) -> int:
        return len(self.uids)

    # -- what the store says --------------------------------------------------------

    def fill(self, columns: MessageColumns) -> None:
        """Takes in all messages there are; the view holds none before."""
        self.uids = columns.uids
        self.flags = columns.flags
        self.sizes = columns.sizes
        self.dates = columns.dates
        self.modseqs = columns.modseqs
        self.keywords = columns.keywords
        for words in dict.fromkeys(columns.keywords.values()):
            self.known_keywords.update(dict.fromkeys(words))

    def learn(self, rows: Sequence[MessageRow], *, with_modseq: bool = False) -> Learned:
        """Takes in rows that are new or have changed, by ascending UID.

        Args:
            with_modseq: a new MODSEQ is a change even when the flags are the same again.
        """
        learned = Learned()
        last = self.last_uid
        new = [row for row in rows if row.uid > last]
        for row in rows[: len(rows) - len(new)]:
            at = self.position(row.uid)
            if at < 0:
                continue
            known = self.modseqs[at]
            if self._change(at, row, learned) or (with_modseq and known != row.modseq):
                learned.changed.append(at)
        if new:
            self._add(new, learned)
        return learned

    def _add(self, rows: Sequence[MessageRow], learned: Learned) -> None:
        self.uids.extend([row.uid for row in rows])
        self.flags.extend([int(row.flags) for row in rows])
        self.sizes.extend([row.size_octets for row in rows])
        self.dates.extend([row.internal_at for row in rows])
        self.modseqs.extend([row.modseq for row in rows])
        for row in rows:
            if row.keywords:
                self._set_keywords(row, learned)
        learned.arrived = len(rows)

    def _change(self, at: int, row: MessageRow, learned: Learned) -> bool:
        self.modseqs[at] = row.modseq
        bits = self.flags[at]
        told = self.keywords.get(row.uid, ())
        if bits & ~RECENT == int(row.flags) and told == row.keywords:
            return False
        self.flags[at] = int(row.flags) | (bits & RECENT)
        if told != row.keywords:
            self._set_keywords(row, learned)
        return True

    def _set_keywords(self, row: MessageRow, learned: Learned) -> None:
        if row.keywords:
            self.keywords[row.uid] = row.keywords
        else:
            self.keywords.pop(row.uid, None)
        if not self.known_keywords.keys() >= set(row.keywords):
            self.known_keywords.update(dict.fromkeys(row.keywords))
            learned.new_keywords = True

    def mark_recent(self, first_uid: int) -> None:
        """Messages from this UID on are \\Recent in this session."""
        for at in range(bisect_left(self.uids, first_uid), len(self.uids)):
            self.flags[at] |= RECENT

    def lose(self, pairs: Iterable[tuple[int, int]]) -> None:
        """The UIDs of these ranges were expunged; the client is told when it may be."""
        was_empty = not self.gone
        for first, last in pairs:
            self.gone.update(self.uids[bisect_left(self.uids, first) : bisect_right(self.uids, last)])
        if was_empty and self.gone:
            self.behind = self.modseq

    def drop_gone(self) -> list[int]:
        """Forgets the expunged; gives their sequence numbers in the order to be told.

        Descending, so that no number sent changes one that follows (RFC 3501 section 7.4.1).
        """
        if not self.gone:
            return []
        keep = bytearray(uid not in self.gone for uid in self.uids)
        places = [at for at, stays in enumerate(keep) if not stays]
        places.reverse()
        for uid in self.gone:
            self.keywords.pop(uid, None)
        self.uids = array("I", compress(self.uids, keep))
        self.flags = bytearray(compress(self.flags, keep))
        self.sizes = array("Q", compress(self.sizes, keep))
        self.dates = array("q", compress(self.dates, keep))
        self.modseqs = array("Q", compress(self.modseqs, keep))
        self.gone.clear()
        return [at + 1 for at in places]

    def remember_parts(
        self, uid: int, message: Part, measured: dict[tuple[int, ...], Measured] | None = None
    ) -> None:
        """Keeps a large message's structure: clients fetch it in many small pieces."""
        while uid not in self.parts and len(self.parts) >= MAX_REMEMBERED:
            oldest = next(iter(self.parts))
            del self.parts[oldest]
            self.measured.pop(oldest, None)
        self.parts[uid] = message
        if measured:
            self.measured[uid] = measured

    # -- what the client asks ---------------------------------------------------------

    @property
    def last_uid(self) -> int:
        """The highest UID; 0: none."""
        return self.uids[-1] if self.uids else 0

    @property
    def settled(self) -> int:
        """Up to this MODSEQ the client has been told everything."""
        return self.behind if self.gone else self.modseq

    @property
    def recent(self) -> int:
        """How many messages are \\Recent here."""
        return len(self.flags.translate(None, _OTHERS))

    @property
    def first_unseen(self) -> int:
        """Sequence number of the first message without \\Seen; 0: none."""
        seen = int(Flags.SEEN)
        return next((n for n, bits in enumerate(self.flags, 1) if not bits & seen), 0)

    def position(self, uid: int) -> int:
        """Where this UID stands; -1: nowhere."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

    def positions(self, wanted: MessageSet, *, uid: bool, saved: Sequence[int] = ()) -> list[int]:
        """The messages of a set, ascending, each once.

        Args:
            saved: UIDs that `$` stands for.

        Raises:
            Bad: a sequence number that no message has (RFC 3501 section 9, seq-number).
        """
        spans = self.spans(wanted, uid=uid)
        if SAVED_PAIR in wanted:
            spans.extend((at, at + 1) for known in saved if (at := self.position(known)) >= 0)
        if len(spans) == 1:
            return list(range(*spans[0]))
        places: list[int] = []
        end = 0
        for low, high in sorted(spans):
            places.extend(range(max(low, end), high))
            end = max(end, high)
        return places

    def spans(self, wanted: MessageSet, *, uid: bool) -> list[tuple[int, int]]:
        """The messages of a set, `$` left out, as ranges of positions (first, behind the last).

        Raises:
            Bad: as `positions`.
        """
        plain = [pair for pair in wanted if pair != SAVED_PAIR]
        return self._uid_spans(plain) if uid else self._number_spans(plain)

    def _uid_spans(self, wanted: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        if not self.uids:
            return []
        last = self.uids[-1]
        spans = []
        for pair in wanted:
            low, high = sorted((pair[0] or last, pair[1] or last))
            spans.append((bisect_left(self.uids, low), bisect_right(self.uids, high)))
        return spans

    def _number_spans(self, wanted: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        count = len(self.uids)
        spans = []
        for pair in wanted:
            if not count and 0 in pair and max(pair) <= 1:
                continue  # `1:*` in an empty folder: nothing, as clients expect
            low, high = sorted((pair[0] or count, pair[1] or count))
            if 0 in pair:
                high = min(high, count)  # `9:*` with 8 messages: the last one, as clients expect
            if not 0 < high <= count:
                raise Bad("There is no message of that number")
            spans.append((min(low, high) - 1, high))
        return spans
