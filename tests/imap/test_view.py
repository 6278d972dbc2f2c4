"""The selected folder as a client has been told of it."""

from __future__ import annotations

import pytest

from mailstack.imap.errors import Bad
from mailstack.imap.grammar import parse_set
from mailstack.imap.response import RECENT
from mailstack.imap.view import MAX_REMEMBERED, View
from mailstack.mime.scanner import scan
from mailstack.model.mailbox import Flags, MessageRow


def row(uid: int, flags: Flags = Flags.NONE, keywords: tuple[str, ...] = (), modseq: int = 1) -> MessageRow:
    return MessageRow(uid, flags, keywords, modseq, 100 + uid, 1000 + uid, 0, "")


def view(*uids: int) -> View:
    made = View(1, "INBOX", read_only=False, modseq=1)
    made.learn([row(uid) for uid in uids])
    return made


def test_new_rows_are_added_and_changed_ones_reported() -> None:
    v = view(1, 2)
    learned = v.learn([row(2, Flags.SEEN, ("x",)), row(5), row(6, keywords=("y",))])
    assert (learned.arrived, learned.changed, learned.new_keywords) == (2, [1], True)
    assert list(v.uids) == [1, 2, 5, 6] and list(v.sizes) == [101, 102, 105, 106]
    assert v.keywords == {2: ("x",), 6: ("y",)}


def test_what_the_client_knows_already_is_not_reported() -> None:
    v = view(1)
    assert v.learn([row(1)]).changed == []
    v.learn([row(1, keywords=("x",))])
    learned = v.learn([row(1)])
    assert learned.changed == [0] and v.keywords == {}


def test_a_row_below_the_last_uid_is_never_squeezed_in() -> None:
    # It would move the sequence numbers of others.
    v = view(1, 5)
    assert v.learn([row(3)]).arrived == 0
    assert list(v.uids) == [1, 5]


def test_recent_survives_a_change_of_flags() -> None:
    v = view(1, 2)
    v.mark_recent(2)
    v.learn([row(2, Flags.FLAGGED)])
    assert v.flags[1] == RECENT | Flags.FLAGGED and v.recent == 1


def test_expunged_messages_stay_until_the_client_is_told() -> None:
    v = view(1, 2, 3, 4, 5)
    v.learn([row(4, keywords=("x",))])
    v.lose([(2, 2), (4, 5), (99, 99)])
    assert len(v) == 5
    # Descending, so that each number is right when it is read.
    assert v.drop_gone() == [5, 4, 2]
    assert list(v.uids) == [1, 3] and v.keywords == {} and v.drop_gone() == []


@pytest.mark.parametrize(
    ("text", "uid", "places"),
    [
        (b"1:*", False, [0, 1, 2]),
        (b"*:1", False, [0, 1, 2]),
        (b"2,1,2:3", False, [0, 1, 2]),
        (b"*", False, [2]),
        (b"9:*", False, [2]),
        (b"1:*", True, [0, 1, 2]),
        (b"20", True, [1]),
        (b"11:29", True, [1]),
        (b"31:*", True, [2]),
        (b"1:9,31:99", True, []),
        (b"30,10", True, [0, 2]),
    ],
)
def test_sets_are_positions(text: bytes, uid: bool, places: list[int]) -> None:
    assert view(10, 20, 30).positions(parse_set(text), uid=uid) == places


def test_numbers_nobody_has_are_refused() -> None:
    for text in (b"4", b"1:4", b"4:5"):
        with pytest.raises(Bad):
            view(10, 20, 30).positions(parse_set(text), uid=False)


def test_everything_of_an_empty_folder_is_nothing() -> None:
    assert view().positions(parse_set(b"1:*"), uid=False) == []
    assert view().positions(parse_set(b"1:*"), uid=True) == []
    with pytest.raises(Bad):
        view().positions(parse_set(b"1"), uid=False)


def test_a_hundred_thousand_ones_are_one() -> None:
    # I10
    assert view(1, 2).positions(parse_set(b",".join([b"1"] * 30_000)), uid=False) == [0]


def test_only_a_few_structures_are_kept() -> None:
    v = view(1)
    for uid in range(10):
        v.remember_parts(uid, scan(b"\r\n"))
    assert len(v.parts) == MAX_REMEMBERED and 9 in v.parts


def test_the_first_unseen_message_is_known() -> None:
    v = view(1, 2)
    assert v.first_unseen == 1
    v.learn([row(1, Flags.SEEN), row(2, Flags.SEEN)])
    assert v.first_unseen == 0


def test_what_was_told_of_ends_where_the_first_message_went() -> None:
    # RFC 7162 section 3.2: nothing may get lost when the connection does.
    v = view(1, 2, 3)
    assert v.settled == 1
    v.lose([(2, 2)])
    v.modseq = 7
    v.lose([(1, 1), (9, 12)])
    assert v.settled == 1 and v.gone == {1, 2}
    assert v.drop_gone() == [2, 1] and v.settled == 7


def test_a_range_of_gone_messages_may_be_huge() -> None:
    v = view(1, 4_000_000_000)
    v.lose([(2, 3_999_999_999)])
    assert not v.gone
    v.lose([(1, 4_294_967_295)])
    assert v.gone == {1, 4_000_000_000}


def test_a_new_modseq_is_a_change_for_those_who_count() -> None:
    v = view(1, 2)
    assert v.learn([row(1, modseq=5)]).changed == []
    assert v.learn([row(1, modseq=5), row(2, modseq=6)], with_modseq=True).changed == [1]
    assert list(v.modseqs) == [5, 6]


def test_what_a_search_saved_may_stand_in_a_set() -> None:
    v = view(10, 20, 30)
    assert v.positions(parse_set(b"$"), uid=False, saved=[20, 25, 30]) == [1, 2]
    assert v.positions(parse_set(b"10,$"), uid=True, saved=[30]) == [0, 2]
    assert v.positions(parse_set(b"$"), uid=True) == []
