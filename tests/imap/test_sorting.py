"""Sorting, beside a slow sort that follows RFC 5256 word by word."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.imap import sorting
from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.sorting import Criterion, Sorter, parse_criteria
from mailstack.imap.view import View
from mailstack.mime.searchable import fold
from mailstack.model.mailbox import Flags, MessageFields, MessageRow

EMPTY = MessageFields(0, 0, "", "", "", "", "", "", "", (), "", False)
WORDS = st.sampled_from(["", "a", "A", "b", "Ä", "ä", "ae", "ß", "SS", "z", "_", "[x]", "日本"])
FIELDS = st.builds(
    replace,
    st.just(EMPTY),
    sent_at=st.integers(0, 3),
    base_subject=WORDS,
    from_mailbox=WORDS,
    to_mailbox=WORDS,
    cc_mailbox=WORDS,
    from_display=WORDS,
    to_display=WORDS,
)
MESSAGES = st.lists(st.tuples(FIELDS, st.integers(0, 3), st.integers(0, 3)), max_size=12)
KEYS = [b"ARRIVAL", b"CC", b"DATE", b"FROM", b"SIZE", b"SUBJECT", b"TO", b"DISPLAYFROM", b"DISPLAYTO"]
CRITERIA = st.lists(st.builds(Criterion, st.sampled_from(KEYS), st.booleans()), min_size=1, max_size=4)


def view_of(messages: list[tuple[MessageFields, int, int]]) -> View:
    """A view whose messages have UIDs 10, 20, ..."""
    view = View(1, "INBOX", read_only=False, modseq=1)
    view.learn(
        [
            MessageRow(10 * number, Flags.NONE, (), 1, size, arrived, 0, "")
            for number, (_, arrived, size) in enumerate(messages, 1)
        ]
    )
    return view


def value(key: bytes, message: tuple[MessageFields, int, int]) -> int | bytes:
    """What RFC 5256 section 3 sorts by."""
    fields, arrived, size = message
    match key:
        case b"ARRIVAL":
            return arrived
        case b"SIZE":
            return size
        case b"DATE":
            return fields.sent_at
    name = {
        b"SUBJECT": "base_subject",
        b"FROM": "from_mailbox",
        b"TO": "to_mailbox",
        b"CC": "cc_mailbox",
        b"DISPLAYFROM": "from_display",
        b"DISPLAYTO": "to_display",
    }[key]
    return fold(getattr(fields, name)).upper().encode()


def comes_before(
    one: int, other: int, messages: list[tuple[MessageFields, int, int]], criteria: list[Criterion]
) -> bool:
    """Criterion by criterion; in the end the sequence number."""
    for criterion in criteria:
        left, right = value(criterion.key, messages[one]), value(criterion.key, messages[other])
        if left != right:
            return (left < right) is not criterion.reverse  # type: ignore[operator]
    return one < other


def slow_order(messages: list[tuple[MessageFields, int, int]], criteria: list[Criterion]) -> list[int]:
    """Insertion, one by one."""
    order: list[int] = []
    for at in range(len(messages)):
        place = 0
        while place < len(order) and comes_before(order[place], at, messages, criteria):
            place += 1
        order.insert(place, at)
    return order


def fast_order(
    messages: list[tuple[MessageFields, int, int]], criteria: list[Criterion], *, slice_of: int = 5
) -> list[int]:
    sorter = Sorter(view_of(messages), criteria)
    fields = {10 * number: message[0] for number, message in enumerate(messages, 1)}
    for begin in range(0, len(messages), slice_of):
        places = range(begin, min(begin + slice_of, len(messages)))
        sorter.learn(places, {10 * (at + 1): fields[10 * (at + 1)] for at in places})
    return sorter.order()


def test_signs_between_capitals_and_small_letters_come_behind_all_letters() -> None:
    # RFC 5051: what is compared are capitals
    subjects = ["a", "C", "b", "_", "[xyz]", "", "ä"]
    messages = [(replace(EMPTY, base_subject=subject), 0, 0) for subject in subjects]
    order = fast_order(messages, [Criterion(b"SUBJECT", False)])
    assert [subjects[at] for at in order] == ["", "a", "ä", "b", "C", "[xyz]", "_"]


@given(MESSAGES, CRITERIA)
def test_the_order_is_that_of_the_standard(
    messages: list[tuple[MessageFields, int, int]], criteria: list[Criterion]
) -> None:
    assert fast_order(messages, criteria) == slow_order(messages, criteria)


@given(MESSAGES, CRITERIA)
@settings(max_examples=50)
def test_runs_that_are_merged_give_the_same_order(
    messages: list[tuple[MessageFields, int, int]], criteria: list[Criterion]
) -> None:
    longest = sorting.RUN
    sorting.RUN = 3
    try:
        assert fast_order(messages, criteria) == slow_order(messages, criteria)
    finally:
        sorting.RUN = longest


def test_a_message_nobody_can_read_is_sorted_by_what_is_known() -> None:
    messages = [(replace(EMPTY, sent_at=5, base_subject="b"), 1, 1), (EMPTY, 3, 1), (EMPTY, 9, 1)]
    sorter = Sorter(view_of(messages), [Criterion(b"DATE")])
    sorter.learn([0, 1, 2], {10: messages[0][0]})
    assert sorter.order() == [1, 0, 2]
    sorter = Sorter(view_of(messages), [Criterion(b"SUBJECT")])
    sorter.learn([0, 1, 2], {10: messages[0][0]})
    assert sorter.order() == [1, 2, 0]


def test_criteria_are_read_once_each() -> None:
    assert parse_criteria(Cursor(b"(reverse Date subject REVERSE SUBJECT)")) == (
        Criterion(b"DATE", reverse=True),
        Criterion(b"SUBJECT"),
    )


@pytest.mark.parametrize(
    "text",
    [b"", b"()", b"DATE", b"(DATE", b"(REVERSE)", b"(REVERSE REVERSE DATE)", b"(FOO)", b"(DATE  CC)",
     b"(" + b" ".join([b"DATE"] * 21) + b")"],
)  # fmt: skip
def test_other_criteria_are_refused(text: bytes) -> None:
    with pytest.raises(Bad):
        parse_criteria(Cursor(text))
