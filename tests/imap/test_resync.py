"""What a client that has been away must be told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.resync import Missed, Parameters, Resync, known_up_to, missed, parse_parameters
from mailstack.imap.view import View
from mailstack.model.mailbox import Flags, MessageRow
from mailstack.model.ranges import numbers, ranges


def view(*uids: int, modseq: int = 5) -> View:
    made = View(1, "INBOX", read_only=False, modseq=9)
    made.learn([MessageRow(uid, Flags.NONE, (), modseq, 1, 0, 0, "") for uid in uids])
    return made


def test_parameters_of_select() -> None:
    assert parse_parameters(Cursor(b"")) == Parameters()
    assert parse_parameters(Cursor(b" (condstore)")) == Parameters(condstore=True)
    found = parse_parameters(Cursor(b" (QRESYNC (7 90060115194045000 41,43:211 (1,3:4 2,9:10)) CONDSTORE)"))
    assert found == Parameters(
        True, Resync(7, 90_060_115_194_045_000, [(41, 41), (43, 211)], ((1, 1), (3, 4)), ((2, 2), (9, 10)))
    )
    assert parse_parameters(Cursor(b" (QRESYNC (7 1 (1 2)))")).resync == Resync(
        7, 1, None, ((1, 1),), ((2, 2),)
    )


@pytest.mark.parametrize(
    "text",
    [
        b" ()",
        b" (FOO)",
        b" (CONDSTORE",
        b" (QRESYNC)",
        b" (QRESYNC (4294967296 1))",
        b" (QRESYNC (1 9223372036854775808))",
        b" (QRESYNC (1 99999999999999999999999))",
        b" (QRESYNC (1 1 *))",
        b" (QRESYNC (1 1 $))",
        b" (QRESYNC (1 1 1 ()))",
        b" (QRESYNC (1 1 1 (1:* 1)))",
        b" (QRESYNC (1 1 1 (1,1 1,1)))",
        b" (QRESYNC (1 1 1 (2:1 1:2)))",
        b" (QRESYNC (1 1 1 (1:2 1)))",
    ],
)
def test_what_is_no_parameter_is_refused(text: bytes) -> None:
    # I21
    with pytest.raises(Bad):
        parse_parameters(Cursor(text))


def test_a_huge_list_of_known_uids_is_some_ranges() -> None:
    # I21
    text = b",".join(b"%d:%d" % (at * 3, at * 3 + 1) for at in range(5_000, 1, -1))
    found = parse_parameters(Cursor(b" (QRESYNC (1 1 1:4294967295,%b))" % text))
    assert found.resync is not None and found.resync.uids == [(1, 4_294_967_295)]
    assert missed(view(3, 5), found.resync, [(1, 4_000_000_000)], 10).changed == [0, 1]


def test_only_what_is_known_and_changed_since_is_told() -> None:
    made = view(2, 4, 6)
    made.modseqs[1] = 8
    assert missed(made, Resync(1, 6), [(3, 3), (5, 5), (7, 8)], 9) == Missed([(3, 3), (5, 5), (7, 8)], [1])
    assert missed(made, Resync(1, 6, [(1, 3)]), [(3, 3), (5, 5)], 9) == Missed([(3, 3)], [])
    assert missed(made, Resync(1, 8), [], 9) == Missed([], [])
    assert missed(view(), Resync(1, 1), [(1, 5)], 1) == Missed([], [])


def test_the_client_s_sample_spares_it_what_it_knows() -> None:
    # RFC 7162 section 3.2.5.2: message 4 is UID 8, message 12 is no longer UID 24.
    made = view(1, 2, 5, 8, 9, 11, 12, 13, 14, 15, 16, 25)
    resync = Resync(1, 1, None, ((4, 4), (12, 12)), ((8, 8), (24, 24)))
    assert known_up_to(resync, made.uids) == 8
    assert missed(made, resync, [(3, 4), (6, 7), (10, 10), (17, 24)], 30).vanished == [(10, 10), (17, 24)]


def test_a_sample_of_all_numbers_there_are_costs_nothing() -> None:
    resync = Resync(1, 1, None, ((1, 4_294_967_295),), ((1, 4_294_967_295),))
    assert known_up_to(resync, view(1, 2, 3, 5).uids) == 3


@given(
    st.lists(st.integers(1, 40), unique=True, max_size=20).map(sorted),
    st.lists(st.tuples(st.integers(1, 25), st.integers(1, 40)), max_size=12),
)
def test_the_highest_pair_that_fits_counts(uids: list[int], pairs: list[tuple[int, int]]) -> None:
    known = dict(
        zip(sorted({number for number, _ in pairs}), sorted({uid for _, uid in pairs}), strict=False)
    )
    resync = Resync(1, 1, None, tuple(ranges(known)), tuple(ranges(known.values())))
    expected = [uid for number, uid in known.items() if number <= len(uids) and uids[number - 1] == uid]
    assert numbers(resync.numbers) == set(known)
    assert known_up_to(resync, uids) == max(expected, default=0)
