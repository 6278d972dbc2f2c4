"""What other domains publish about TLS: policies, records, certificates, answers by HTTP.

Whatever they say, the answer is a value or the one refusal of the parser.
"""

import hashlib
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.delivery import certificates, dane, mta_sts
from mailstack.delivery.dane import Dane, Tlsa
from mailstack.net.http_response import BadResponse, Response, ResponseReader
from tests.kit.authority import Authority

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))
FUZZED = settings(derandomize=True, max_examples=EXAMPLES, deadline=None)
NOW = 1_795_000_000.0

LINES = st.sampled_from(
    [
        b"version: STSv1",
        b"version:STSv1",
        b"mode: enforce",
        b"mode: testing",
        b"mode: none",
        b"mx: mx.example.net",
        b"mx: *.example.net",
        b"mx: *",
        b"max_age: 86400",
        b"max_age: 99999999999999999999999999",
        b"max_age: \xc2\xb2",
        b": x",
        b"x:",
        b"\x00",
        b"\xe2\x80\xa8",
    ]
)
POLICIES = st.lists(LINES | st.binary(max_size=20), max_size=12).flatmap(
    lambda lines: st.sampled_from([b"\r\n", b"\n", b"\r", b"\n\n"]).map(lambda end: end.join(lines))
)


@FUZZED
@given(POLICIES)
def test_a_policy_is_one_or_is_refused(body: bytes) -> None:
    try:
        policy = mta_sts.parse(body)
    except mta_sts.BadPolicy as error:
        assert str(error)
        return
    assert policy.mx or policy.mode == "none"
    assert 0 <= policy.max_age_s <= mta_sts.MAX_AGE_S
    assert not policy.allows("")
    assert mta_sts.parse("\r\n".join(policy.lines).encode()) == policy


TXT = st.lists(
    st.sampled_from([b"v=STSv1", b"V=STSv1", b";", b" ", b"id=", b"a1", b"=", b"\x00", b"\xff"]), max_size=8
).map(b"".join)


@FUZZED
@given(st.lists(TXT | st.text() | st.integers() | st.none(), max_size=4))
def test_an_id_is_letters_and_digits_or_nothing(records: list[object]) -> None:
    found = mta_sts.policy_id(records)
    assert len(found) <= 32
    assert not found or (found.isascii() and found.isalnum())


# -- certificates ------------------------------------------------------------------------

ROOT = Authority("root")
TRUSTED = certificates.trusting([ROOT.certificate])
MX = ROOT.authority("below").issue("mx.example.net")


@st.composite
def damaged(draw: st.DrawFn) -> list[bytes]:
    """A chain with some octets changed, cut or doubled, its certificates in any order."""
    chain = []
    for der in draw(st.permutations(MX.chain)):
        octets = bytearray(der)
        for _ in range(draw(st.integers(0, 3))):
            octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
        chain.append(bytes(octets[: draw(st.sampled_from([len(octets), len(octets) // 2]))]))
    return chain[: draw(st.integers(0, 3))]


@FUZZED
@given(damaged() | st.lists(st.binary(max_size=40), max_size=3))
def test_a_chain_that_was_touched_leads_nowhere(chain: list[bytes]) -> None:
    found = certificates.check(chain, TRUSTED, ["mx.example.net"], at=NOW)
    if not found:
        # Only what was not touched: the leaf as it was issued, and whoever signed it.
        assert chain[0] == MX.der
    record = Tlsa(3, 0, 1, hashlib.sha256(MX.der).digest())
    pinned = Dane("mx.example.net", (record,)).problem(chain, (), at=NOW)
    assert (not pinned) == (bool(chain) and chain[0] == MX.der)


NUMBERS = st.integers(-1, 5)
RECORDS = st.tuples(NUMBERS, NUMBERS, NUMBERS, st.binary(max_size=70) | st.just(MX.der) | st.just(ROOT.der))


@FUZZED
@given(st.lists(RECORDS | st.tuples(NUMBERS) | st.binary() | st.none(), max_size=6))
def test_records_are_usable_or_left_out_and_judge_without_raising(records: list[Any]) -> None:
    found = dane.usable(records)
    assert set(found) <= {
        Tlsa(*record) for record in records if isinstance(record, tuple) and len(record) == 4
    }
    assert all(one.usage in (2, 3) for one in found)
    Dane("mx.example.net", found).problem(MX.chain, ("example.net",), at=NOW)


# -- HTTP --------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 99999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Type: text/plain\r\n",
        b"\r\n",
        b"\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"ffffffff\r\n",
        b"abc",
        b" x: y\r\n",
    ]
)


@FUZZED
@given(st.lists(PIECES | st.binary(max_size=10), max_size=10), st.integers(1, 7))
def test_an_answer_is_bounded_and_pieces_change_nothing(parts: list[bytes], step: int) -> None:
    wire = b"".join(parts)

    def read(size: int) -> Response | str:
        reader = ResponseReader(max_body_octets=32)
        try:
            for start in range(0, len(wire), size):
                if (found := reader.receive(wire[start : start + size])) is not None:
                    return found
            return reader.receive(b"") or "nothing"
        except BadResponse:
            return "bad"

    whole, pieces = read(len(wire) or 1), read(step)
    assert whole == pieces
    assert isinstance(whole, str) or len(whole.body) <= 32
