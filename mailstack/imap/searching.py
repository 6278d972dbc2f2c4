"""Runs a search in slices: the loop and the other clients get their turn between them.

Standards: RFC 9051 section 6.4.4, RFC 5256, RFC 5530 (LIMIT).  Numbers: limits, section 6.
Imports: matching, requests, session (types).  No I/O of its own: it asks the shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from mailstack.imap.errors import No
from mailstack.imap.matching import Matcher, Span, TextKey, needle
from mailstack.imap.requests import Steps, slow
from mailstack.imap.search_keys import InSet, Key
from mailstack.imap.sorting import Criterion, Sorter
from mailstack.imap.view import View
from mailstack.model.mailbox import AccountStore, MessageFields, TextHits

if TYPE_CHECKING:
    from mailstack.imap.session import Session

T = TypeVar("T")
#: Messages, and octets of messages, opened in one visit to the store.
_OPENED = 64
_OCTETS = 4_194_304
#: Messages of which the kept header fields are looked through in one visit.
_KEPT = 512
#: Messages whose fields or rows are asked for in one visit.
ROWS = 2_000
#: Needles looked up in one visit.
_NEEDLES = 8
#: Comparisons that may run on the loop's thread, and in one slice.
_QUICK = 50_000
_SLICE = 500_000
#: Messages that may be sorted on the loop's thread.
_QUICK_SORT = 500
#: Results that may be written on the loop's thread.
_QUICK_RESULTS = 20_000
#: So few messages are looked into without asking the text index.
_FEW = 8


class Deadline:
    """When a command that searches has to be done."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._until = session.clock() + session.options.search_time_s

    def check(self) -> None:
        """Raises No LIMIT when the time is up."""
        if self._session.clock() > self._until:
            wait = self._session.options.search_time_s
            raise No(f"The search took more than {wait:g} s", code="LIMIT")

    def pause(self, done: int, total: int) -> Steps[None]:
        """Between two slices: see `Session.progress`; raises No LIMIT when the time is up."""
        self.check()
        yield from self._session.progress(done, total)


def find(session: Session, key: Key, deadline: Deadline) -> Steps[list[int]]:
    """Positions of the messages in the selected folder that fit, ascending.

    Raises:
        Bad: a number that no message has.
        No: LIMIT.
    """
    return (yield from look(session, key, range(len(session.selected)), deadline))


def look(session: Session, key: Key, places: Sequence[int], deadline: Deadline) -> Steps[list[int]]:
    """Those of `places` in the selected folder that fit; as `find`."""

    def spans(key: InSet) -> Iterable[Span]:
        return session.spans(key.numbers, uid=key.uid)

    view, saved = session.selected, session.saved_uids
    matcher = Matcher(view, key, now=session.now(), spans=spans, saved=saved)
    return (yield from run(matcher, view, places, deadline))


def run(matcher: Matcher, view: View, places: Sequence[int], deadline: Deadline) -> Steps[list[int]]:
    """Those of `places`, ascending, that fit."""
    yield from _learn(matcher, view, places, deadline)
    if not matcher.needs_store and matcher.count * len(places) <= _QUICK:
        return matcher.run(places)
    found: list[int] = []
    done = 0
    for piece in _pieces(matcher, view, places):
        if done:
            yield from deadline.pause(done, len(places))
        found.extend((yield from at_store(view, partial(matcher.run, piece))))
        done += len(piece)
    deadline.check()
    return found


def sorted_places(
    view: View, places: list[int], criteria: tuple[Criterion, ...], deadline: Deadline
) -> Steps[list[int]]:
    """Positions in the order asked for.

    Raises:
        No: LIMIT.
    """
    sorter = Sorter(view, criteria)
    if sorter.needs_fields:
        yield from load_fields(view, places, sorter.learn, deadline)
    else:
        sorter.learn(places, {})
    if len(places) <= _QUICK_SORT:
        return sorter.order()
    deadline.check()
    return (yield from at_store(view, partial(_order, sorter)))


def _order(sorter: Sorter, _: AccountStore) -> list[int]:
    return sorter.order()


def apart(view: View, size: int, work: Callable[[], T]) -> Steps[T]:
    """Work that takes time only with large results: then not on the loop's thread."""
    return (yield from at_store(view, lambda _: work())) if size > _QUICK_RESULTS else work()


def at_store(view: View, work: Callable[[AccountStore], T]) -> Steps[T]:
    """Work on the store the view's folder lies in."""
    return slow(work)


def _learn(matcher: Matcher, view: View, places: Sequence[int], deadline: Deadline) -> Steps[None]:
    if matcher.needs_rows:
        yield from _learn_rows(matcher, view, places, deadline)
    if len(places) <= _FEW:
        uids = frozenset(view.uids[at] for at in places)
        for key in matcher.text_keys:
            matcher.learn_text(key, TextHits(frozenset(), uids))
        return
    for group in batches(matcher.text_keys, _NEEDLES):
        yield from at_store(view, partial(_ask_index, matcher, view, group))
        if len(group) == _NEEDLES:
            yield from deadline.pause(0, len(places))


def _ask_index(matcher: Matcher, view: View, keys: list[TextKey], store: AccountStore) -> None:
    hits = store.find_text(view.folder_id, [needle(key) for key in keys])
    for key, hit in zip(keys, hits, strict=True):
        matcher.learn_text(key, hit)


def _learn_rows(matcher: Matcher, view: View, places: Sequence[int], deadline: Deadline) -> Steps[None]:
    if len(places) > _FEW and not matcher.needs_threads:
        yield from at_store(view, lambda store: matcher.learn_rows(store.rows(view.folder_id)))
        return
    for batch in batches(places, ROWS):
        uids = [view.uids[at] for at in batch]
        yield from at_store(view, partial(_take_details, matcher, view, uids))
        if len(batch) == ROWS:
            yield from deadline.pause(0, len(places))


def _take_details(matcher: Matcher, view: View, uids: list[int], store: AccountStore) -> None:
    matcher.learn_rows(store.details(view.folder_id, uids).values())


def load_fields(
    view: View,
    places: Sequence[int],
    take: Callable[[list[int], dict[int, MessageFields]], None],
    deadline: Deadline,
) -> Steps[None]:
    """Gives positions and what is known of their messages to `take`, slice by slice."""
    done = 0
    for batch in batches(places, ROWS):
        if done:
            yield from deadline.pause(done, len(places))
        yield from at_store(view, partial(_take, view, batch, take))
        done += len(batch)


def _take(
    view: View,
    places: list[int],
    take: Callable[[list[int], dict[int, MessageFields]], None],
    store: AccountStore,
) -> None:
    # The fields are used where they were read: nothing of that size crosses to the loop.
    take(places, store.fields(view.folder_id, [view.uids[at] for at in places]))


def batches(items: Iterable[T], most: int) -> Iterator[list[T]]:
    """Lists of up to `most`, in order."""
    rest = iter(items)
    while batch := list(islice(rest, most)):
        yield batch


def _pieces(matcher: Matcher, view: View, places: Sequence[int]) -> Iterator[list[int]]:
    """Many messages at once when only columns are compared, few when they are opened."""
    most = max(256, _SLICE // max(matcher.count, 1))
    if matcher.needs_fields:
        most = min(most, ROWS)
    if matcher.dear and matcher.reads_kept:
        most = min(most, _KEPT)
    elif matcher.dear:
        yield from _few_opened(matcher, view, places, most)
        return
    yield from batches(places, most)


def _few_opened(matcher: Matcher, view: View, places: Sequence[int], most: int) -> Iterator[list[int]]:
    piece: list[int] = []
    opened = octets = 0
    for at in places:
        piece.append(at)
        if view.uids[at] in matcher.dear:
            opened += 1
            octets += view.sizes[at]
        if len(piece) >= most or opened >= _OPENED or octets >= _OCTETS:
            yield piece
            piece, opened, octets = [], 0, 0
    if piece:
        yield piece
