"""ARC seals of what is sent on, against dkimpy as verifier and as an earlier sealer."""

from __future__ import annotations

import time

import dkim as dkimpy
import pytest

from mailstack.filters.authentication import results
from mailstack.filters.authentication.arc import MAX_INSTANCES
from mailstack.filters.authentication.arc_chain import Chain, ChainVerifier
from mailstack.filters.authentication.arc_seal import seal
from mailstack.filters.authentication.sign import sign
from mailstack.filters.fields import Header
from mailstack.model.dns import Answer, Lookup, NeedLookup, Question
from mailstack.model.verdict import ArcResult, Authentication
from tests.kit import dkim_keys

# dkimpy, the other side of these tests, looks at the clock.
NOW = int(time.time())
LETTER = (
    b"From: Ann <ann@far.test>\r\nTo: gone@example.test\r\nSubject: hello  there\r\n"
    b"Message-ID: <1@far.test>\r\n\r\nHello.\r\n\r\n"
)
RESULTS = (
    "mx.example.test;\r\n\tspf=pass smtp.mailfrom=far.test;"
    "\r\n\tdmarc=pass (p=reject dis=none) header.from=far.test"
)
ADDED = b"Received: from a by b; Sun, 22 Nov 2026 11:00:00 +0000\r\nX-Mailstack-Loop: abc\r\n"


def dns(name: bytes, timeout: int = 5) -> bytes:
    assert name.startswith(b"rsa._domainkey."), name
    return dkim_keys.rsa_record().encode()


def chain_of(message: bytes, *, record: str | None = None) -> Chain:
    text = (dkim_keys.rsa_record() if record is None else record).encode()
    verifier = ChainVerifier(message, Header(message), now=NOW)
    known: dict[Question, Answer] = {}
    for _ in range(2):
        lookup = Lookup(known)
        try:
            return verifier.verify(lookup)
        except NeedLookup:
            known.update({question: Answer("ok", (text,)) for question in lookup.wanted})
    raise AssertionError("asks again and again")


def sealed(message: bytes = LETTER, *, domain: str = "example.test", times: int = 1) -> bytes:
    for _ in range(times):
        key = dkim_keys.rsa_key(domain)
        message = ADDED + seal(message, chain_of(message), key, results=RESULTS, now=NOW) + message
    return message


def by_dkimpy(message: bytes) -> bytes | None:
    result: tuple[bytes | None, list[dict[str, object]], str] = dkimpy.arc_verify(message, dnsfunc=dns)
    return result[0]


def test_what_we_seal_others_verify() -> None:
    assert by_dkimpy(sealed()) == b"pass"
    assert chain_of(sealed()).result == "pass"
    assert by_dkimpy(sealed(times=3)) == b"pass"
    assert [len(chain_of(sealed(times=n)).sets) for n in (0, 1, 3)] == [0, 1, 3]


def test_what_others_sealed_we_verify_and_seal_on() -> None:
    arrived = b"Authentication-Results: mx.other.test; spf=pass smtp.mailfrom=far.test\r\n" + LETTER
    lines = dkimpy.arc_sign(
        arrived,
        b"rsa",
        b"other.test",
        dkim_keys.rsa_key().private_pem,
        b"mx.other.test",
        include_headers=[b"from", b"to", b"subject"],
    )
    passed_on = b"".join(lines) + arrived
    assert chain_of(passed_on).result == "pass"
    twice = seal(passed_on, chain_of(passed_on), dkim_keys.rsa_key(), results=RESULTS, now=NOW) + passed_on
    assert b"ARC-Seal: i=2; cv=pass" in twice
    assert by_dkimpy(twice) == b"pass"


def test_the_results_stand_in_the_set_with_their_comments() -> None:
    told = Header(sealed()).first(b"arc-authentication-results")
    assert b" ".join(told.split()) == (
        b"i=1; mx.example.test; spf=pass smtp.mailfrom=far.test;"
        b" dmarc=pass (p=reject dis=none) header.from=far.test"
    )


def test_the_authors_signature_and_the_message_stay_as_they_were() -> None:
    signed = sign(LETTER, [dkim_keys.rsa_key("far.test")], now=NOW) + LETTER
    message = sealed(signed)
    assert message.endswith(signed)
    assert dkimpy.verify(message, dnsfunc=dns)
    assert b"dkim-signature" in Header(message).first(b"arc-message-signature")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hello.", b"Hallo!"),
        (b"hello  there", b"pay now"),
        (b"From: Ann", b"From: Bob"),
        (b"ARC-Seal: i=1; cv=none", b"ARC-Seal: i=1; cv=pass"),
        (b"spf=pass", b"spf=fail"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=3"),
        (b"c=relaxed/relaxed", b"c=simple/relaxed"),
        (b"c=relaxed/relaxed", b"c=x"),
        (b"a=rsa-sha256", b"a=rsa-sha1"),
        (b"; bh=", b"; l=1; bh="),
        (b"ARC-Message-Signature: i=1;", b"X: "),
        (b"d=example.test", b"d=test"),
    ],
    ids=range(12),
)
def test_what_was_changed_is_a_broken_chain_and_is_not_sealed_over(old: bytes, new: bytes) -> None:
    message = sealed().replace(b"\r\n\tbh=", b"; bh=") if old == b"; bh=" else sealed()
    assert old in message
    changed = message.replace(old, new, 1)
    chain = chain_of(changed)
    assert chain.result == "fail"
    assert chain.why
    assert seal(changed, chain, dkim_keys.rsa_key(), results=RESULTS, now=NOW) == b""


def test_the_oldest_pass_says_since_when_nothing_was_changed() -> None:
    # RFC 8617 section 5.2 (step 4): a list that adds its footer seals what it sends, not what it got
    assert [chain_of(sealed(times=n)).oldest_pass for n in (0, 1, 3)] == [0, 0, 0]
    before = sealed(times=2)
    changed = before + b"-- footer of the list\r\n"
    listed = seal(changed, chain_of(before), dkim_keys.rsa_key(), results=RESULTS, now=NOW) + changed
    assert (chain_of(listed).result, chain_of(listed).oldest_pass) == ("pass", 3)
    onward = ADDED + seal(listed, chain_of(listed), dkim_keys.rsa_key(), results=RESULTS, now=NOW) + listed
    found = chain_of(onward)
    assert (found.result, found.oldest_pass) == ("pass", 3)
    said = results.build(
        "mx.home.test",
        Authentication(arc=ArcResult("pass", oldest_pass=found.oldest_pass)),
        sender="",
        helo="h.test",
        ip="192.0.2.1",
    )
    assert "arc=pass smtp.remote-ip=192.0.2.1 header.oldest-pass=3" in " ".join(said.split())


def test_a_second_author_breaks_it() -> None:
    assert chain_of(b"From: eve@evil.test\r\n" + sealed()).result == "fail"


def test_a_key_that_cannot_be_had_breaks_it() -> None:
    assert chain_of(sealed(), record="v=DKIM1; p=").result == "fail"


def test_a_chain_has_an_end() -> None:
    # D25, T26
    longest = sealed(times=MAX_INSTANCES)
    assert chain_of(longest).result == "pass"
    assert seal(longest, chain_of(longest), dkim_keys.rsa_key(), results=RESULTS, now=NOW) == b""


def test_a_message_without_a_chain_has_none() -> None:
    assert chain_of(LETTER) == Chain("none")
    assert chain_of(b"ARC-Message-Signature: i=1; a=rsa-sha256\r\n" + LETTER).result == "fail"
