"""Replies of a far server, read within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.reply import Reply
from mailstack.smtp.client_reply import MAX_LINE_OCTETS, MAX_LINES, BadReply, ReplyReader, with_status


def read(*chunks: bytes) -> list[Reply] | str:
    reader = ReplyReader()
    found = []
    try:
        for chunk in chunks:
            reader.receive(chunk)
            while (reply := reader.next_reply()) is not None:
                found.append(reply)
    except BadReply as error:
        return error.why
    return found


@pytest.mark.parametrize(
    "wire",
    [
        b"x" * (MAX_LINE_OCTETS + 1),
        b"250 " + b"x" * 1_000_000 + b"\r\n",
        b"250-x\r\n" * 10_000 + b"250 x\r\n",
        b"999 no\r\n",
        b"100 no\r\n",
        b"2 50 ok\r\n",
        b"250ok\r\n",
        b"\x80\xff\x00\r\n",
        b"250-ok\r\n550 no\r\n",
        b"\r\n",
        b"-250 ok\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46\n",
    ],
    ids=lambda wire: repr(wire[:20]),
)
def test_what_is_no_reply_ends_the_reading(wire: bytes) -> None:
    # Q7
    assert isinstance(read(wire), str)


def test_a_continuation_without_end_is_no_reply_yet() -> None:
    assert read(b"250-ok\r\n250-") == []


def test_the_longest_line_and_the_longest_reply_are_read() -> None:
    assert read(b"250 " + b"x" * (MAX_LINE_OCTETS - 5) + b"\r\n") == [
        Reply(250, "", "x" * (MAX_LINE_OCTETS - 5))
    ]
    assert len(read(b"250-x\r\n" * (MAX_LINES - 1) + b"250 x\r\n")) == 1
    assert isinstance(read(b"250-x\r\n" * MAX_LINES + b"250 x\r\n"), str)


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        (b"220 mx.test ESMTP\r\n", Reply(220, "", "mx.test ESMTP")),
        (b"250-mx.test\r\n250-SIZE 10\r\n250 DSN\r\n", Reply(250, "", "mx.test\nSIZE 10\nDSN")),
        (b"354\r\n", Reply(354, "", "")),
        (b"250 \r\n", Reply(250, "", "")),
        (b"250-\r\n250\r\n", Reply(250, "", "\n")),
        (b"250 bare\n", Reply(250, "", "bare")),
        (b"550 a\x00b\x1b[31m\tc\r\n", Reply(550, "", "a b [31m c")),
        ("550 schön\r\n".encode(), Reply(550, "", "schön")),
        (b"550 sch\xf6n\r\n", Reply(550, "", "sch�n")),
    ],
    ids=repr,
)
def test_replies_are_read_as_lines_of_text(wire: bytes, reply: Reply) -> None:
    assert read(wire) == [reply]


@pytest.mark.parametrize(
    ("text", "code", "status", "rest"),
    [
        ("5.1.1 no such user", 550, "1.1", "no such user"),
        ("5.1.1\n5.1.1 second", 550, "1.1", "\nsecond"),
        ("5.7.133 x", 550, "7.133", "x"),
        ("4.7.1 contradicts", 550, "", "4.7.1 contradicts"),
        ("5.1 x", 550, "", "5.1 x"),
        ("5.1.1x", 550, "", "5.1.1x"),
        ("Hello 5.1.1", 550, "", "Hello 5.1.1"),
        ("2.0.0 ok", 250, "0.0", "ok"),
        ("2.0.0", 250, "0.0", ""),
    ],
)
def test_the_enhanced_status_is_split_off_when_it_agrees(
    text: str, code: int, status: str, rest: str
) -> None:
    # RFC 2034 section 4
    assert with_status(Reply(code, "", text)) == Reply(code, status, rest)


WIRE = st.lists(
    st.sampled_from([b"250", b"-", b" ", b"ok", b"\r\n", b"\n", b"\r", b"550 5.1.1 no", b"\xff", b"9"]),
    max_size=30,
).map(b"".join)


@given(WIRE)
def test_chunking_never_changes_the_result(wire: bytes) -> None:
    assert read(wire) == read(*(wire[i : i + 1] for i in range(len(wire))))
