"""Searches whose results are kept up to date: RETURN (UPDATE).

A context remembers the UIDs it found.  Whenever the client is told of changes, what has
changed is looked at again, and only that; sorted contexts are sorted again when something
new fits.  A context ends with its folder, with CANCELUPDATE, or when it becomes too dear.

Standards: RFC 5267 section 4.3 (UPDATE, CANCELUPDATE, ADDTO, REMOVEFROM, NOUPDATE).
Imports: matching, searching, sorting, view.  No I/O of its own: it asks the shell.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailstack.imap.errors import Bad, No
from mailstack.imap.grammar import SAVED_PAIR
from mailstack.imap.requests import Steps
from mailstack.imap.response import compress, status_line
from mailstack.imap.search_keys import Group, InSet, Key
from mailstack.imap.searching import Deadline, look, sorted_places
from mailstack.imap.sorting import Criterion
from mailstack.imap.view import Learned, View
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError
from mailstack.model.ranges import ranges

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Contexts of a session, those of them that are sorted, and messages a sorted one may find.
MAX_CONTEXTS = 16
MAX_SORTED = 4
MAX_SORTED_MESSAGES = 20_000


@dataclass(slots=True)
class Context:
    """One search that is kept up to date.

    Attributes:
        criteria: how it is sorted; () for the order of the mailbox.
        found: UIDs, in the order of the results.
        seen: the view's MODSEQ up to which changes were looked at.
    """

    tag: bytes
    uid: bool
    view: View
    key: Key
    criteria: tuple[Criterion, ...]
    found: array[int]
    seen: int


@dataclass(slots=True)
class Contexts:
    """A session's contexts by tag."""

    by_tag: dict[bytes, Context] = field(default_factory=dict)

    def forget_old(self, view: View | None) -> None:
        """Contexts of folders that are no longer selected are over."""
        for tag in [tag for tag, context in self.by_tag.items() if context.view is not view]:
            del self.by_tag[tag]

    def cancel(self, tags: Iterable[bytes]) -> None:
        """No further updates; unknown tags do not matter."""
        for tag in tags:
            self.by_tag.pop(tag, None)


def check_tag(session: Session) -> None:
    """Raises Bad when a context has this command's tag (RFC 5267 section 4.3)."""
    session.contexts.forget_old(session.view)
    if session.tag in session.contexts.by_tag:
        raise Bad("This tag is that of a search that is kept up to date")


def keep(
    session: Session, key: Key, places: Sequence[int], *, uid: bool, criteria: tuple[Criterion, ...] = ()
) -> None:
    """From now on the client is told of changes to these results, unless there are too many.

    Args:
        places: what was found, in the order of the answer.
    """
    contexts = session.contexts
    contexts.forget_old(session.view)
    is_full = len(contexts.by_tag) >= MAX_CONTEXTS
    if criteria:
        is_full |= sum(1 for at in contexts.by_tag.values() if at.criteria) >= MAX_SORTED
        is_full |= len(places) > MAX_SORTED_MESSAGES
    if is_full:
        _refuse(session, session.tag)
        return
    if _watch not in session.watchers:
        session.watchers.append(_watch)
    view = session.selected
    found = array("I", [view.uids[at] for at in places])
    frozen = _frozen(session, key)
    contexts.by_tag[session.tag] = Context(session.tag, uid, view, frozen, criteria, found, view.modseq)


def _refuse(session: Session, tag: bytes) -> None:
    code = f'NOUPDATE "{tag.decode("ascii", "replace")}"'
    session.write(status_line(b"*", "NO", "These results are not kept up to date", code=code))


def _frozen(session: Session, key: Key) -> Key:
    """Message numbers and `$` mean what they mean now (RFC 5267 section 4.3)."""
    if isinstance(key, Group):
        return Group(key.kind, tuple(_frozen(session, child) for child in key.children), key.depth)
    if not isinstance(key, InSet) or (key.uid and SAVED_PAIR not in key.numbers):
        return key
    uids = [session.selected.uids[at] for at in session.places(key.numbers, uid=key.uid)]
    return InSet(tuple(ranges(uids)), uid=True)


# -- changes ----------------------------------------------------------------------------


def _watch(session: Session, learned: Learned) -> Steps[None]:
    contexts = session.contexts
    contexts.forget_old(session.view)
    for context in list(contexts.by_tag.values()):
        if learned.gone:
            _tell(session, context, set(learned.gone), [])
            continue
        try:
            yield from _look_again(session, context)
        except (No, MailboxError, TemporaryFailure):
            contexts.cancel([context.tag])
            _refuse(session, context.tag)


def _look_again(session: Session, context: Context) -> Steps[None]:
    view, seen = context.view, context.seen
    context.seen = view.modseq
    changed = [at for at, modseq in enumerate(view.modseqs) if modseq > seen] if view.modseq > seen else []
    if not changed:
        return
    deadline = Deadline(session)
    fitting = {view.uids[at] for at in (yield from look(session, context.key, changed, deadline))}
    had = _had(context, [view.uids[at] for at in changed])
    added = sorted(fitting - had)
    order: Sequence[int] = added
    if added and context.criteria:
        removed = had - fitting
        places = sorted(view.position(uid) for uid in {*context.found, *added} if uid not in removed)
        if len(places) > MAX_SORTED_MESSAGES:
            raise No("Too many messages to keep them sorted", code="LIMIT")
        order = [view.uids[at] for at in (yield from sorted_places(view, places, context.criteria, deadline))]
    _tell(session, context, had - fitting, order)


def _had(context: Context, uids: list[int]) -> set[int]:
    if context.criteria:
        return set(uids).intersection(context.found)
    found = context.found
    return {uid for uid in uids if (at := bisect_left(found, uid)) < len(found) and found[at] == uid}


def _tell(session: Session, context: Context, removed: set[int], order: Sequence[int]) -> None:
    """Tells what is no longer among the results, and what is now.

    Args:
        order: sorted contexts: all results that are left, in order, or nothing when none is
            new; others: the new ones, ascending.
    """
    out: list[bytes] = []
    if removed and (going := [at for at, uid in enumerate(context.found) if uid in removed]):
        out += _removals(context, going)
        context.found = array("I", [uid for uid in context.found if uid not in removed])
    if order and context.criteria:
        out += _insertions(context, order)
        context.found = array("I", order)
    elif order:
        out.append(b"ADDTO (0 %b)" % _numbers(context, order))
        context.found = array("I", sorted({*context.found, *order}))
    if out:
        mark = b" UID " if context.uid else b" "
        session.write(b'* ESEARCH (TAG "%b")%b%b\r\n' % (context.tag, mark, b" ".join(out)))


def _removals(context: Context, going: list[int]) -> list[bytes]:
    if not context.criteria:
        return [b"REMOVEFROM (0 %b)" % _numbers(context, [context.found[at] for at in going])]
    pairs = []
    before = 0
    for first, last in ranges(going):
        pairs.append(b"%d %b" % (first - before + 1, _numbers(context, context.found[first : last + 1])))
        before += last - first + 1
    return [b"REMOVEFROM (%b)" % b" ".join(pairs)]


def _insertions(context: Context, order: Sequence[int]) -> list[bytes]:
    known = set(context.found)
    coming = [at for at, uid in enumerate(order) if uid not in known]
    pairs = [
        b"%d %b" % (first + 1, _numbers(context, order[first : last + 1])) for first, last in ranges(coming)
    ]
    return [b"ADDTO (%b)" % b" ".join(pairs)]


def _numbers(context: Context, uids: Iterable[int]) -> bytes:
    if context.uid:
        return compress(uids)
    return compress(context.view.position(uid) + 1 for uid in uids)
