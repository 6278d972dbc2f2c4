"""What may stand behind the items of FETCH."""

from __future__ import annotations

import pytest

from mailstack.imap.errors import Bad
from mailstack.imap.fetch_modifiers import NONE, Modifiers, part_of, split


@pytest.mark.parametrize(
    ("text", "items", "modifiers"),
    [
        (b"FLAGS", b"FLAGS", NONE),
        (b"(FLAGS UID)", b"(FLAGS UID)", NONE),
        (b"(BODY[HEADER.FIELDS (VANISHED)])", b"(BODY[HEADER.FIELDS (VANISHED)])", NONE),
        (b"PREVIEW (LAZY)", b"PREVIEW (LAZY)", NONE),
        (b"(FLAGS) (CHANGEDSINCE 12345)", b"(FLAGS)", Modifiers(since=12_345)),
        (b"ALL (changedsince 1 vanished)", b"ALL", Modifiers(since=1, vanished=True)),
        (b"UID (VANISHED CHANGEDSINCE 0)", b"UID", Modifiers(since=0, vanished=True)),
        (b"UID (PARTIAL -1:-30 CHANGEDSINCE 9)", b"UID", Modifiers(since=9, partial=(-1, -30))),
        (b"UID (PARTIAL 500:400)", b"UID", Modifiers(partial=(400, 500))),
        (b"BODY[HEADER.FIELDS (A)] (PARTIAL 1:1)", b"BODY[HEADER.FIELDS (A)]", Modifiers(partial=(1, 1))),
    ],
)
def test_modifiers_stand_behind_the_items(text: bytes, items: bytes, modifiers: Modifiers) -> None:
    assert split(text) == (items, modifiers)


@pytest.mark.parametrize(
    "text",
    [
        b"UID (CHANGEDSINCE)",
        b"UID (CHANGEDSINCE 9223372036854775808)",
        b"UID (CHANGEDSINCE -1)",
        b"UID (CHANGEDSINCE 1 CHANGEDSINCE 1)",
        b"UID (VANISHED VANISHED)",
        b"UID (VANISHED 1)",
        b"UID (VANISHED FOO)",
        b"UID (PARTIAL 1)",
        b"UID (PARTIAL 1:-1)",
        b"UID (PARTIAL -0:-1)",
        b"UID (PARTIAL 1:99999999999)",
    ],
)
def test_what_is_no_modifier_is_refused(text: bytes) -> None:
    with pytest.raises(Bad):
        split(text)


@pytest.mark.parametrize(
    ("partial", "found"),
    [
        ((1, 2), [10, 11]),
        ((3, 9), [12, 13]),
        ((5, 9), []),
        ((-1, -1), [13]),
        ((-1, -3), [11, 12, 13]),
        ((-2, -3), [11, 12]),
        ((-4, -9), [10]),
        ((-5, -9), []),
    ],
)
def test_a_part_of_the_results(partial: tuple[int, int], found: list[int]) -> None:
    # RFC 9394 section 3.1
    assert part_of([10, 11, 12, 13], partial) == found
