"""Threads, beside a slow algorithm that follows RFC 5256 word by word."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.imap import threads
from mailstack.imap.threads import OrderedSubject, References, write
from mailstack.imap.view import View
from mailstack.model.mailbox import Flags, MailboxError, MessageFields, MessageRow

EMPTY = MessageFields(0, 0, "", "", "", "", "", "", "", (), "", False)
IDS = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "x", "y"])
FIELDS = st.builds(
    replace,
    st.just(EMPTY),
    sent_at=st.integers(0, 6),
    message_id=st.one_of(st.just(""), IDS),
    references=st.lists(IDS, max_size=4).map(tuple),
    base_subject=st.sampled_from(["", "one", "ONE", "two", "three"]),
    is_reply=st.booleans(),
)
MESSAGES = st.lists(FIELDS, max_size=10)


def message(
    message_id: str = "", *references: str, at: int = 0, subject: str = "", is_reply: bool = False
) -> MessageFields:
    """Fields of one message."""
    return replace(
        EMPTY,
        message_id=message_id,
        references=references,
        sent_at=at,
        base_subject=subject,
        is_reply=is_reply,
    )


def told(kind: type[OrderedSubject | References], messages: list[MessageFields], *, slice_of: int = 3) -> str:
    """The threads as the client reads them, by sequence number."""
    view = View(1, "INBOX", read_only=False, modseq=1)
    view.learn([MessageRow(uid, Flags.NONE, (), 1, 1, 0, 0, "") for uid in range(1, len(messages) + 1)])
    threader = kind(view)
    for begin in range(0, len(messages), slice_of):
        places = range(begin, min(begin + slice_of, len(messages)))
        threader.learn(places, {at + 1: messages[at] for at in places})
    return write(threader.threads(), lambda at: threader.places[at] + 1).decode()


# -- the slow algorithm -------------------------------------------------------------------


@dataclass(eq=False)
class Node:
    """A message or a dummy."""

    number: int = 0
    fields: MessageFields | None = None
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)

    def is_below(self, other: Node) -> bool:
        """Other is this one or above it."""
        return self is other or (self.parent is not None and self.parent.is_below(other))

    def attach(self, parent: Node | None) -> None:
        """Changes the parent."""
        if self.parent is not None:
            self.parent.children.remove(self)
        self.parent = parent
        if parent is not None:
            parent.children.append(self)

    @property
    def date(self) -> tuple[int, int]:
        """Sent date and sequence number; of a dummy those of its first child."""
        if self.fields is None:
            return min(child.date for child in self.children)
        return self.fields.sent_at, self.number

    @property
    def subject(self) -> str:
        """The thread subject."""
        if self.fields is None:
            return min(self.children, key=lambda child: child.date).subject
        return self.fields.base_subject.lower()

    def text(self) -> str:
        """`3 6 (4 23)(44 7)`."""
        children = sorted(self.children, key=lambda child: child.date)
        below = (
            children[0].text() if len(children) == 1 else "".join(f"({child.text()})" for child in children)
        )
        return f"{self.number} {below}".strip() if self.fields is not None else below


def linked(messages: list[MessageFields]) -> list[Node]:
    """Step 1: all nodes."""
    table: dict[str, Node] = {}
    for number, fields in enumerate(messages, 1):
        if fields.message_id and fields.message_id not in table:
            table[fields.message_id] = Node(number, fields)
    nodes = {node.number: node for node in table.values()}
    every = list(table.values())
    for number, fields in enumerate(messages, 1):
        node = nodes.get(number) or Node(number, fields)
        if number not in nodes:
            every.append(node)
        chain = []
        for reference in fields.references:
            if reference not in table:
                table[reference] = Node()
                every.append(table[reference])
            chain.append(table[reference])
        for upper, lower in pairwise(chain):
            if lower.parent is None and not upper.is_below(lower):
                lower.attach(upper)
        node.attach(None)
        if chain and not chain[-1].is_below(node):
            node.attach(chain[-1])
    return every


def pruned(node: Node) -> list[Node]:
    """Step 3, below the root: what stands in this node's place."""
    below = [new for child in list(node.children) for new in pruned(child)]
    if node.fields is None:
        return below
    for child in list(node.children):
        child.attach(None)
    for child in below:
        child.attach(node)
    return [node]


def slow_references(messages: list[MessageFields]) -> str:
    roots = []
    for root in [node for node in linked(messages) if node.parent is None]:
        if root.fields is not None:
            roots += pruned(root)
            continue
        below = [new for child in list(root.children) for new in pruned(child)]
        for child in list(root.children):
            child.attach(None)
        if len(below) == 1:
            below[0].attach(None)
            roots += below
        elif below:
            for child in below:
                child.attach(root)
            roots.append(root)
    roots.sort(key=lambda node: node.date)
    roots = gathered(roots)
    roots.sort(key=lambda node: node.date)
    return "".join(f"({root.text()})" for root in roots)


def is_reply(node: Node) -> bool:
    return node.fields is not None and node.fields.is_reply


def gathered(roots: list[Node]) -> list[Node]:
    """Step 5."""
    table: dict[str, Node] = {}
    for node in roots:
        known = table.get(node.subject)
        if not node.subject:
            continue
        if known is None or (
            known.fields is not None and (node.fields is None or (is_reply(known) and not is_reply(node)))
        ):
            table[node.subject] = node
    top = list(roots)
    for node in roots:
        if node not in top or not node.subject or table[node.subject] is node:
            continue
        subject, known = node.subject, table[node.subject]
        top.remove(node)
        if node.fields is None and known.fields is None:
            for child in list(node.children):
                child.attach(known)
        elif known.fields is None or (is_reply(node) and not is_reply(known)):
            node.attach(known)
        else:
            dummy = table[subject] = Node()
            top.remove(known)
            top.append(dummy)
            node.attach(dummy)
            known.attach(dummy)
    return top


def slow_ordered_subject(messages: list[MessageFields]) -> str:
    by_subject = sorted(
        range(len(messages)), key=lambda at: (messages[at].base_subject.lower(), messages[at].sent_at, at)
    )
    groups: list[list[int]] = []
    for at in by_subject:
        if groups and messages[groups[-1][0]].base_subject.lower() == messages[at].base_subject.lower():
            groups[-1].append(at)
        else:
            groups.append([at])
    groups.sort(key=lambda group: (messages[group[0]].sent_at, group[0]))
    out = ""
    for first, *rest in groups:
        below = str(rest[0] + 1) if len(rest) == 1 else "".join(f"({at + 1})" for at in rest)
        out += f"({first + 1} {below})" if rest else f"({first + 1})"
    return out


# -- tests --------------------------------------------------------------------------------


@given(MESSAGES)
@settings(max_examples=400)
def test_references_are_followed_as_the_standard_says(messages: list[MessageFields]) -> None:
    assert told(References, messages) == slow_references(messages)


@given(MESSAGES)
def test_subjects_are_gathered_as_the_standard_says(messages: list[MessageFields]) -> None:
    assert told(OrderedSubject, messages) == slow_ordered_subject(messages)


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([], ""),
        ([message()], "(1)"),
        ([message("a", at=1), message("b", "a", at=2), message("c", "a", "b", at=3)], "(1 2 3)"),
        ([message("a"), message("b", "a", at=2), message("c", "a", at=1)], "(1 (3)(2))"),
        # The parent of two is not there.
        ([message("b", "a"), message("c", "a")], "((1)(2))"),
        ([message("b", "a")], "(1)"),
        # Two have one id: the second has none.
        ([message("a"), message("a"), message("b", "a", at=1)], "(1 3)(2)"),
        # In a circle: the last link is not made.
        ([message("a", "b"), message("b", "a")], "(2 1)"),
        ([message("a", "a")], "(1)"),
        # A reply goes below its thread, two equals below nobody.
        ([message("a", subject="x"), message("b", subject="X", is_reply=True)], "(1 2)"),
        ([message("a", subject="x"), message("b", subject="x")], "((1)(2))"),
        ([message("a", subject="x", is_reply=True, at=1), message("b", subject="x", at=2)], "(2 1)"),
    ],
)
def test_threads_a_person_can_check(messages: list[MessageFields], text: str) -> None:
    assert told(References, messages) == text
    assert slow_references(messages) == text


def test_a_very_long_thread_is_no_deeper_than_the_stack() -> None:
    # I26
    count = 20_000
    messages = [message("0")] + [message(f"{at}", f"{at - 1}", at=at) for at in range(1, count)]
    assert told(References, messages, slice_of=count) == f"({' '.join(str(at + 1) for at in range(count))})"


def test_ids_that_lead_nowhere_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    # I26
    monkeypatch.setattr(threads, "MAX_NODES", 50)
    with pytest.raises(MailboxError) as refused:
        told(References, [message(f"m{at}", *(f"r{at}-{n}" for n in range(9))) for at in range(9)])
    assert refused.value.code == "LIMIT"


def test_looking_for_loops_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    # I26
    monkeypatch.setattr(threads, "MAX_STEPS", 1_000)
    chain = [message(f"{at}", f"{at + 1}") for at in range(100)]
    told(References, chain)
    # Each wants the top of the chain below its bottom.
    with pytest.raises(MailboxError) as refused:
        told(References, chain + [message("", "0", "100")] * 30)
    assert refused.value.code == "LIMIT"
