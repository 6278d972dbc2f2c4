"""Where links lead, whatever they look like."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.reading.links import (
    MAX_URL_CHARACTERS,
    MAX_URLS,
    behind_host,
    clean,
    find_all,
    find_bare,
    find_urls,
    host_of,
    is_ip_host,
    lies,
    make,
    shown_host,
    site,
)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://bank.example@evil.test/x", "evil.test"),
        ("http://bank.example:80@evil.test:8080/x", "evil.test"),
        ("https:\\\\evil.test\\a", "evil.test"),
        ("http:/evil.test/a", "evil.test"),
        ("//evil.test/a", "evil.test"),
        ("ht\ntps://ev\til.test/", "evil.test"),
        ("http://%65vil.test/", "evil.test"),
        ("http://\uff45vil\u3002test/", "evil.test"),
        ("http://ev\u200bil.test/", "evil.test"),
        ("HTTP://EVIL.test./", "evil.test"),
        ("http://b\u00fccher.test/", "xn--bcher-kva.test"),
        ("http://\u202eevil.test/", "evil.test"),
        ("http://[2001:db8::1]:80/", "[2001:db8::1]"),
        ("http://evil.test?http://bank.example/", "evil.test"),
        ("mailto:a@b.test", ""),
        ("javascript:alert(1)", ""),
        ("data:text/html,<b>", ""),
        ("bank.example/x", ""),
    ],
)
def test_the_host_is_the_one_a_browser_goes_to(url: str, host: str) -> None:
    # M14: punycode and bidi URLs
    assert host_of(clean(url)) == host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://www.bank.example/login?x=y", "www.bank.example"),
        ("www.bank.example", "bank.example"),
        ("Bank.example/login", "bank.example"),
        ("Go to bank.example", ""),
        ("report.pdf", ""),
        ("joe@bank.example", ""),
        ("e.g.", ""),
        ("Click here", ""),
    ],
)
def test_the_text_of_a_link_may_name_a_host(text: str, host: str) -> None:
    assert shown_host(text) == host


def test_a_link_lies_when_it_leads_to_another_owner() -> None:
    assert lies(make("http://evil.test/", "www.bank.example"))
    assert not lies(make("http://mail.bank.example/", "www.bank.example"))
    assert not lies(make("http://evil.test/", "click here"))
    assert lies(make("http://evil.co.uk/", "bank.co.uk"))


def test_the_owner_of_a_host_stands_before_the_public_part() -> None:
    assert (site("a.b.bank.example"), site("www.bank.co.uk"), site("localhost")) == (
        "bank.example",
        "bank.co.uk",
        "localhost",
    )


@pytest.mark.parametrize(
    ("url", "port", "path"),
    [
        ("http://x.test:8080/a?b#c", "8080", "/a?b#c"),
        ("https://joe:pw@x.test", "", ""),
        ("https://joe:pw@x.test:81?q", "81", "?q"),
        ("http://[2001:db8::1]:82/", "82", "/"),
        ("//x.test/a:5", "", "/a:5"),
        ("http://x.test:port/", "", "/"),
    ],
)
def test_behind_the_host_stand_port_and_path(url: str, port: str, path: str) -> None:
    assert behind_host(url) == (port, path)


def test_addresses_without_a_scheme_are_found() -> None:
    assert find_bare("see www.bank.example/x, or http://www.other.example and xwww.no.example.") == [
        "http://www.bank.example/x"
    ]


def test_addresses_in_text_are_bounded() -> None:
    # M14
    assert len(find_all("http://x.test " * 10_240)) == MAX_URLS
    assert len(clean("http://" + "z" * 1_000_000)) == MAX_URL_CHARACTERS


@pytest.mark.parametrize("text", ["://" * 300_000, "www." * 300_000, "http://" * 150_000, "a." * 500_000])
def test_text_like_addresses_takes_little_time(text: str) -> None:
    began = time.process_time()
    find_all(text)
    shown_host(text)
    host_of("http://" + text)
    behind_host("http://" + text[:MAX_URL_CHARACTERS])
    assert time.process_time() - began < 5


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "3221226219", "0xc0000201", "0300.0.2.0x1"])
def test_addresses_in_disguise_are_addresses(host: str) -> None:
    assert is_ip_host(host)
    assert not is_ip_host("1.example")


@given(st.lists(st.sampled_from(["http", "HttpS", "://", ":", "/", "s", "a", " ", ">", "\u017f", "h"])))
def test_web_addresses_are_found_as_by_one_pattern(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert find_urls(text) == re.findall(r"https?://[^\s<>\"')\]]{1,2048}", text, re.IGNORECASE)
