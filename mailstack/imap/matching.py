"""Which messages fit SEARCH's criteria.

Flags, dates and sizes come from the view.  What the account's rows and its text index
know is put in once for the whole folder (`learn_rows`, `learn_text`); a message is
opened only when the index cannot speak for it, and once, however many criteria look at
it.  Cheap criteria go first and leave less for the dear ones.

Texts are compared as `mime.searchable` says: substrings, without case, all charsets and
encodings undone.

Standards: RFC 9051 section 6.4.4, RFC 5051.
Imports: mime, model, sections.  No I/O of its own: it reads through the store.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, assert_never

from mailstack.imap.grammar import SAVED_PAIR
from mailstack.imap.search_keys import (
    Age,
    ChangedSince,
    Comparison,
    Dated,
    Everything,
    Group,
    HasFlag,
    HasKeyword,
    InBody,
    InHeader,
    InSet,
    Key,
    ObjectId,
    Size,
    leaves,
)
from mailstack.imap.sections import Source
from mailstack.imap.view import View
from mailstack.mime import heads, searchable
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import Headers
from mailstack.mime.searchable import SearchText, fold
from mailstack.model.mailbox import (
    AccountStore,
    MailboxError,
    MessageFields,
    MessageFile,
    MessageRow,
    Needle,
    TextHits,
)

#: Octets of one message that are looked at; of a larger one only the header.
MAX_MESSAGE_OCTETS = 67_108_864
_DAY_S = 86_400

#: Positions: the first, and the one behind the last.
Span: TypeAlias = tuple[int, int]
TextKey: TypeAlias = InHeader | InBody


@dataclass(frozen=True, slots=True)
class _Known:
    """What the text index says of every position: fits for certain, must be looked into, for what.

    Attributes:
        word: the needle, if it is one word of ASCII; else b"".
    """

    sure: bytes
    unsure: bytes
    needle: str
    word: bytes


class Matcher:
    """Finds the messages of a view that fit; `run` may be called piece by piece."""

    def __init__(
        self,
        view: View,
        key: Key,
        *,
        now: float,
        spans: Callable[[InSet], Iterable[Span]],
        saved: Sequence[int] = (),
    ) -> None:
        """Looks at nothing but the view.

        Args:
            now: Unix seconds, for OLDER and YOUNGER.
            spans: positions of a message set without what `$` stands for; may raise Bad.
            saved: UIDs that `$` stands for.
        """
        self._view = view
        self._key = key
        self._now = now
        criteria = dict.fromkeys(leaves(key))
        self._spans = {at: _joined(spans(at)) for at in criteria if isinstance(at, InSet)}
        self._saved = frozenset(saved) if any(SAVED_PAIR in at.numbers for at in self._spans) else frozenset()
        self._texts = [at for at in criteria if isinstance(at, InHeader | InBody)]
        self._ids: dict[ObjectId, set[int]] = {at: set() for at in criteria if isinstance(at, ObjectId)}
        asks_saved = any(_is_dated(at, "saved") for at in criteria)
        self._saved_days = array("i", bytes(4 * len(view))) if asks_saved else None
        #: `learn_rows` is wanted.
        self.needs_rows = bool(self._ids) or asks_saved
        #: The rows must know their threads.
        self.needs_threads = any(at.which == "thread" for at in self._ids)
        self._header_only = not any(isinstance(at, InBody) for at in criteria)
        #: What is looked into is the header fields that are kept ready-made.
        self.reads_kept = all(
            isinstance(at, InHeader) and at.field.encode() in heads.KEPT for at in self._texts
        )
        self._kept: dict[int, bytes] = {}
        self._known: dict[Key, _Known] = {}
        wanted = {at.name for at in criteria if isinstance(at, HasKeyword)}
        self._keywords = _having(view, wanted) if wanted else {}
        self._messages: dict[int, _Message | None] = {}
        self._fields: dict[int, MessageFields] = {}
        self._store: AccountStore | None = None
        #: How many different criteria there are.
        self.count = len(criteria)
        #: The Date fields of messages are wanted.
        self.needs_fields = any(_is_dated(at, "sent") for at in criteria)
        #: UIDs of messages that may have to be opened.
        self.dear: set[int] = set()

    # -- what others know -------------------------------------------------------------

    @property
    def needs_store(self) -> bool:
        """`run` will ask the store."""
        return bool(self._texts) or self.needs_fields

    def learn_rows(self, rows: Iterable[MessageRow]) -> None:
        """Takes in rows; in the end all of the places looked at, in any number of pieces."""
        emails = {key.id: uids for key, uids in self._ids.items() if key.which == "email"}
        threads = {key.id: uids for key, uids in self._ids.items() if key.which == "thread"}
        for row in rows:
            if row.email_id in emails:
                emails[row.email_id].add(row.uid)
            if row.thread_id in threads:
                threads[row.thread_id].add(row.uid)
            if self._saved_days is not None and (at := self._view.position(row.uid)) >= 0:
                self._saved_days[at] = row.saved_at // _DAY_S

    @property
    def text_keys(self) -> Sequence[TextKey]:
        """What the text index is to be asked, see `needle`."""
        return self._texts

    def learn_text(self, key: TextKey, hits: TextHits) -> None:
        """Takes in what the index said to a needle."""
        found, unsure = hits.found, hits.unsure
        if isinstance(key, InHeader) and not _is_indexed(key):
            # The index knows headers, not which field holds what.
            found, unsure = frozenset(), found | unsure
        uids = self._view.uids
        self._known[key] = _Known(
            bytes(map(found.__contains__, uids)),
            bytes(map(unsure.__contains__, uids)) if unsure else b"",
            wanted := fold(key.text),
            wanted.encode() if wanted.isascii() and " " not in wanted else b"",
        )
        self.dear |= unsure

    # -- matching ---------------------------------------------------------------------

    def run(self, places: Sequence[int], store: AccountStore | None = None) -> list[int]:
        """Those of `places`, ascending, that fit.

        Raises:
            MailboxError, TemporaryFailure: the store is in trouble (a single message that
                cannot be read fits nothing).
        """
        self._store = store
        try:
            if self.needs_fields and store is not None:
                uids = [self._view.uids[at] for at in places]
                self._fields = store.fields(self._view.folder_id, uids)
            if self.reads_kept and self.dear and store is not None:
                unsure = [uid for at in places if (uid := self._view.uids[at]) in self.dear]
                self._kept = store.headers(self._view.folder_id, unsure)
            return list(self._fitting(self._key, places))
        finally:
            self._messages.clear()
            self._fields = {}
            self._kept = {}

    def _fitting(self, key: Key, places: Sequence[int]) -> Sequence[int]:
        view = self._view
        match key:
            case Everything():
                return places
            case HasFlag(bit):
                return [at for at in places if view.flags[at] & bit]
            case HasKeyword(name):
                having = self._keywords[name]
                return [at for at in places if view.uids[at] in having] if having else ()
            case Size(larger, octets):
                if larger:
                    return [at for at in places if view.sizes[at] > octets]
                return [at for at in places if view.sizes[at] < octets]
            case InSet():
                return self._in_set(key, places)
            case Dated():
                return self._dated(key, places)
            case Age(older, seconds):
                limit = self._now - seconds
                if older:
                    return [at for at in places if view.dates[at] <= limit]
                return [at for at in places if view.dates[at] >= limit]
            case ChangedSince(modseq):
                return [at for at in places if view.modseqs[at] >= modseq]
            case ObjectId():
                having = self._ids[key]
                return [at for at in places if view.uids[at] in having] if having else ()
            case InHeader() | InBody():
                return self._holding(key, places)
            case Group():
                return self._fitting_group(key, places)
        assert_never(key)

    def _in_set(self, key: InSet, places: Sequence[int]) -> list[int]:
        found: list[int] = []
        for low, high in self._spans[key]:
            found.extend(places[bisect_left(places, low) : bisect_left(places, high)])
        if self._saved and SAVED_PAIR in key.numbers:
            found.extend([at for at in places if self._view.uids[at] in self._saved])
            found = sorted(set(found))
        return found

    def _dated(self, key: Dated, places: Sequence[int]) -> list[int]:
        view, comparison, day = self._view, key.comparison, key.day
        if key.which == "arrived":
            return [at for at in places if _compare(view.dates[at] // _DAY_S, comparison, day)]
        if key.which == "saved":
            days = self._saved_days
            assert days is not None
            return [at for at in places if _compare(days[at], comparison, day)]
        return [
            at
            for at in places
            if (found := self._fields.get(view.uids[at])) and _compare(found.sent_day, comparison, day)
        ]

    def _holding(self, key: TextKey, places: Sequence[int]) -> list[int]:
        known = self._known[key]
        sure, unsure = known.sure, known.unsure
        if not unsure:
            return [at for at in places if sure[at]]
        return [
            at
            for at in places
            if sure[at] or (unsure[at] and (message := self._message(at)) and message.holds(key, known))
        ]

    def _fitting_group(self, group: Group, places: Sequence[int]) -> Sequence[int]:
        if group.kind == "NOT":
            without = set(self._fitting(group.children[0], places))
            return [at for at in places if at not in without]
        children = sorted(group.children, key=self._cost)
        if group.kind == "AND":
            for child in children:
                if not places:
                    break
                places = self._fitting(child, places)
            return places
        found: set[int] = set()
        left = places
        for child in children:
            found.update(self._fitting(child, left))
            left = [at for at in left if at not in found]
        return [at for at in places if at in found]

    def _cost(self, key: Key) -> int:
        if isinstance(key, Group):
            return max(self._cost(child) for child in key.children)
        if isinstance(key, InHeader | InBody) and self._known[key].unsure:
            return 3 if isinstance(key, InBody) else 2
        return int(isinstance(key, InHeader | InBody | Dated))

    def _message(self, at: int) -> _Message | None:
        if at not in self._messages:
            assert self._store is not None
            uid = self._view.uids[at]
            block = self._kept.get(uid)
            if block is not None:
                self._messages[at] = _Message(block, len(block), header_only=True)
                return self._messages[at]
            try:
                opened = self._store.open(self._view.folder_id, uid)
                self._messages[at] = _read_message(opened, header_only=self._header_only)
            except MailboxError as error:
                if error.code == "NONEXISTENT":
                    raise  # the folder is gone: that nothing fits would not be true
                self._messages[at] = None
        return self._messages[at]


def _is_dated(key: Key, which: Literal["sent", "saved"]) -> bool:
    return isinstance(key, Dated) and key.which == which


def _having(view: View, names: Iterable[str]) -> dict[str, set[int]]:
    """UIDs of the messages that have these keywords."""
    found: dict[str, set[int]] = {name: set() for name in names}
    for uid, words in view.keywords.items():
        for word in words:
            if (name := word.lower()) in found:
                found[name].add(uid)
    return found


def _compare(day: int, comparison: Comparison, wanted: int) -> bool:
    if comparison == "=":
        return day == wanted
    return day < wanted if comparison == "<" else day >= wanted


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Ascending, without overlaps."""
    out: list[Span] = []
    end = 0
    for low, high in sorted(spans):
        if high > max(low, end):
            out.append((max(low, end), high))
            end = high
    return out


_INDEXED: dict[str, Literal["from", "to", "cc", "bcc", "subject"]] = {
    "from": "from",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
    "subject": "subject",
}


def _is_indexed(key: InHeader) -> bool:
    return bool(key.text) and key.field in _INDEXED


def needle(key: TextKey) -> Needle:
    """What the text index is asked for a criterion."""
    if isinstance(key, InBody):
        return Needle("text" if key.with_header else "body", fold(key.text))
    if _is_indexed(key):
        return Needle(_INDEXED[key.field], fold(key.text))
    # RFC 9051 section 6.4.4: an empty text asks whether the field exists.
    return Needle("header", fold(key.text) if key.text else fold(key.field + ":"))


class _Anything:
    """Holds every word."""

    def __contains__(self, word: bytes) -> bool:
        return True


_ANYTHING = _Anything()


class _Message:
    """One message's texts, each made when first asked for."""

    def __init__(self, data: bytes, head_end: int, *, header_only: bool) -> None:
        """The octets of a message, or with `header_only` of its header."""
        self._data = data
        self._head_end = head_end
        self._header_only = header_only

    def holds(self, key: TextKey, known: _Known) -> bool:
        """The criterion fits."""
        if isinstance(key, InBody):
            return self._text.holds("text" if key.with_header else "body", known.needle)
        if known.word not in self._plain_head:
            return False
        return any(known.needle in fold(decode_words(value)) for value in self._headers.all(key.field))

    @cached_property
    def _plain_head(self) -> bytes | _Anything:
        # Where nothing is encoded, decoding joins no octets and makes none.
        head = self._data[: self._head_end]
        if not head.isascii() or b"=?" in head:
            return _ANYTHING
        return head.lower()

    @cached_property
    def _headers(self) -> Headers:
        return Headers.parse(self._data, 0, self._head_end)

    @cached_property
    def _text(self) -> SearchText:
        if self._header_only:
            return searchable.header_text(self._data)
        return searchable.read(self._data)


def _read_message(file: MessageFile, *, header_only: bool) -> _Message:
    try:
        source = Source(file, header_only=header_only)
        head_end = source.head_end
        header_only = header_only or source.size > MAX_MESSAGE_OCTETS
        data = source.read(0, head_end if header_only else source.size)
        return _Message(data, head_end, header_only=header_only)
    finally:
        file.close()
