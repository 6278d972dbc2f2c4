"""Looking through trusted relays: what Received fields of common servers say."""

# ruff: noqa: E501  # tables of fields read better unbroken

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.network import Networks
from mailstack.smtp.relays import MAX_RELAYS, Origin, find_origin, read

RELAYS = Networks(("192.0.2.0/28", "2001:db8:1::/48"))
REST = b"From: x@y.test\r\n\r\nhello\r\n"


def received(text: str) -> bytes:
    return f"Received: {text}; Mon, 1 Jan 2029 00:00:00 +0000\r\n".encode()


@pytest.mark.parametrize(
    ("text", "ip", "helo"),
    [
        # Postfix
        ("from a.example (a.example [198.51.100.7])\r\n\tby mx.us (Postfix) with ESMTP id 1", "198.51.100.7", "a.example"),
        ("from a.example (unknown [IPv6:2001:db8::7]) by mx.us (Postfix)", "2001:db8::7", "a.example"),
        # Exim
        ("from a.example ([198.51.100.7]:41234 helo=b.example) by mx.us with esmtps", "198.51.100.7", "b.example"),
        ("from [198.51.100.7] (helo=b.example) by mx.us with esmtp (Exim 4.96)", "198.51.100.7", "b.example"),
        # sendmail
        ("from a.example (b.example [198.51.100.7] (may be forged)) by mx.us (8.17/8.17)", "198.51.100.7", "a.example"),
        # qmail
        ("from unknown (HELO b.example) (198.51.100.7)\r\n  by 0 with SMTP", "198.51.100.7", "b.example"),
        # Exchange
        ("from a.example (198.51.100.7) by mx.us (10.0.0.1) with Microsoft SMTP Server", "198.51.100.7", "a.example"),
        # mailstack
        ("from a.example ([198.51.100.7])\r\n\tby mx.us with ESMTPS id 0j2", "198.51.100.7", "a.example"),
        ("from [IPv6:2001:db8::7] (helo=x?y)\r\n\tby mx.us with SMTP id 0j2", "2001:db8::7", "x?y"),
        # v4-mapped
        ("from a.example (a.example [::ffff:198.51.100.7]) by mx.us", "198.51.100.7", "a.example"),
    ],
)  # fmt: skip
def test_the_client_of_a_relay_is_read_from_its_field(text: str, ip: str, helo: str) -> None:
    assert find_origin(received(text) + REST, RELAYS) == Origin(ip, helo)


@pytest.mark.parametrize(
    "text",
    [
        "from [203.0.113.66] (unknown [198.51.100.7]) by mx.us",
        "from [203.0.113.66] ([198.51.100.7] helo=[203.0.113.66]) by mx.us",
        "from unknown (HELO [203.0.113.66]) (198.51.100.7) by mx.us",
        "from a([203.0.113.66] (unknown [198.51.100.7]) by mx.us",
        "from [198.51.100.7] (helo=[203.0.113.66]) by mx.us",
    ],
)
def test_what_a_client_calls_itself_is_not_its_address(text: str) -> None:
    found = read(text.encode())
    assert found is not None
    assert found.ip == "198.51.100.7"


def test_relays_in_a_row_and_their_own_filters_are_looked_through() -> None:
    head = (
        received("from backup2 (backup2 [192.0.2.3]) by backup1")
        + received("from localhost (localhost [127.0.0.1]) by backup1")
        + received("from inner (inner [2001:db8:1::9]) by backup2")
        + received("from spam.example (spam.example [203.0.113.9]) by inner")
        + received("from forged.example (forged [198.51.100.1]) by spam.example")
    )
    assert find_origin(head + REST, RELAYS) == Origin("203.0.113.9", "spam.example")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        received("by mx.us with local"),
        received("from somebody by mx.us"),
        received("from a (a [999.1.1.1]) by mx.us") + received("from b (b [203.0.113.9]) by a"),
        received("from a (a [192.0.2.3]) by b") * (MAX_RELAYS + 5)
        + received("from c (c [203.0.113.9]) by a"),
    ],
    ids=["none", "local", "no address", "no ip", "too many"],
)
def test_without_a_word_about_the_client_there_is_none(head: bytes) -> None:
    assert find_origin(head + REST, RELAYS) == Origin("", "")


@given(st.binary(max_size=3000))
def test_any_header_gives_an_address_or_none(octets: bytes) -> None:
    import ipaddress

    for head in (octets, b"Received: from " + octets + b"\r\n\r\n"):
        origin = find_origin(head, RELAYS)
        assert origin.ip == "" or ipaddress.ip_address(origin.ip)
        assert origin.ip not in RELAYS
        assert len(origin.helo) <= 255


def test_a_hostile_field_costs_little() -> None:
    import time

    began = time.process_time()
    find_origin(b"Received: from " + b"(helo=" * 80_000 + b"\r\n\r\n", RELAYS)
    find_origin(b"Received: from " + b"[1." * 80_000 + b"\r\n\r\n", RELAYS)
    assert time.process_time() - began < 5
