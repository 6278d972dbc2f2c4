"""Dates of headers and INTERNALDATE."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import date


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"Sun, 22 Nov 2026 03:04:05 +0100", "Sun, 22 Nov 2026 03:04:05 +0100"),
        (b"22 Nov 2026 03:04 -0230 (NST)", "Sun, 22 Nov 2026 03:04:00 -0230"),
        (b"(a (nested)) Sun, 22 Nov 2026 03:04:05 +0000", "Sun, 22 Nov 2026 03:04:05 +0000"),
        (b"Tue, 3 Sep 2002 09:12:13 EDT", "Tue, 03 Sep 2002 09:12:13 -0400"),
        (b"Wed, 4 Dec 02 11:22:33 GMT", "Wed, 04 Dec 2002 11:22:33 +0000"),
        (b"Wed, 4 Dec 99 11:22:33", "Sat, 04 Dec 1999 11:22:33 +0000"),
        (b"4 Dec 102 11:22:33", "Wed, 04 Dec 2002 11:22:33 +0000"),
        (b"Thu Jan  1 00:00:01 1970", "Thu, 01 Jan 1970 00:00:01 +0000"),
        (b"Thu Jan  1 00:00:01 CET 1970", "Thu, 01 Jan 1970 00:00:01 +0100"),
        (b"2002-09-03T10:11:12Z", "Tue, 03 Sep 2002 10:11:12 +0000"),
        (b"2002-09-03 10:11:12.123 +02:00", "Tue, 03 Sep 2002 10:11:12 +0200"),
        (b"Mon, 30 Jun 1997 23:59:60 +0000", "Mon, 30 Jun 1997 23:59:59 +0000"),
        (b"Mon, 30 Jun 1997 10:00:00 +9999", "Mon, 30 Jun 1997 10:00:00 +0000"),
        (b"22-Nov-2026 03:04:05 +0100", "Sun, 22 Nov 2026 03:04:05 +0100"),
        (b"22 November 2026", "Sun, 22 Nov 2026 00:00:00 +0000"),
    ],
    ids=repr,
)
def test_dates_as_people_send_them(value: bytes, wanted: str) -> None:
    found = date.parse(value)
    assert found is not None
    assert date.format_header(*found) == wanted


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"today",
        b"1 Jan 1",
        b"31 Feb 2020 00:00:00",
        b"31 Feb 99999",
        b"22 Nov 2026 25:00:00",
        b"22 Xyz 2026 1:2:3",
        b"(" * 500,
        b"\x00",
        b"99 Nov 2026 00:00:00",
        b"1 Jan 1899 00:00:00 +0000",
    ],
    ids=repr,
)
def test_what_makes_no_sense_is_none(value: bytes) -> None:
    # M17
    assert date.parse(value) is None


@given(st.integers(-2_208_988_800 + 86_400, 253_402_300_799 - 86_400), st.integers(-1439, 1439))
def test_a_written_date_reads_back(at: int, minutes: int) -> None:
    assert date.parse(date.format_header(at, minutes * 60).encode()) == (at, minutes * 60)
    assert date.parse_internal(date.format_internal(at, minutes * 60)) == at


@pytest.mark.parametrize("at", [-(10**18), 10**18])
def test_any_number_can_be_shown(at: int) -> None:
    assert len(date.format_internal(at)) == 26


def test_the_internal_date_of_rfc_3501() -> None:
    # RFC 3501 section 9: date-day-fixed is padded with a space.
    assert date.format_internal(837_567_865, -25_200) == "16-Jul-1996 18:44:25 -0700"
    assert date.format_internal(0) == " 1-Jan-1970 00:00:00 +0000"
    assert date.parse_internal(" 1-jan-1970 00:00:00 +0000") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1-Jan-1970 00:00:00 +0000",
        "31-Feb-2020 00:00:00 +0000",
        "01-Jan-1970 00:00:00 +2400",
        "01-Jan-1970 00:00:00",
        "01-Jan-1970 00:00:00 +0000\n",
        "٠١-Jan-1970 00:00:00 +0000",
        "01-Xxx-1970 00:00:00 +0000",
    ],
)
def test_other_internal_dates_are_refused(text: str) -> None:
    assert date.parse_internal(text) is None
