"""RETURN: what it chooses, and how it is answered."""

from __future__ import annotations

import pytest

from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.search_options import (
    ALL,
    PLAIN,
    Found,
    Options,
    Partial,
    extended_line,
    parse_options,
    plain_line,
)


def options(text: bytes) -> Options:
    found = parse_options(Cursor(b"RETURN (" + text + b") ALL"))
    assert found is not None
    return found


def found(*places: int, modseq: bool = False) -> Found:
    return Found(places, lambda at: at + 1, (lambda at: 100 - at) if modseq else None)


def test_without_return_there_are_no_options() -> None:
    assert parse_options(Cursor(b"ALL")) is None


def test_an_empty_list_is_all() -> None:
    assert options(b"") == ALL


def test_words_may_come_in_any_order_and_case() -> None:
    assert options(b"count Min SAVE").words == {b"MIN", b"COUNT", b"SAVE"}


@pytest.mark.parametrize(
    "text",
    [
        b"FOO", b"MIN MAX,", b"PARTIAL", b"PARTIAL 1", b"PARTIAL 0:1", b"PARTIAL 1:*", b"PARTIAL -1:5",
        b"PARTIAL 1:-5", b"PARTIAL 1:2 PARTIAL 3:4", b"ALL PARTIAL 1:2", b"PARTIAL 1:4294967296", b" ",
        b"MIN  MAX", b"PARTIAL 1:2x",
    ],
)  # fmt: skip
def test_other_lists_are_refused(text: bytes) -> None:
    with pytest.raises(Bad):
        options(text)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        (b"1:2", [10, 20]),
        (b"2:1", [10, 20]),
        (b"3:9", [30, 40, 50]),
        (b"6:9", []),
        (b"-1:-2", [40, 50]),
        (b"-5:-4", [10, 20]),
        (b"-4:-9", [10, 20]),
        (b"-6:-9", []),
        (b"1:4294967295", [10, 20, 30, 40, 50]),
        (b"-1:-4294967295", [10, 20, 30, 40, 50]),
    ],
)
def test_a_window_is_cut_from_the_results(text: bytes, window: list[int]) -> None:
    # RFC 9394 section 3.1
    partial = options(b"PARTIAL " + text).partial
    assert partial is not None
    low, high = sorted(text.split(b":"), key=lambda end: abs(int(end)))
    assert partial.text == low + b":" + high
    assert list(partial.of([10, 20, 30, 40, 50])) == window
    assert list(partial.of([])) == []


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        (b"SAVE", [1, 2, 3, 4]),
        (b"SAVE MIN", [1]),
        (b"SAVE MAX", [4]),
        (b"SAVE MIN MAX", [1, 4]),
        (b"SAVE MIN COUNT", [1, 2, 3, 4]),
        (b"SAVE MAX ALL", [1, 2, 3, 4]),
        (b"SAVE PARTIAL 2:3", [2, 3]),
        (b"SAVE PARTIAL 2:3 MIN", [1, 2, 3]),
        (b"SAVE PARTIAL 2:3 MAX", [2, 3, 4]),
        (b"SAVE PARTIAL 2:3 MIN MAX", [1, 2, 3, 4]),
        (b"SAVE PARTIAL -1:-1 COUNT", [1, 2, 3, 4]),
    ],
)
def test_what_save_keeps(text: bytes, chosen: list[int]) -> None:
    # RFC 5182 section 2.4, RFC 9394 section 3.2
    assert sorted(options(text).chosen([1, 2, 3, 4])) == chosen
    assert list(options(text).chosen([])) == []


def test_the_plain_answer_ends_with_the_highest_modseq() -> None:
    assert plain_line(b"SEARCH", found()) == b"* SEARCH\r\n"
    assert plain_line(b"SORT", found(5, 2)) == b"* SORT 6 3\r\n"
    assert plain_line(b"SEARCH", found(1, 4, modseq=True)) == b"* SEARCH 2 5 (MODSEQ 99)\r\n"
    assert plain_line(b"SEARCH", found(modseq=True)) == b"* SEARCH\r\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"", b'* ESEARCH (TAG "a") ALL 1:3,6 MODSEQ 100'),
        (b"MIN", b'* ESEARCH (TAG "a") MIN 1 MODSEQ 100'),
        (b"MAX", b'* ESEARCH (TAG "a") MAX 6 MODSEQ 95'),
        (b"MAX MIN", b'* ESEARCH (TAG "a") MIN 1 MAX 6 MODSEQ 100'),
        (b"COUNT MAX", b'* ESEARCH (TAG "a") MAX 6 COUNT 4 MODSEQ 100'),
        (b"PARTIAL -1:-2", b'* ESEARCH (TAG "a") PARTIAL (-1:-2 3,6) MODSEQ 98'),
        (b"PARTIAL 9:10 COUNT", b'* ESEARCH (TAG "a") COUNT 4 PARTIAL (9:10 NIL) MODSEQ 100'),
    ],
)
def test_the_extended_answer(text: bytes, line: bytes) -> None:
    # RFC 4731 section 3
    assert (
        extended_line(b'TAG "a"', found(0, 1, 2, 5, modseq=True), options(text), uid=False) == line + b"\r\n"
    )


def test_nothing_found_leaves_items_out() -> None:
    everything = options(b"MIN MAX ALL COUNT")
    assert extended_line(b'TAG "a"', found(), everything, uid=True) == b'* ESEARCH (TAG "a") UID COUNT 0\r\n'
    assert extended_line(b'TAG "a"', found(), ALL, uid=True) == b'* ESEARCH (TAG "a") UID\r\n'


def test_who_only_saves_is_told_nothing() -> None:
    assert extended_line(b'TAG "a"', found(1), options(b"SAVE"), uid=True) == b""


def test_sorted_results_keep_their_order() -> None:
    # RFC 5267 section 3.2: ranges only upwards
    line = extended_line(b'TAG "a"', found(4, 3, 0, 1, 2), options(b"ALL MIN MAX"), uid=False)
    assert line == b'* ESEARCH (TAG "a") MIN 5 MAX 3 ALL 5,4,1:3\r\n'


def test_the_options_of_a_plain_search() -> None:
    assert not PLAIN.extended and PLAIN.has(b"ALL")
    assert Partial(b"1:1", 1, 1, from_end=False).of([7]) == [7]
