"""Transfer encodings undone piece by piece."""

from __future__ import annotations

import base64
import binascii
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailstack.mime.decoder import MAX_LINE_OCTETS, decoder

ENCODINGS = ("7bit", "8bit", "binary", "base64", "quoted-printable")


def decode(encoding: str, *pieces: bytes) -> bytes:
    found = decoder(encoding)
    assert found is not None
    return b"".join([*(found.feed(piece) for piece in pieces), found.finish()])


@pytest.mark.parametrize("encoding", ["", "x-uuencode", "BASE64", "base65"])
def test_what_nobody_knows_has_no_decoder(encoding: str) -> None:
    assert decoder(encoding) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"aGVs\r\nbG8=\r\n", b"hello"),
        (b"aGVsbG8", b"hello"),
        (b"aGVs bG8 =garbage", b"hello"),
        (b"aGVsbG8=aGVs", b"hello"),
        (b"=aGVs=bG8", b"hello"),
        (b"aGVsb", b"hel"),
        (b"====", b""),
        (b"", b""),
    ],
)
def test_base64_is_lenient(text: bytes, expected: bytes) -> None:
    # M8
    assert decode("base64", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"a=3Db=\r\nc", b"a=bc"), (b"=ZZ", b"=ZZ"), (b"x=", b"x"), (b"=00=0A", b"\0\n"), (b"a=\r\n", b"a")],
)
def test_quoted_printable_is_lenient(text: bytes, expected: bytes) -> None:
    # M8
    assert decode("quoted-printable", text) == expected


@example(b"\n\r\n", 1)
@given(st.binary(max_size=400), st.integers(1, 90))
def test_what_was_encoded_well_comes_back(data: bytes, size: int) -> None:
    for encoding, text in (
        ("base64", base64.encodebytes(data)),
        ("quoted-printable", binascii.b2a_qp(data, istext=False)),  # as text it makes all line ends alike
        ("binary", data),
    ):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert decode(encoding, *pieces) == data


MESSY = st.lists(st.sampled_from([b"=", b"\r", b"\n", b"A", b"3D", b" ", b"\0", b"zz", b"=\r\n"])).map(
    b"".join
)


@given(MESSY, st.integers(0, 40))
def test_the_cut_never_matters_and_a_copy_goes_on(text: bytes, at: int) -> None:
    for encoding in ENCODINGS:
        whole = decode(encoding, text)
        assert decode(encoding, *(text[n : n + 1] for n in range(len(text)))) == whole
        first = decoder(encoding)
        assert first is not None
        head = first.feed(text[:at])
        second = first.copy()
        first.feed(b"QUJD\n")
        assert head + second.feed(text[at:]) + second.finish() == whole
        if encoding == "quoted-printable":
            assert whole == binascii.a2b_qp(text)


@pytest.mark.parametrize(
    "text", [b"=" * 3_000_000, b"AAAA=" * 600_000, b"A=" * 1_000_000], ids=["pad", "quads", "ones"]
)
def test_padding_everywhere_costs_no_more(text: bytes) -> None:
    began = time.process_time()
    decode("base64", *(text[at : at + 262_144] for at in range(0, len(text), 262_144)))
    assert time.process_time() - began < 5


def test_a_line_without_end_is_not_held() -> None:
    found = decoder("quoted-printable")
    assert found is not None
    out = [found.feed(b"=41" * 30_000) for _ in range(10)]
    assert sum(map(len, out)) > 300_000 - MAX_LINE_OCTETS
    assert b"".join(out) + found.finish() == b"A" * 300_000
