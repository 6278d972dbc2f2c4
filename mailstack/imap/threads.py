"""Puts messages into threads: THREAD's two algorithms, step by step as the standard has them.

Nothing recurses, and messages are numbers in columns.  Who writes ids that lead nowhere
or in circles is stopped by MAX_NODES and MAX_STEPS.

Standards: RFC 5256 section 3 (THREAD) and section 4 (its response).
Imports: mime, model, sorting, view.  No I/O.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mailstack.imap.sorting import in_order
from mailstack.imap.view import View
from mailstack.mime.searchable import fold
from mailstack.model.mailbox import MailboxError, MessageFields

#: Messages, and ids that messages refer to.
MAX_NODES = 1_000_000
#: Steps up from child to parent while looking for loops.
MAX_STEPS = 20_000_000
_NONE = -1


@dataclass(slots=True)
class Forest:
    """Threads.

    Attributes:
        roots: numbers of messages, in order; below 0: no message, only a place for its children.
        children: of a root or a message, in order; who has none is not in here.
    """

    roots: list[int]
    children: dict[int, list[int]] = field(default_factory=dict)


class _Messages:
    """What both algorithms want to know of each message, by its number: 0, 1, ..."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.places = array("I")
        self._dates = array("q")
        self._subjects: list[str] = []
        self._folded: dict[str, str] = {}

    def learn(self, places: Sequence[int], fields: Mapping[int, MessageFields]) -> None:
        """Takes in positions, ascending, and their fields by UID, piece by piece.

        Raises:
            MailboxError: LIMIT.
        """
        view = self._view
        for at in places:
            found = fields.get(view.uids[at])
            self.places.append(at)
            self._dates.append(found.sent_at if found is not None else view.dates[at])
            self._subjects.append(self._fold(found.base_subject) if found is not None else "")
            self._learn(found)

    def _learn(self, found: MessageFields | None) -> None:
        """What one algorithm wants besides."""

    def _fold(self, subject: str) -> str:
        folded = self._folded.get(subject)
        if folded is None:
            folded = self._folded[subject] = fold(subject)
        return folded

    def by_date(self) -> list[int]:
        """All messages by sent date, then in the order of the mailbox (section 2.2)."""
        return in_order(list(range(len(self.places))), self._dates.__getitem__)


class OrderedSubject(_Messages):
    """Messages with the same base subject, by date."""

    def threads(self) -> Forest:
        """Source: RFC 5256 section 3, ORDEREDSUBJECT."""
        firsts: dict[str, int] = {}
        forest = Forest([])
        for message in self.by_date():
            first = firsts.setdefault(self._subjects[message], message)
            if first == message:
                forest.roots.append(message)
            else:
                forest.children.setdefault(first, []).append(message)
        return forest


class References(_Messages):
    """Who answers whom.  A node is a message, or an id that no message has: a dummy."""

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._nodes: dict[str, int] = {}
        self._parents = array("i")
        self._message_of = array("i")
        self._has_children = bytearray()
        self._is_reply = bytearray()
        self._steps = 0

    # -- step 1 -----------------------------------------------------------------------

    def _learn(self, found: MessageFields | None) -> None:
        self._is_reply.append(found is not None and found.is_reply)
        node = self._node_of_message(found.message_id if found is not None else "")
        last = _NONE
        for reference in found.references if found is not None else ():
            here = self._nodes.get(reference, _NONE)
            if here == _NONE:
                here = self._nodes[reference] = self._new_node()
            if last != _NONE and self._parents[here] == _NONE:
                self._link(last, here)
            last = here
        self._parents[node] = _NONE
        if last != _NONE:
            self._link(last, node)

    def _node_of_message(self, message_id: str) -> int:
        node = self._nodes.get(message_id, _NONE) if message_id else _NONE
        # Of messages with the same id only the first one has it.
        if node == _NONE or self._message_of[node] != _NONE:
            is_first = bool(message_id) and node == _NONE
            node = self._new_node()
            if is_first:
                self._nodes[message_id] = node
        self._message_of[node] = len(self.places) - 1
        return node

    def _new_node(self) -> int:
        if len(self._parents) >= MAX_NODES:
            raise MailboxError("LIMIT", f"More than {MAX_NODES} messages and references")
        self._parents.append(_NONE)
        self._message_of.append(_NONE)
        self._has_children.append(0)
        return len(self._parents) - 1

    def _link(self, parent: int, child: int) -> None:
        """Makes a parent, unless it is below its child."""
        if parent == child or (self._has_children[child] and self._is_below(parent, child)):
            return
        self._parents[child] = parent
        self._has_children[parent] = 1

    def _is_below(self, node: int, other: int) -> bool:
        parents = self._parents
        steps = 0
        while node != _NONE and node != other:
            node = parents[node]
            steps += 1
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise MailboxError("LIMIT", "The threads of these messages are too tangled")
        return node == other

    # -- steps 2 to 6 -------------------------------------------------------------------

    def threads(self) -> Forest:
        """Source: RFC 5256 section 3, REFERENCES."""
        ranks = array("I", bytes(4 * len(self.places)))
        for place, message in enumerate(self.by_date()):
            ranks[message] = place
        forest = self._pruned()
        rank = ranks.__getitem__
        for siblings in forest.children.values():
            siblings.sort(key=rank)
        _sort_roots(forest, rank)
        self._gather(forest)
        for siblings in forest.children.values():
            siblings.sort(key=rank)
        _sort_roots(forest, rank)
        return forest

    def _pruned(self) -> Forest:
        """Steps 2 and 3.  A dummy is left only above several children, and on top."""
        forest = Forest([])
        above = self._nearest()
        for node, message in enumerate(self._message_of):
            if message == _NONE:
                continue
            parent = above[node]
            if parent == _NONE:
                forest.roots.append(message)
            else:
                owner = self._message_of[parent]
                forest.children.setdefault(owner if owner != _NONE else ~parent, []).append(message)
        for dummy in [at for at in forest.children if at < 0]:
            children = forest.children[dummy]
            if len(children) == 1:
                forest.roots.append(children[0])
                del forest.children[dummy]
            else:
                forest.roots.append(dummy)
        return forest

    def _nearest(self) -> array[int]:
        """Of every node: the nearest message above it, else the topmost dummy, else none."""
        above = array("i", self._parents)
        parents, message_of = self._parents, self._message_of
        done = bytearray(len(parents))
        for node in range(len(parents)):
            path = []
            while not done[node]:
                done[node] = 1
                parent = parents[node]
                if parent == _NONE or message_of[parent] != _NONE or parents[parent] == _NONE:
                    break
                path.append(node)
                node = parent
            # A finished node on the way up is a dummy: what is above it is above those below.
            for below in path:
                above[below] = above[node]
        return above

    def _gather(self, forest: Forest) -> None:
        """Step 5: threads with the same subject become one."""
        subjects = {root: self._thread_subject(forest, root) for root in forest.roots}
        table = self._subject_table(forest, subjects)
        merged: set[int] = set()
        renamed: dict[int, int] = {}
        next_dummy = ~len(self._parents)
        for root in forest.roots:
            subject = subjects[root]
            if not subject or root in merged or table[subject] == root:
                continue
            target = table[subject]
            merged.add(root)
            if target < 0:
                joining = forest.children.pop(root) if root < 0 else [root]
                forest.children[target].extend(joining)
            elif self._is_reply[root] and not self._is_reply[target]:
                forest.children.setdefault(target, []).append(root)
            else:
                forest.children[next_dummy] = [root, target]
                table[subject] = renamed[target] = next_dummy
                merged.add(target)
                next_dummy -= 1
        if merged:
            forest.roots = [at for at in forest.roots if at not in merged] + list(renamed.values())

    def _thread_subject(self, forest: Forest, root: int) -> str:
        return self._subjects[root if root >= 0 else forest.children[root][0]]

    def _subject_table(self, forest: Forest, subjects: Mapping[int, str]) -> dict[str, int]:
        """Step 5.B: one root for each subject: a dummy, else no reply, else the first."""
        table: dict[str, int] = {}
        for root in forest.roots:
            subject = subjects[root]
            if not subject:
                continue
            known = table.setdefault(subject, root)
            if known < 0 or known == root:
                continue
            if root < 0 or (self._is_reply[known] and not self._is_reply[root]):
                table[subject] = root
        return table


def _sort_roots(forest: Forest, rank: Callable[[int], int]) -> None:
    """Top-level siblings by date; a dummy counts as its first child.  The others are sorted."""
    forest.roots = in_order(forest.roots, lambda at: rank(at if at >= 0 else forest.children[at][0]))


def write(forest: Forest, number: Callable[[int], int]) -> bytes:
    """The threads as they stand in a THREAD response.

    Args:
        number: what the client is told for a message.

    Source: RFC 5256 sections 4 and 5, thread-data.
    """
    out: list[bytes] = []
    work: list[int | None] = list(reversed(forest.roots))
    while work:
        node = work.pop()
        if node is None:
            out.append(b")")
            continue
        out.append(b"(")
        children: Sequence[int] = (node,)
        while len(children) == 1:
            node = children[0]
            children = forest.children.get(node, ())
            if node >= 0:
                out.append((b"%d " if children else b"%d") % number(node))
        work.append(None)
        work.extend(reversed(children))
    return b"".join(out)
