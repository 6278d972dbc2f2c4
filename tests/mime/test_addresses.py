"""Address lists: the lenient reader shows, the strict one decides."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import addresses
from mailstack.mime.addresses import GROUP_END, ListedAddress, Unparsable, strict_addresses
from mailstack.model.address import Address


def listed(name: bytes | None, local: bytes, domain: bytes, route: bytes | None = None) -> ListedAddress:
    return ListedAddress(name, route, local, domain)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"", []),
        (b"a@b.example", [listed(None, b"a", b"b.example")]),
        (b"<a@b>, c@d", [listed(None, b"a", b"b"), listed(None, b"c", b"d")]),
        (b"John Q. Public <a@b>", [listed(b"John Q. Public", b"a", b"b")]),
        (b'"Public, John" <a@b>', [listed(b"Public, John", b"a", b"b")]),
        (b'"a \\"b\\"" <a@b>', [listed(b'a "b"', b"a", b"b")]),
        (b"a@b (John (Q) Public)", [listed(b"John (Q) Public", b"a", b"b")]),
        (b'"a b"@c', [listed(None, b"a b", b"c")]),
        (b"a@good <b@bad>", [listed(b"a@good", b"b", b"bad")]),
        (b"=?utf-8?q?x?= <a@b>", [listed(b"=?utf-8?q?x?=", b"a", b"b")]),
        (b"<@x,@y:a@b>", [listed(None, b"a", b"b", b"@x,@y")]),
        (b"John a@b", [listed(b"John", b"a", b"b")]),
        (b"nobody", [listed(None, b"nobody", b"")]),
        (b"John <a@b", [listed(b"John", b"a", b"b")]),
        (b'"John <a@b>', [listed(b'"John', b"a", b"b")]),
        (b"a@b,,c@d,", [listed(None, b"a", b"b"), listed(None, b"c", b"d")]),
        (b"list:;", [ListedAddress(None, None, b"list", None), GROUP_END]),
        (
            b"A: x@y, z@w;, v@u",
            [
                ListedAddress(None, None, b"A", None),
                listed(None, b"x", b"y"),
                listed(None, b"z", b"w"),
                GROUP_END,
                listed(None, b"v", b"u"),
            ],
        ),
        (b"A: x@y", [ListedAddress(None, None, b"A", None), listed(None, b"x", b"y"), GROUP_END]),
        (b"a@[192.0.2.1]", [listed(None, b"a", b"[192.0.2.1]")]),
        (
            b"gr\xc3\xbc\xc3\x9fe@b\r\n\t, c@d",
            [listed(None, b"gr\xc3\xbc\xc3\x9fe", b"b"), listed(None, b"c", b"d")],
        ),
    ],
    ids=repr,
)
def test_a_list_is_read_leniently(value: bytes, wanted: list[ListedAddress]) -> None:
    assert addresses.parse(value) == wanted


def test_text_views_of_an_entry() -> None:
    entry = addresses.parse(b"=?utf-8?q?caf=C3=A9?= <a@b>")[0]
    assert (entry.display, entry.spec, entry.is_mailbox) == ("café", "a@b", True)
    assert (GROUP_END.spec, GROUP_END.is_mailbox) == ("", False)
    assert addresses.specs(b"g: a@b, c@d;") == ["a@b", "c@d"]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"a@b.example", ["a@b.example"]),
        (b"a@good <b@bad>", ["b@bad"]),  # T20: parseaddr gives a@good
        (b'"a@good" <b@bad>', ["b@bad"]),
        (b"b@bad (a@good)", ["b@bad"]),
        (b"(a@good) b@bad", ["b@bad"]),
        (b"(a@good) x <b@bad> (c)", ["b@bad"]),
        (b"=?utf-8?q?a@good?= <b@bad>", ["b@bad"]),
        (b"=?utf-8?q?a=40good.example=3E?=@bad.example", ["=?utf-8?q?a=40good.example=3E?=@bad.example"]),
        (b"a@good, b@bad", ["a@good", "b@bad"]),
        (b"G: a@good, X <b@bad>;", ["a@good", "b@bad"]),
        (b"G: a@good;, H: b@bad; , c@d", ["a@good", "b@bad", "c@d"]),
        (b"G:;", []),  # an empty group names nobody: the caller fails it
        (b"", []),
        (b"a @ b", ["a@b"]),
        (b"A@EXAMPLE.Org", ["A@example.org"]),
        ("ü@exämple.example".encode(), ["ü@xn--exmple-cua.example"]),
        (b'"a b"@c', ['"a b"@c']),
    ],
    ids=repr,
)
def test_strict_reading_gives_every_author(value: bytes, wanted: list[str]) -> None:
    found = strict_addresses(value)
    assert not isinstance(found, Unparsable), found
    assert [str(address) for address in found] == wanted


@pytest.mark.parametrize(
    "value",
    [
        b"<a@good.example>b@bad.example",  # T20: parseaddr gives a@good.example
        b"<a@good> <b@bad>",
        b"a@good b@bad",
        b"a@good@bad",
        b"<a@good",
        b"a@good>",
        b"<>",
        b"x <a@good> y",
        b"<@x:b@bad>",
        b"<a@good,b@bad>",
        b"<a(@good)@bad>",
        b'"a@good <b@bad>',
        b"(a@good b@bad",
        b"b@bad)",
        b"G: a@good",
        b"G: H: a@good;;",
        b"a@good;",
        b"G: a@good; b@bad",
        b"a@good\0 <b@bad>",
        b"a@good\r <b@bad>",
        b"a@b\x0bc",
        b"nobody",
        b"a@",
        b"@b",
        b"a..b@c",
        b"a@-b-",
        b"a@[192.0.2.999]",
        b"a@[192.0.2.1] <b@bad>",
        b"a\xff@b",
        b"a" * 65 + b"@b",
        b"\\a@b",
    ],
    ids=repr,
)
def test_what_two_readers_could_read_differently_is_unparsable(value: bytes) -> None:
    assert isinstance(strict_addresses(value), Unparsable)


def test_a_thousand_addresses_are_read_and_not_one_more() -> None:
    value = b", ".join([b"a@b"] * (addresses.MAX_ADDRESSES + 1))
    assert len(addresses.parse(value)) == addresses.MAX_ADDRESSES
    assert isinstance(strict_addresses(value), Unparsable)
    odd = b", ".join([b"x y <a@b> z"] * (addresses.MAX_ADDRESSES + 1))
    assert len(addresses.parse(odd)) == addresses.MAX_ADDRESSES


@pytest.mark.parametrize(
    "value",
    [
        b"(" * 60000,
        b'"\\' * 30000,
        b'"' * 60000,
        b"<" * 60000,
        b"[" * 60000,
        b"a " * 30000,
        b"a@" * 30000,
        b":" * 60000,
        b";" * 60000,
        b"a:;" * 20000,
        b",(" * 30000,
        b"a@b, " * 20000,
        b'a <"' * 20000,
    ],
    ids=lambda value: repr(value[:6]),
)
def test_hostile_lists_take_no_time(value: bytes) -> None:
    # M6: 2000 opening parentheses are a RecursionError in the standard library.
    started = time.process_time()
    addresses.parse(value)
    strict_addresses(value)
    assert time.process_time() - started < 5


PIECES = [
    "a",
    "b.c",
    "@",
    "@x.test",
    "<",
    ">",
    " ",
    '"',
    '"A, B"',
    "=?utf-8?q?x?=",
    ",",
    ";",
    ":",
    "(c)",
    "\t",
    "\\",
]


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_usual_authors_are_read_as_by_the_grammar(pieces: list[str]) -> None:
    value = "".join(pieces).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "_USUAL_AUTHOR", re.compile(rb"(?!)"))
        wanted = strict_addresses(value)
    assert strict_addresses(value) == wanted


@pytest.mark.parametrize("value", [b"a@x.test", b" <a@x.test> ", b"A B <a@x.test>", b'"A, B" <a@x.test>'])
def test_usual_authors_take_the_short_way(value: bytes) -> None:
    assert addresses._USUAL_AUTHOR.match(value)
    assert strict_addresses(value) == (Address("a", "x.test"),)
