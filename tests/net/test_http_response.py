"""Answers by HTTP: complete, cut, too long, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.net.http_response import MAX_HEAD_OCTETS, MAX_INTERIM, BadResponse, Response, ResponseReader

MOST = 64
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
SIZED = PLAIN + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = PLAIN + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"
OPEN = PLAIN + b"\r\nhello"
HELLO = Response(200, "text/plain", b"hello")


def read(wire: bytes, *, step: int = 0, is_over: bool = True) -> Response | None:
    reader = ResponseReader(max_body_octets=MOST)
    for start in range(0, len(wire), step or len(wire) or 1):
        if (found := reader.receive(wire[start : start + (step or len(wire))])) is not None:
            return found
    return reader.receive(b"") if is_over else None


@pytest.mark.parametrize("wire", [SIZED, CHUNKED, OPEN], ids=["sized", "chunked", "open"])
@pytest.mark.parametrize("step", [0, 1, 7])
def test_an_answer_is_read_however_it_comes(wire: bytes, step: int) -> None:
    assert read(wire, step=step) == HELLO


def test_what_says_where_it_ends_needs_no_end_of_the_connection() -> None:
    assert read(SIZED + b"more", is_over=False) == HELLO
    assert read(CHUNKED, is_over=False) == HELLO
    assert read(OPEN, is_over=False) is None


def test_interim_answers_are_passed_over_but_not_for_ever() -> None:
    # RFC 9110 section 15.2
    assert read(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * MAX_INTERIM + SIZED) == HELLO
    with pytest.raises(BadResponse):
        read(b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1) + SIZED)


def test_any_status_is_an_answer() -> None:
    assert read(b"HTTP/1.0 404 Not Found\r\n\r\n") == Response(404, "", b"")
    assert read(b"HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n") == Response(204, "", b"")


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 99 x\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n" + SIZED,
        PLAIN + b"no field\r\n\r\n",
        PLAIN + b"Content-Length : 5\r\n\r\nhello",
        PLAIN + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        PLAIN + b"Content-Length: +5\r\n\r\nhello",
        PLAIN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        PLAIN + b"Transfer-Encoding: gzip\r\n\r\nhello",
        PLAIN + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        PLAIN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        PLAIN + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n",
        PLAIN + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello!!0\r\n\r\n",
        PLAIN + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 300,
        SIZED[:-1],
        CHUNKED[:-9],
        PLAIN,
    ],
)
def test_what_is_none_is_refused(wire: bytes) -> None:
    with pytest.raises(BadResponse):
        read(wire)


@pytest.mark.parametrize(
    "framed",
    [
        lambda body: b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
        lambda body: b"\r\n" + body,
        lambda body: b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
    ],
    ids=["sized", "open", "chunked"],
)
def test_a_body_has_a_limit(framed: object) -> None:
    # L16
    assert callable(framed)
    found = read(PLAIN + framed(b"x" * MOST))
    assert found is not None
    assert len(found.body) == MOST
    with pytest.raises(BadResponse):
        read(PLAIN + framed(b"x" * (MOST + 1)))


def test_a_header_has_a_limit() -> None:
    room = MAX_HEAD_OCTETS - len(PLAIN) - len(b"X: ")
    assert read(PLAIN + b"X: " + b"y" * room + b"\r\n\r\nhello") == HELLO
    with pytest.raises(BadResponse):
        read(PLAIN + b"X: " + b"y" * (room + 1) + b"\r\n\r\nhello")
    with pytest.raises(BadResponse):
        read(b"x" * (MAX_HEAD_OCTETS + 1), is_over=False)


@given(st.binary(max_size=200), st.integers(1, 9))
def test_pieces_change_nothing(tail: bytes, step: int) -> None:
    def outcome(size: int) -> object:
        try:
            return read(PLAIN + tail, step=size)
        except BadResponse:
            return "bad"

    assert outcome(step) == outcome(0)
