"""How answers are written."""

from __future__ import annotations

import pytest

from mailstack.imap.response import RECENT, compress, date_time, flag_list, plain, status_line
from mailstack.model.mailbox import Flags


def test_a_status_line_is_one_line_whatever_is_in_it() -> None:
    # T67
    line = status_line(b"a1", "NO", "bad\r\na1 OK fine\x00ü", code="CANNOT")
    assert line == b"a1 NO [CANNOT] bad??a1 OK fine??\r\n"
    assert len(status_line(b"a", "BAD", "x" * 10_000)) < 500
    assert plain("\x7f") == b"?"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((), b""),
        ((1,), b"1"),
        ((1, 2, 3), b"1:3"),
        ((1, 3, 4, 9), b"1,3:4,9"),
        ((3, 2, 1), b"3,2,1"),
        ((5, 5), b"5,5"),
    ],
)
def test_runs_of_numbers_are_a_set(numbers: tuple[int, ...], text: bytes) -> None:
    assert compress(numbers) == text


def test_flags_stand_in_one_order() -> None:
    assert flag_list(Flags.DELETED | Flags.SEEN | RECENT, ("$A", "b")) == b"\\Seen \\Deleted \\Recent $A b"
    assert flag_list(0) == b""
    assert flag_list(0, ("b",)) == b"b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, b'" 1-Jan-1970 00:00:00 +0000"'),
        (837_596_665, b'"17-Jul-1996 09:44:25 +0000"'),
        (-1, b'"31-Dec-1969 23:59:59 +0000"'),
        (951_782_400, b'"29-Feb-2000 00:00:00 +0000"'),
    ],
)
def test_dates_are_utc_and_padded(seconds: int, text: bytes) -> None:
    assert date_time(seconds) == text
