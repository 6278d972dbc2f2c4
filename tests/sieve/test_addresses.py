from __future__ import annotations

import time

import pytest

from mailstack.sieve.addresses import parse_script_address, split_envelope
from mailstack.sieve.match import SplitAddress


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("tim@example.com", "tim@example.com"),
        ("Tim@EXAMPLE.com", "Tim@example.com"),
        ("Ok Good <tim@example.org>", "tim@example.org"),
        (" more  @  example.com  ", "more@example.com"),
        ('"Sirius"@example.net', "Sirius@example.net"),
        ('"S[r]us"@example.net', '"S[r]us"@example.net'),
        ('"Tim B." <"T.B"@example.net>', "T.B@example.net"),
        (".a@example.com", '".a"@example.com'),
        ("a..b@example.com", '"a..b"@example.com'),
        ("tim(x(y)z)@example.org (end)", "tim@example.org"),
        ("tim@[192.0.2.1]", "tim@[192.0.2.1]"),
        ("tim@münchen.example", "tim@xn--mnchen-3ya.example"),
        ("é@example.org", "é@example.org"),
        ("SPAM@MYDOMAIN", "SPAM@mydomain"),
    ],
)
def test_a_script_address_has_one_normal_form(text: str, normal: str) -> None:
    assert parse_script_address(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "tim",
        "tim@",
        "@example.com",
        "<>",
        "a <",
        "a <tim",
        "a <tim@",
        "a <tim@x",
        "tim@a b",
        "a@b.example,c@d.example",
        "a b@c.example",
        "x: a@b.example;",
        "<@r.example:a@b.example>",
        "a@b@c.example",
        "tim@example..com",
        "tim@-example.com",
        "tim@example.com\n,",
        "tim\r\n@example.com\0",
        "a <b> <c@d.example>",
        "a@b.example>",
        '"a@b.example',
        "a(b@c.example",
        "a)@b.example",
        "x" * 65 + "@example.com",
        "a@" + "b." * 200 + "c",
        "\u202eevil@example.com",
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_script_address(text) is None


@pytest.mark.parametrize(
    "text", ["a" * 1_024, "a " * 500 + "<", '"' * 1_023, "(" * 1_024, "a\\" * 512, "<" * 1_024, "a" * 10**6]
)
def test_hostile_text_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    assert parse_script_address(text) is None
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "split"),
    [
        (None, None),
        ("", SplitAddress("", "", "")),
        ("<>", SplitAddress("", "", "")),
        ("a@b.example", SplitAddress("a", "b.example", "a@b.example")),
        ("<a@b.example>", SplitAddress("a", "b.example", "a@b.example")),
        ("<@r.example,@s.example:a@b.example>", SplitAddress("a", "b.example", "a@b.example")),
        ('"a"@b.example', SplitAddress("a", "b.example", "a@b.example")),
        ('"a b"@c.example', SplitAddress("a b", "c.example", '"a b"@c.example')),
        ("nonsense", SplitAddress("nonsense", "", "nonsense")),
        ("a@", None),
    ],
)
def test_envelope_addresses_lose_brackets_and_source_routes(
    text: str | None, split: SplitAddress | None
) -> None:
    # RFC 5228 section 5.4
    assert split_envelope(text) == split
