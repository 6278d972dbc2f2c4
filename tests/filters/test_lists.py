"""Blocked and allowed senders."""

from __future__ import annotations

import pytest

from mailstack.filters.lists import find, is_author_authenticated, judge
from mailstack.model.verdict import Authentication, DkimResult, DmarcResult, SpfResult


@pytest.mark.parametrize(
    ("address", "pattern"),
    [
        ("a@shop.test", "a@shop.test"),
        ("b@shop.test", ""),
        ("b@news.test", "news.test"),
        ("b@mail.news.test", "news.test"),
        ("b@badnews.test", ""),
        ("", ""),
    ],
)
def test_patterns_are_addresses_and_domains_with_what_is_below(address: str, pattern: str) -> None:
    assert find(address, {"a@shop.test", "news.test"}) == pattern


@pytest.mark.parametrize(
    ("blocked", "allowed", "verdict"),
    [
        (set(), set(), ""),
        ({"b.test"}, set(), "blocked"),
        (set(), {"b.test"}, "allowed"),
        ({"b.test"}, {"a@b.test"}, "allowed"),
        ({"a@b.test"}, {"b.test"}, "blocked"),
        ({"a@b.test"}, {"a@b.test"}, "blocked"),
        ({"env.test"}, set(), "blocked"),
        (set(), {"env.test"}, ""),
        ({"b.test"}, {"test"}, "blocked"),
        ({"env.test"}, {"b.test"}, "blocked"),
        ({"env.test"}, {"a@b.test"}, "allowed"),
        ({"x@env.test"}, {"a@b.test"}, "blocked"),
    ],
)
def test_the_exact_address_wins_and_doubt_blocks(blocked: set[str], allowed: set[str], verdict: str) -> None:
    assert judge("a@b.test", "x@env.test", blocked, allowed).kind == verdict


@pytest.mark.parametrize(
    ("blocked", "allowed", "verdict"),
    [
        ({"b.test"}, {"mail.b.test"}, "allowed"),
        ({"mail.b.test"}, {"b.test"}, "blocked"),
        ({"mail.b.test"}, {"a@mail.b.test"}, "allowed"),
    ],
)
def test_a_sub_domain_wins_over_what_is_above_it(blocked: set[str], allowed: set[str], verdict: str) -> None:
    assert judge("a@mail.b.test", "a@mail.b.test", blocked, allowed).kind == verdict


@pytest.mark.parametrize(
    ("found", "is_authenticated"),
    [
        (Authentication(), False),
        (Authentication(dmarc=DmarcResult("pass", "b.test")), True),
        (Authentication(SpfResult("pass", "b.test")), True),
        (Authentication(SpfResult("pass", "other.test")), False),
        (Authentication(SpfResult("softfail", "b.test")), False),
        (Authentication(dkim=(DkimResult("pass", "b.test"),)), True),
        (Authentication(dkim=(DkimResult("fail", "b.test"),)), False),
        (Authentication(dkim=(DkimResult("pass", "test"),)), False),
        (Authentication(SpfResult("pass", "b.test"), dmarc=DmarcResult("fail", "b.test")), False),
        (Authentication(SpfResult("pass", "b.test"), dmarc=DmarcResult("temperror", "b.test")), False),
    ],
)
def test_who_counts_as_authenticated(found: Authentication, is_authenticated: bool) -> None:
    # product page, section 2.5
    assert is_author_authenticated("b.test", found) is is_authenticated
