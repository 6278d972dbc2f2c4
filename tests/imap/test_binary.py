"""Parts without their transfer encoding (RFC 3516)."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.imap.binary import Body, Decoding, measure
from mailstack.imap.fetch_items import parse_items
from mailstack.imap.sections import WHOLE_OCTETS, Source, find
from mailstack.model.mailbox import MailboxError
from tests.kit.memory_folder import File

PLAIN = random.Random(3516).randbytes(700_000)


def message(plain: bytes = PLAIN, encoding: bytes = b"base64") -> bytes:
    body = base64.encodebytes(plain).replace(b"\n", b"\r\n") if encoding == b"base64" else plain
    return (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: application/x-thing\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
        + body + b"\r\n--x--\r\n"
    )  # fmt: skip


def fetched(source: Source, text: bytes) -> bytes | int | None:
    found = find(source, parse_items(text).sections[0])
    if isinstance(found, Decoding):
        data = found.read()
        assert len(data) == found.count > WHOLE_OCTETS
        return data
    assert found is None or isinstance(found, bytes | int)
    return found


@pytest.mark.parametrize("plain", [b"", b"small\0part", PLAIN], ids=["empty", "small", "large"])
def test_size_and_octets_agree(plain: bytes) -> None:
    source = Source(File(message(plain)))
    assert fetched(source, b"BINARY.SIZE[1]") == len(plain)
    assert fetched(source, b"BINARY[1]") == plain


@pytest.mark.parametrize(
    "span", [(0, 10), (5, 1), (699_990, 100), (700_000, 5), (9_999_999, 1), (10, 600_000)]
)
@pytest.mark.parametrize("plain", [PLAIN[:1000], PLAIN], ids=["small", "large"])
def test_a_partial_counts_decoded_octets(plain: bytes, span: tuple[int, int]) -> None:
    source = Source(File(message(plain)))
    text = b"BINARY.PEEK[1]<%d.%d>" % span
    assert fetched(source, text) == plain[span[0] : sum(span)]


def test_fetching_in_pieces_reads_each_octet_a_few_times_only() -> None:
    file = File(message())
    source = Source(file)
    assert fetched(source, b"BINARY.SIZE[1]") == len(PLAIN)
    file.octets_read = 0
    pieces = [fetched(source, b"BINARY[1]<%d.50000>" % at) for at in range(0, len(PLAIN), 50_000)]
    assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == PLAIN
    assert file.octets_read < 8 * file.size_octets
    assert fetched(source, b"BINARY[1]<3.5>") == PLAIN[3:8]


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 2_000)), max_size=6))
def test_any_order_of_pieces_gives_the_same_octets(spans: list[tuple[int, int]]) -> None:
    plain = PLAIN[:2_500]
    text = base64.encodebytes(plain)
    file = File(text)
    body = Body(0, len(text), "base64")
    measured = measure(file, body)
    assert (measured.octets, measured.has_nul) == (len(plain), b"\0" in plain)
    for first, count in spans:
        assert Decoding(file, body, measured, first, count).read() == plain[first : first + count]


@pytest.mark.parametrize("size", [10, WHOLE_OCTETS + 1])
@pytest.mark.parametrize("item", [b"BINARY[1]", b"BINARY.SIZE[1]"])
def test_an_encoding_nobody_knows_is_refused(item: bytes, size: int) -> None:
    # RFC 3516 section 4.3
    source = Source(File(message(b"y" * size, b"x-uuencode")))
    with pytest.raises(MailboxError) as caught:
        fetched(source, item)
    assert caught.value.code == "UNKNOWN-CTE"


def test_what_has_no_encoding_of_its_own_is_given_as_it_is() -> None:
    data = message(b"abc")
    source = Source(File(data))
    assert fetched(source, b"BINARY[]") == data
    assert fetched(source, b"BINARY[2]") is None
    assert fetched(source, b"BINARY.SIZE[2]") == 0
    inner = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + data
    assert fetched(Source(File(inner)), b"BINARY[1]") == data


def test_a_file_that_became_shorter_is_not_decoded() -> None:
    # I25
    with pytest.raises(MailboxError) as caught:
        measure(File(b"AAAA"), Body(0, 8, "base64"))
    assert caught.value.code == "UNAVAILABLE"
