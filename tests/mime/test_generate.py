"""The one header writer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import addresses, encoding, generate
from mailstack.mime.header import Headers
from mailstack.mime.parameters import parse


def read(field: bytes) -> bytes:
    headers = Headers.parse(field + b"\r\n")
    assert len(headers.fields) == 1
    value = headers.first(headers.fields[0].name.decode())
    assert value is not None
    return value


@given(st.text())
def test_a_value_stays_one_field_and_reads_back(value: str) -> None:
    field = generate.header("Subject", value)
    assert encoding.decode_words(read(field)) == generate.clean(value)


@given(st.text(max_size=300))
def test_lines_are_short_and_never_blank(value: str) -> None:
    lines = generate.header("X", value).split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) <= 998 and b"\r" not in line and b"\n" not in line for line in lines)
    assert all(line.strip() for line in lines[1:])


@pytest.mark.parametrize(
    "bad", ["\r\nBcc: x@y", "\nBcc: x@y", "\r", "\0", "\x85Bcc: x", "\u2028Bcc: x"], ids=repr
)
def test_a_line_end_can_never_get_in(bad: str) -> None:
    # T44
    for field in (generate.header("Subject", "a" + bad), generate.structured("References", "a" + bad)):
        assert len(Headers.parse(field + b"\r\n").fields) == 1
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", field)


def test_an_encoded_word_in_the_text_is_shown_not_decoded() -> None:
    trick = "=?utf-8?q?x=0D=0ABcc:_evil@x?="
    assert b"=?utf-8?q?" not in generate.header("Subject", trick)
    assert encoding.decode_words(read(generate.header("Subject", trick))) == trick


@pytest.mark.parametrize("name", ["", "a b", "a:", "ü", "a\r\nb", "x" * 77])
def test_a_bad_field_name_is_our_mistake(name: str) -> None:
    with pytest.raises(ValueError, match="field name"):
        generate.header(name, "x")


@pytest.mark.parametrize(
    "display", ["", "John", 'a "quoted" name', "Jörg", "Public, John", "=?x?q?y?=", "a\r\nBcc: x"]
)
def test_addresses_read_back(display: str) -> None:
    field = generate.address_list("To", [(display, "a@b.example"), ("", "c@d.example")])
    first, second = addresses.parse(read(field))
    assert first.display == generate.clean(display)
    assert (first.spec, second.spec) == ("a@b.example", "c@d.example")


@pytest.mark.parametrize("spec", ["a@b>", "a b@c", "<a@b", "a@b\r\n", ""])
def test_a_bad_address_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="addr-spec"):
        generate.mailbox("x", spec)


@given(st.text(max_size=60))
def test_parameters_read_back(value: str) -> None:
    found = parse(b"attachment; " + generate.parameter("filename", value).encode("ascii"))
    if "=?" not in value:
        assert found.text("filename") == generate.clean(value)


def test_a_long_value_is_cut() -> None:
    assert len(generate.header("X", "ü" * 100_000)) < 20_000
    assert all(len(line) <= 998 for line in generate.structured("X", "y" * 100_000).split(b"\r\n"))
