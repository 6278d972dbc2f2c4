"""What port 25 reads beside the way to a mailbox: Received of relays, bounces, loop tokens, block lists."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from mailstack.app import loops
from mailstack.filters import block_lists, client
from mailstack.model.address import Address
from mailstack.model.dns import Answer, Lookup, NeedLookup, Question
from mailstack.model.network import Networks
from mailstack.smtp import bounces, relays
from tests.kit.fuzzing import FUZZ

TRUSTED = Networks(("192.0.2.0/24", "2001:db8::/32"))
CLAUSE = st.sampled_from(
    [
        b"from ",
        b"by ",
        b"helo=",
        b"HELO ",
        b"[192.0.2.1]",
        b"[198.51.100.7]",
        b"[IPv6:2001:db8::1]",
        b"(",
        b")",
        b"(198.51.100.7)",
        b"[",
        b"]",
        b"unknown ",
        b"[::ffff:192.0.2.1]",
        b"[127.0.0.1]",
        b";",
        b" ",
        b"\r\n\t",
    ]
)
RECEIVED = st.lists(st.one_of(CLAUSE, st.binary(max_size=4)), max_size=20).map(
    lambda pieces: b"Received: " + b"".join(pieces) + b"\r\n"
)
BOUNCE = st.sampled_from(
    [
        b"From: mailer-daemon@x\r\n",
        b"Content-Type: multipart/report; report-type=delivery-status\r\n",
        b"X-Failed-Recipients: a@b, c\r\n",
        b"References: <a@b> <c@d>\r\n",
        b"\r\n",
        b"Message-ID: <a@b>\r\n",
        b"> ",
        b"Final-Recipient: rfc822; x@y\r\n",
        b"X-Mailstack-Loop: " + b"a" * 24 + b"\r\n",
        b"X-Mailstack-Loop: \xff\r\n",
    ]
)
HEAD = st.lists(st.one_of(BOUNCE, BOUNCE, st.binary(max_size=6)), max_size=20).map(b"".join)


@FUZZ
@given(st.lists(RECEIVED, max_size=6).map(b"".join))
def test_a_relays_fields_name_an_address_outside_the_relays_or_none(head: bytes) -> None:
    origin = relays.find_origin(head + b"\r\n", TRUSTED)
    if origin.ip:
        assert not ipaddress.ip_address(origin.ip).is_loopback
        assert origin.ip not in TRUSTED
    assert len(origin.helo) <= 255


@FUZZ
@given(HEAD)
def test_a_bounce_names_a_bounded_number_of_things(message: bytes) -> None:
    found = bounces.read(message)
    if found is not None:
        assert len(found.messages) <= bounces.MAX_NAMES
        assert len(found.recipients) <= bounces.MAX_NAMES
        assert all(text.startswith("<") and text.endswith(">") for text in found.messages)
    failed = bounces.failures(message)
    assert len(failed) <= bounces.MAX_NAMES
    assert all(one.status.startswith("5.") and len(one.answer) <= 400 for one in failed)


@FUZZ
@given(HEAD)
def test_no_token_but_ours_is_taken_for_one(head: bytes) -> None:
    assert len(loops.find_returned(head)) <= loops.MAX_TOKENS
    tokens = loops.find(head)
    assert len(tokens) <= loops.MAX_TOKENS
    assert loops.token(b"k" * 32, Address("alice", "example.test")) not in tokens


@FUZZ
@given(
    st.lists(st.one_of(st.text(max_size=20), st.ip_addresses().map(str), st.binary(max_size=4)), max_size=20),
    st.text(max_size=300),
    st.sampled_from(["ok", "nodata", "nxdomain", "temperror"]),
)
def test_whatever_the_dns_says_about_a_client_reasons_stay_small(
    records: list[object], helo: str, status: str
) -> None:
    class Everything(dict[Question, Answer]):
        def get(self, question: Question, default: object = None) -> Answer:
            return Answer(status, tuple(records) if status == "ok" else ())  # type: ignore[arg-type]

        def __contains__(self, question: object) -> bool:
            return True

    lists = (block_lists.BlockList(zone="bl.test", weight=9.0),)
    for ip in ("198.51.100.7", "2001:db8::7"):
        try:
            found = client.check(ip, helo, ours=("mx",), lookup=Lookup(Everything()))
        except NeedLookup:  # pragma: no cover: everything is answered
            raise AssertionError("a question was left open") from None
        assert sum(reason.weight for reason in found.reasons) <= 3
        assert all(len(reason.why) < 700 for reason in found.reasons)
        listed = block_lists.check(ip, lists, Lookup(Everything()), max_weight=6.0)
        assert abs(sum(reason.weight for reason in listed)) <= 6.0
