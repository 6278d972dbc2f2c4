"""Responses: everything chosen by others is quoted, or stands behind its length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.managesieve.framing import Framer
from mailstack.managesieve.response import QUOTED_OCTETS, one_line, status, string
from tests.kit.fuzzing import FUZZ


def test_strings_are_quoted_where_that_is_allowed() -> None:
    # RFC 5804 section 4; T67
    assert string(b'a"\\b') == b'"a\\"\\\\b"'
    assert string("é".encode()) == '"é"'.encode()
    assert string(b"x" * QUOTED_OCTETS) == b'"' + b"x" * QUOTED_OCTETS + b'"'
    assert string(b"x" * (QUOTED_OCTETS + 1)).startswith(b"{1025}\r\nx")
    assert string(b"a\r\nOK") == b"{5}\r\na\r\nOK"
    assert string(b"a\0") == b"{2}\r\na\0"
    assert string(b"\xff") == b"{1}\r\n\xff"


def test_the_end_of_a_response() -> None:
    assert status("OK") == b"OK\r\n"
    assert status("NO", "Why", "QUOTA/MAXSIZE") == b'NO (QUOTA/MAXSIZE) "Why"\r\n'
    # RFC 5804 section 2.13
    assert status("OK", "Done", "TAG", b"STARTTLS-SYNC-42") == b'OK (TAG "STARTTLS-SYNC-42") "Done"\r\n'
    assert status("NO", "one\r\ntwo") == b"NO {8}\r\none\r\ntwo\r\n"


@FUZZ
@given(st.binary(max_size=1100))
def test_what_is_written_is_read_again(octets: bytes) -> None:
    framer = Framer()
    framer.feed(string(octets).replace(b"}\r\n", b"+}\r\n", 1) + b"\r\n")
    assert framer.next() == [octets]


@FUZZ
@given(st.lists(st.text(max_size=400), min_size=1, max_size=30))
def test_warnings_fit_into_one_quoted_line(sentences: list[str]) -> None:
    line = string(one_line(sentences).encode("utf-8", "replace"))
    assert line.startswith(b'"') and b"\r" not in line
    framer = Framer()
    framer.feed(line + b"\r\n")
    assert framer.next() is not None


def test_warnings_that_do_not_fit_are_counted() -> None:
    assert one_line(["a", "b"]) == "a; b"
    assert one_line(["a", "b" * 2000, "c"]) == "a; and 2 more"
    assert one_line(["b" * 2000]) == "1 warnings that are too long to be shown"
