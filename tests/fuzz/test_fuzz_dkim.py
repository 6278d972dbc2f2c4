"""Whatever stands in a signature field, a key record or the message: one RFC 8601 word each."""

# ruff: noqa: E501

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.authentication.arc_chain import ChainVerifier
from mailstack.filters.authentication.arc_trust import tells_of_pass
from mailstack.filters.authentication.canonical import hash_body
from mailstack.filters.authentication.dkim import KeyRecord, Verifier, parse_key
from mailstack.filters.fields import Header
from mailstack.model.dns import Answer, Lookup, Question
from mailstack.net.resolver import GivenUp
from tests.kit.dkim_keys import ed25519_record, rsa_record
from tests.kit.fuzzing import FUZZ

WORDS = {"pass", "fail", "policy", "neutral", "temperror", "permerror", "none"}
TAGS = st.sampled_from(
    [b"v=1", b"a=rsa-sha256", b"a=ed25519-sha256", b"d=example.test", b"s=rsa", b"h=from:to", b"h=From", b"bh=AAAA",
     b"b=AAAA", b"c=relaxed", b"c=simple/relaxed", b"l=0", b"l=99999999999999999999", b"t=1", b"x=2", b"i=@example.test",
     b"q=dns/txt", b"", b"=", b"b", b"b=\xff", b"v=1\r\n ", b"d=" + b"x." * 130, b"s=a.b", b"\x00=1", b"h=" + b"from:" * 80]
)  # fmt: skip
FIELD = st.lists(TAGS | st.binary(max_size=12), max_size=14).map(b";".join)
LINES = st.lists(
    st.sampled_from([b"From: a@example.test", b"to:x", b" folded", b"", b"\t", b"body  text "]), max_size=8
)
KEYS = st.sampled_from(
    [rsa_record().encode(), ed25519_record().encode(), b"p=", b"v=DKIM1; k=rsa; p=QUJD", b"k"]
)


@FUZZ
@given(st.lists(FIELD, min_size=1, max_size=3), LINES, KEYS | st.binary(max_size=40))
def test_every_signature_gets_a_word(fields: list[bytes], lines: list[bytes], key: bytes) -> None:
    message = b"".join(b"DKIM-Signature: " + f.replace(b"\n", b"") + b"\r\n" for f in fields)
    message += b"\r\n".join(lines) + b"\r\n"
    known = {Question("rsa._domainkey.example.test", "TXT"): Answer("ok", (key,))}
    verifier = Verifier(message, Header(message), now=1_800_000_000)
    for result in verifier.verify(Lookup(GivenUp(known))):
        assert result.result in WORDS
        assert result.result != "pass"
        assert result.why.isprintable()


@FUZZ
@given(st.binary(max_size=200) | st.lists(TAGS, max_size=6).map(b";".join))
def test_every_key_record_is_a_key_or_a_reason(record: bytes) -> None:
    found = parse_key(record)
    assert isinstance(found, KeyRecord) or found[0] in WORDS


@FUZZ
@given(st.binary(max_size=300), st.integers(0, 300), st.booleans())
def test_any_octets_have_a_body_hash(message: bytes, body_at: int, relaxed: bool) -> None:
    digest, octets = hash_body(message, min(body_at, len(message)), relaxed=relaxed)
    assert len(digest) == 32
    assert 0 <= octets <= len(message) + 2


ARC_TAGS = TAGS | st.sampled_from(
    [b"i=1", b" i=2", b"i=01", b"cv=none", b"cv=pass", b"cv=fail", b"cv", b"h=arc-seal"]
)
ARC_FIELD = st.lists(ARC_TAGS | st.binary(max_size=12), max_size=12).map(b";".join)
ARC_NAME = st.sampled_from([b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"])


@FUZZ
@given(st.lists(st.tuples(ARC_NAME, ARC_FIELD), min_size=1, max_size=6), LINES, KEYS | st.binary(max_size=40))
def test_every_chain_is_none_or_broken(
    fields: list[tuple[bytes, bytes]], lines: list[bytes], key: bytes
) -> None:
    message = b"".join(name + b": " + f.replace(b"\n", b"") + b"\r\n" for name, f in fields)
    message += b"\r\n".join(lines) + b"\r\n"
    known = {Question("rsa._domainkey.example.test", "TXT"): Answer("ok", (key,))}
    chain = ChainVerifier(message, Header(message), now=1_800_000_000).verify(Lookup(GivenUp(known)))
    assert chain.result in ("none", "fail")
    assert chain.why.isprintable()
    assert chain.sets == ()


TOLD = st.lists(
    st.sampled_from(
        [b"i=1", b";", b" mx.test", b"dmarc=pass", b"dmarc=fail", b" header.from=", b"author.test", b"evil.test", b'"', b"\\", b"(", b")",
         b" ", b"spf=pass", b"=", b"\t", b"\x00", b"\xff"]
    ),
    max_size=14,
).map(b"".join)  # fmt: skip


@FUZZ
@given(TOLD | st.binary(max_size=80))
def test_results_of_sealers_are_read_or_not(value: bytes) -> None:
    for domain in ("author.test", ""):
        assert not tells_of_pass(value, domain) or (b"pass" in value.lower() and domain.encode() in value)


@FUZZ
@given(TOLD, st.sampled_from([b'"%s"', b"(%s)"]))
def test_what_stands_in_quotes_or_comments_tells_nothing(value: bytes, shape: bytes) -> None:
    chosen = value.replace(b"\\", b"").replace(b'"', b"").replace(b"(", b"").replace(b")", b"")
    inside = shape % (chosen + b"; dmarc=pass header.from=author.test")
    assert not tells_of_pass(b"i=1; mx.test; spf=pass smtp.mailfrom=" + inside + b"@x.test", "author.test")
