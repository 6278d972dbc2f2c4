"""Whatever stands in Authentication-Results and Received-SPF, and whatever a peer calls himself."""

# ruff: noqa: E501

from __future__ import annotations

import authres
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.authentication import received_spf
from mailstack.filters.authentication.results import build, find_cuts
from mailstack.filters.fields import Header
from mailstack.model.verdict import (
    ArcResult,
    Authentication,
    DkimResult,
    DmarcResult,
    FilterRequest,
    SpfResult,
)
from tests.kit.fuzzing import FUZZ

OURS = "mx.example.test"
PIECES = st.lists(
    st.sampled_from(
        [b"mx.example.test", b"MX.example.TEST.", b'"', b"\\", b"(", b")", b";", b" ", b"\r\n ", b"\r\n\t", b"1", b"dmarc=pass", b"x",
         b"receiver=", b"\xff", b"\x00"]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip
NAMES = st.sampled_from(
    [b"Authentication-Results", b"authentication-results ", b"Received-SPF", b"X-Spam-Flag", b"Subject"]
)
TEXT = st.text(max_size=40) | st.sampled_from(
    ['a"; dmarc=pass', "x\r\nFrom: y", "(", "a\\", ";", "=?utf-8?q?x?="]
)


@FUZZ
@given(st.lists(st.tuples(NAMES, PIECES), max_size=5))
def test_cuts_are_whole_fields_and_nothing_claims_our_name_after_them(
    fields: list[tuple[bytes, bytes]],
) -> None:
    message = b"".join(name + b":" + value + b"\r\n" for name, value in fields) + b"\r\nbody"
    header = Header(message)
    cuts = find_cuts(header, frozenset({OURS}))
    whole = {(field.start, field.end) for field in header.fields}
    assert all(cut in whole for cut in cuts)
    assert list(cuts) == sorted(cuts)
    left, at = b"", 0
    for start, end in cuts:
        left, at = left + message[at:start], end
    assert find_cuts(Header(left + message[at:]), frozenset({OURS})) == ()


@FUZZ
@given(TEXT, TEXT, TEXT, TEXT, st.sampled_from(["pass", "fail", "permerror"]))
def test_our_fields_are_well_formed_whatever_others_chose(
    sender: str, helo: str, domain: str, why: str, word: str
) -> None:
    found = Authentication(
        SpfResult(word, domain, why),
        SpfResult(word, domain, why),
        (DkimResult(word, domain, domain, why),),
        DmarcResult(word, domain, "reject", "none", problem=why),
        ArcResult("fail", why),
    )
    value = build(OURS, found, sender=sender, helo=helo, ip="192.0.2.1")
    assert value.isascii()
    assert value.count("\n") == value.count(";\r\n\t") == value.count(";")
    parsed = authres.AuthenticationResultsHeader.parse(
        "Authentication-Results: " + value.replace("\r\n\t", " ")
    )
    assert {result.result for result in parsed.results} == {word, "fail"}
    assert not any(result.method == "dmarc" and result.result != word for result in parsed.results)
    request = FilterRequest("id", "192.0.2.1", helo, sender, (), 0.0)
    line = received_spf.build(OURS, SpfResult(word, domain), request)
    assert line.isascii()
    assert line.count("\n") == line.count("\r\n\t")
