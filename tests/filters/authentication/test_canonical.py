"""Canonical forms: the same as dkimpy's, in linear time and flat memory."""

from __future__ import annotations

import hashlib
import time
import tracemalloc

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.authentication import canonical
from mailstack.filters.authentication.canonical import BodyHash, hash_body, relaxed_field

LINES = st.lists(
    st.text(alphabet="ab \t", max_size=8).map(str.encode) | st.just(b"") | st.just(b" \t "), max_size=12
)


def theirs(body: bytes, *, relaxed: bool) -> tuple[bytes, int]:
    form = (Relaxed if relaxed else Simple).canonicalize_body(body)
    return hashlib.sha256(form).digest(), len(form)


@pytest.mark.parametrize("relaxed", [True, False])
@given(LINES)
def test_bodies_hash_as_dkimpy_hashes_them(relaxed: bool, lines: list[bytes]) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    assert hash_body(body, 0, relaxed=relaxed) == theirs(body, relaxed=relaxed)


@pytest.mark.parametrize("relaxed", [True, False])
@given(LINES, st.integers(1, 9))
def test_pieces_never_change_the_hash(relaxed: bool, lines: list[bytes], octets: int) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    whole = hash_body(b"xx" + body, 2, relaxed=relaxed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "PIECE_OCTETS", octets)
        assert hash_body(b"xx" + body, 2, relaxed=relaxed) == whole


@pytest.mark.parametrize(
    "body", [b"", b"\r\n", b"\r\n\r\n", b"a", b"a\r\n", b"a\r\n\r\n \r\n", b" \r\n", b"a b\tc  \r\n"]
)
@pytest.mark.parametrize("relaxed", [True, False])
def test_edges_of_bodies(body: bytes, relaxed: bool) -> None:
    # RFC 6376 sections 3.4.3 to 3.4.5: empty bodies, bodies without a final CRLF
    assert hash_body(body, 0, relaxed=relaxed) == theirs(body, relaxed=relaxed)


def test_examples_of_the_rfc() -> None:
    # RFC 6376 section 3.4.5, example 1
    assert relaxed_field(b"A", b" X\r\n") == b"a:X\r\n"
    assert relaxed_field(b"B ", b" Y\t\r\n\tZ  \r\n") == b"b:Y Z\r\n"
    expected = hashlib.sha256(b" C\r\nD E\r\n").digest()
    assert hash_body(b" C \r\nD \t E\r\n\r\n\r\n", 0, relaxed=True)[0] == expected


def test_long_runs_of_blanks_take_linear_time() -> None:
    body = (b" " * 65_000 + b"x\r\n") * 16
    began = time.process_time()
    hash_body(body, 0, relaxed=True)
    relaxed_field(b"x", b" " * 65_000 + b"y")
    assert time.process_time() - began < 5


@pytest.mark.parametrize("line", [b"word " * 12 + b"\r\n", b"\r\n", b" " * 60 + b"\r\n"])
def test_memory_stays_flat_over_a_large_body(line: bytes) -> None:
    # D19
    body = line * (16_000_000 // len(line))
    tracemalloc.start()
    hash_body(body, 0, relaxed=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_500_000


def test_a_line_longer_than_a_piece_is_not_torn() -> None:
    body = b"a  " * 200_000 + b"\r\n"
    assert hash_body(body, 0, relaxed=True) == theirs(body, relaxed=True)


def test_body_octets_are_counted_in_canonical_form() -> None:
    out = BodyHash(relaxed=True)
    out.update(b"a  b\r\n\r\n")
    out.digest()
    assert out.octets == 5
