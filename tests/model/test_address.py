"""Addresses: one strict grammar for everything (faults S27 to S30, threats T7, T20, T32)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.mime import generate
from mailstack.model.address import Address, AddressError, parse_domain, parse_local


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("a@example.org", "a", "example.org"),
        ("A.B+c@EXAMPLE.Org", "A.B+c", "example.org"),
        ('"a b"@example.org', "a b", "example.org"),
        ('"a\\"b"@example.org', 'a"b', "example.org"),
        ('"x@y"@example.org', "x@y", "example.org"),
        ("user%other.org@example.org", "user%other.org", "example.org"),
        ("a@bücher.example", "a", "xn--bcher-kva.example"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[IPv6:2001:DB8::1]", "a", "[IPv6:2001:db8::1]"),
        ("jörg@example.org", "jörg", "example.org"),
    ],
)
def test_addresses_are_parsed_into_their_parts(text: str, local: str, domain: str) -> None:
    found = Address.parse(text)
    assert (found.local, found.domain) == (local, domain)
    assert Address.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@example.org",
        "a@",
        "a b@example.org",
        "a@b@example.org",
        ".a@example.org",
        "a.@example.org",
        "a..b@example.org",
        "a@example.org.",
        "a@-example.org",
        "a@exa mple.org",
        "a@[192.0.2.999]",
        "a@[IPv6:zz]",
        "a@[192.0.2.1",
        '"a@example.org',
        '""@example.org',
        "a\n@example.org",
        "a@example.org\r\n",
        "x" * 65 + "@example.org",
        "a@" + "d" * 64 + ".org",
        "a@" + "d." * 127 + "org",
        "a" + "\u0301" * 9 + "@example.org",
        "<a@example.org>",
        "a@good.example <b@bad.example>",
        "a@[IPv6:fe80::1%eth0]",
        "a@[IPv6:::%\x1b[2J]",
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(text)
    assert len(str(caught.value)) > 10


@pytest.mark.parametrize(
    "code",
    [0x80, 0x85, 0xA0, 0xAD, 0x1680, 0x2000, 0x200B, 0x2028, 0x202E, 0x202F, 0x3000, 0xFEFF, 0xD800, 0xE0061],
    ids=hex,
)
@pytest.mark.parametrize("form", ["a{}b", '"a{}b"'])
def test_invisible_characters_are_refused_bare_and_quoted(form: str, code: int) -> None:
    # S30
    with pytest.raises(AddressError):
        parse_local(form.format(chr(code)))


def test_local_parts_up_to_64_octets(text: str = "x" * 64) -> None:
    assert parse_local(text) == text
    assert parse_local("ö" * 32) == "ö" * 32
    with pytest.raises(AddressError):
        parse_local("ö" * 33)


def test_the_key_folds_ascii_only() -> None:
    assert Address.parse("JÖrg@Example.org").key == "jÖrg@example.org"
    assert Address.parse("I\u0307@example.org").key != Address.parse("i@example.org").key


@settings(derandomize=True, max_examples=400)
@given(st.text(max_size=80) | st.builds("{}@{}".format, st.text(max_size=20), st.just("example.org")))
def test_nothing_but_its_own_error_comes_out_and_what_is_accepted_can_be_written(text: str) -> None:
    try:
        found = Address.parse(text)
    except AddressError:
        return
    assert Address.parse(str(found)) == found
    # Reports put it into a header: whatever is accepted here must be writable there.
    assert generate.address_list("To", [("", str(found))])


@settings(derandomize=True, max_examples=200)
@given(st.text(min_size=1, max_size=40))
def test_domains_come_out_in_one_form(text: str) -> None:
    try:
        once = parse_domain(text)
    except AddressError:
        return
    assert parse_domain(once) == once
