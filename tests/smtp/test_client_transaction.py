"""The body on the wire, and xtext."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.smtp.client_transaction import stuffed, xtext


def wire(*chunks: bytes) -> bytes:
    return b"".join(stuffed(chunks))


def unstuffed(data: bytes) -> bytes:
    """A receiver, written as RFC 5321 section 4.5.2 reads."""
    out = []
    for line in data.split(b"\r\n"):
        if line == b".":
            break
        out.append(line.removeprefix(b".") if line.startswith(b".") else line)
    return b"\r\n".join([*out, b""])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..a\r\n.\r\n", b"...a\r\n..\r\n.\r\n"),
        (b"a\r\n.b\r\n", b"a\r\n..b\r\n.\r\n"),
        (b"a.b\r\n", b"a.b\r\n.\r\n"),
    ],
)
def test_dots_are_doubled_at_line_starts_only(message: bytes, expected: bytes) -> None:
    assert wire(message) == expected


@pytest.mark.parametrize(
    "hidden", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\r\n.\r\r\n"], ids=repr
)
def test_no_other_end_of_the_message_ever_leaves(hidden: bytes) -> None:
    # T1: what another server might take for the end must not be sent.
    sent = wire(b"a" + hidden + b"MAIL FROM:<evil@x>\r\n")
    assert sent.count(b"\n") == sent.count(b"\r") == sent.count(b"\r\n")
    assert sent.endswith(b"MAIL FROM:<evil@x>\r\n.\r\n")
    assert sent.index(b"\r\n.\r\n") == len(sent) - 5


CHUNKS = st.lists(st.sampled_from([b".", b"..", b"\r\n", b"a", b"\r\n.", b".\r\n", b"b\r\n"]), max_size=20)


@given(CHUNKS)
def test_a_receiver_gets_back_what_was_sent(chunks: list[bytes]) -> None:
    message = b"".join(chunks)
    ended = message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    assert unstuffed(wire(*chunks)) == (ended or b"")


@given(st.lists(st.sampled_from([b".", b"\r", b"\n", b"a", b"\r\n", b"\r\n."]), max_size=20))
def test_chunking_never_changes_what_is_sent(chunks: list[bytes]) -> None:
    message = b"".join(chunks)
    assert wire(*chunks) == wire(message) == wire(*(message[i : i + 1] for i in range(len(message))))


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("plain", "plain"),
        ("a+b=c", "a+2Bb+3Dc"),
        ("a b", "a+20b"),
        ("ä", "+C3+A4"),
        ("\r\n", "+0D+0A"),
        ("", ""),
    ],
)
def test_xtext_holds_nothing_but_printable_ascii(text: str, encoded: str) -> None:
    # RFC 3461 section 4
    assert xtext(text) == encoded
