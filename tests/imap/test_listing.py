"""LIST: what is asked for, and which folders that is."""

from __future__ import annotations

import pytest

from mailstack.imap.errors import Bad
from mailstack.imap.listing import Wanted, parse_list, select
from mailstack.imap.names import Pattern
from mailstack.imap.parser import Cursor
from mailstack.model.mailbox import FolderEntry

#: RFC 5258 section 5, examples 1, 2 and 8.
FRUIT = [
    FolderEntry("INBOX", True, False, True),
    FolderEntry("Fruit", True, True, False),
    FolderEntry("Fruit/Apple", True, False, False),
    FolderEntry("Fruit/Banana", True, False, True),
    FolderEntry("Fruit/Peach", False, False, True),
    FolderEntry("Tofu", True, False, False),
    FolderEntry("Vegetable", True, True, True),
    FolderEntry("Vegetable/Broccoli", True, False, True),
    FolderEntry("Vegetable/Corn", True, False, False),
]


def wanted(text: bytes) -> Wanted:
    return parse_list(Cursor(text), utf8=False)


def listed(text: bytes) -> list[tuple[str, bool, bool]]:
    asked = wanted(text)
    found = select(FRUIT, asked, Pattern(*asked.patterns).matches)
    return [(one.entry.name, one.matched, one.has_matching_child) for one in found]


def test_what_is_subscribed_to() -> None:
    # RFC 5258 section 5, example 2
    names = [name for name, _, _ in listed(b'(SUBSCRIBED) "" "*"')]
    assert names == ["INBOX", "Fruit/Banana", "Fruit/Peach", "Vegetable", "Vegetable/Broccoli"]


def test_parents_are_told_of_children_that_are_not_listed() -> None:
    # RFC 5258 section 5, examples 8 and 9
    assert listed(b'(SUBSCRIBED RECURSIVEMATCH) "" "%"') == [
        ("INBOX", True, False),
        ("Fruit", False, True),
        ("Vegetable", True, True),
    ]
    assert listed(b'(RECURSIVEMATCH SUBSCRIBED) "" "*"') == [
        ("INBOX", True, False),
        ("Fruit/Banana", True, False),
        ("Fruit/Peach", True, False),
        ("Vegetable", True, True),
        ("Vegetable/Broccoli", True, False),
    ]


def test_a_subscription_below_nothing_has_a_parent_too() -> None:
    entries = [FolderEntry("a", True, False, False), FolderEntry("foo2/bar1", False, False, True)]
    asked = wanted(b'(SUBSCRIBED RECURSIVEMATCH) "" "foo*%"')
    found = list(select(entries, asked, Pattern("%").matches))
    assert [(one.entry.name, one.entry.exists) for one in found] == [("foo2", False)]


def test_an_ended_pattern_is_a_pattern_and_only_an_empty_one_asks_for_the_root() -> None:
    assert wanted(b'"" ""').root == ""
    assert wanted(b'a/b ""').root == "a/b"
    assert wanted(b'"" ("")').root is None
    assert wanted(b'"" "" RETURN (CHILDREN)').root is None
    assert wanted(b'a/ "%"').patterns == ("a/%",)
    assert wanted(b'"" (a "b*")').patterns == ("a", "b*")


def test_return_options_may_have_arguments() -> None:
    asked = wanted(b'"" % RETURN (METADATA ("/shared/A" /private/b) STATUS (MESSAGES uidnext) MYRIGHTS)')
    assert asked.entries == ("/shared/a", "/private/b")
    assert asked.status == (b"MESSAGES", b"UIDNEXT")
    assert asked.told == {b"METADATA", b"STATUS", b"MYRIGHTS"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'""',
        b'"" ()',
        b'"" (a  b)',
        b'"" (a',
        b'"" (a (b))',
        b'(SUBSCRIBED)"" *',
        b'(RECURSIVEMATCH) "" *',
        b'(REMOTE RECURSIVEMATCH) "" *',
        b'(COLOUR) "" *',
        b'"" * RETURN',
        b'"" * RETURN (STATUS)',
        b'"" * RETURN (STATUS ())',
        b'"" * RETURN (METADATA ())',
        b'"" * RETURN (METADATA (comment))',
        b'"" * RETURN (CHILDREN) more',
        b'"" (' + b"a " * 64 + b"a)",
    ],
)
def test_what_is_no_list_is_bad(text: bytes) -> None:
    with pytest.raises(Bad):
        wanted(text)
