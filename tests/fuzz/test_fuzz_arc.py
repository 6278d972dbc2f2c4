"""A good chain of three seals, changed anywhere: it never says more than is true."""

from __future__ import annotations

import functools

from hypothesis import given
from hypothesis import strategies as st

from mailstack.app.arrival import _signatures
from mailstack.filters.authentication.arc_chain import Chain, ChainVerifier
from mailstack.filters.authentication.arc_seal import seal
from mailstack.filters.fields import Header
from mailstack.model.dns import Answer, Lookup, NeedLookup, Question
from tests.kit import dkim_keys
from tests.kit.fuzzing import FUZZ

NOW = 1_800_000_000
LETTER = b"From: ann@far.test\r\nTo: bob@home.test\r\nSubject: hello\r\n\r\nHello.\r\n"
RESULTS = "mx.home.test;\r\n\tdmarc=pass (p=reject dis=none) header.from=far.test"


def chain_of(message: bytes) -> Chain:
    verifier = ChainVerifier(message, Header(message), now=NOW)
    known: dict[Question, Answer] = {}
    for _ in range(4):
        lookup = Lookup(known)
        try:
            return verifier.verify(lookup)
        except NeedLookup:
            known |= {q: Answer("ok", (dkim_keys.rsa_record().encode(),)) for q in lookup.wanted}
    raise AssertionError("asks again and again")


@functools.cache
def chained() -> bytes:
    """Three sets; the body was changed after the first."""
    message = LETTER
    for number in range(3):
        before = chain_of(message)
        message += b"footer\r\n" if number == 1 else b""
        message = seal(message, before, dkim_keys.rsa_key(), results=RESULTS, now=NOW) + message
    return message


def spelled(message: bytes) -> bytes:
    """What relaxed canonicalization leaves of it."""
    return b"".join(message.split()).lower()


def test_the_chain_holds_as_it_is() -> None:
    found = chain_of(chained())
    assert (found.result, len(found.sets), found.oldest_pass) == ("pass", 3, 2)


@FUZZ
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=3))
def test_a_changed_chain_passes_only_where_nothing_changed(edits: list[tuple[float, int, bytes]]) -> None:
    message = chained()
    for place, length, new in edits:
        at = int(place * len(message))
        message = message[:at] + new + message[at + length :]
    found = chain_of(message)
    assert found.result in ("none", "pass", "fail")
    assert 0 <= found.oldest_pass <= len(found.sets)
    if found.result == "pass" and found.oldest_pass == 2:
        # Fields nobody signed may come and go; what was sealed may not.
        for line in (b"From: ann@far.test", b"Subject: hello", b"\r\nHello.\r\nfooter"):
            assert spelled(line) in spelled(message)


@FUZZ
@given(
    st.lists(
        st.sampled_from(
            [b"DKIM-Signature:", b" d=a.test;", b"\r\n", b" ", b"\t", b"bh=", b"bh", b"AbC=", b";"]
        )
        | st.binary(max_size=5),
        max_size=30,
    ).map(b"".join)
)
def test_signatures_are_found_or_not(header: bytes) -> None:
    for domain, body in _signatures(header):
        assert domain == domain.lower()
        assert not set(" \r\n\t") & set(domain + body)
