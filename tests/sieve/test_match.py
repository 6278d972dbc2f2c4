from __future__ import annotations

import pytest

from mailstack.sieve import Context, LimitReached, Limits
from mailstack.sieve.match import (
    ASCII_CASEMAP,
    CONTAINS,
    IS,
    MATCHES,
    OCTET,
    BoundMatcher,
    Matcher,
    MatchType,
    Want,
    ascii_lower,
)


def bound(match_type: MatchType, *, comparator: object = ASCII_CASEMAP, **limits: int) -> BoundMatcher:
    want = Want(comparator, captures=True)  # type: ignore[arg-type]
    return BoundMatcher(Matcher(match_type, want), Context(limits=Limits(**limits)))


def test_only_a_to_z_are_folded() -> None:
    assert ascii_lower("AZÄİẞ\udcff") == "azÄİẞ\udcff"


def test_the_empty_key_is_contained_in_all_values_and_is_only_the_empty_one() -> None:
    # RFC 5228 section 2.7.1
    assert bound(CONTAINS).match(["frobnitzm"], [""])
    assert not bound(IS).match(["frobnitzm"], [""])
    assert bound(IS).match([""], [""])


@pytest.mark.parametrize("match_type", [IS, CONTAINS, MATCHES])
def test_no_values_or_no_keys_never_match(match_type: MatchType) -> None:
    assert not bound(match_type).match([], ["", "*"])
    assert not bound(match_type).match(["", "a"], [])


def test_any_value_with_any_key_is_enough() -> None:
    for match_type in (IS, CONTAINS, MATCHES):
        assert bound(match_type).match(iter(["x", "b"]), ["a", "b"])


def test_octet_compares_octets() -> None:
    assert bound(IS, comparator=OCTET).match(["a\udcff"], ["a\udcff"])
    assert not bound(IS, comparator=OCTET).match(["A"], ["a"])


def test_keys_in_a_list_may_change_between_calls() -> None:
    matcher, keys = bound(IS), ["a"]
    assert matcher.match(["a"], keys)
    keys[0] = "b"
    assert not matcher.match(["a"], keys)


def test_prepared_keys_of_a_tuple_are_reused() -> None:
    prepared: list[object] = []

    def prepare(keys: object, want: object) -> object:
        prepared.append(keys)
        return lambda values, context: ()

    matcher = Matcher(MatchType(":x", prepare), Want(OCTET))  # type: ignore[arg-type]
    keys = ("a",)
    for _ in range(3):
        matcher.matching(keys)
    assert len(prepared) == 1
    matcher.matching(tuple(["b"]))
    assert len(prepared) == 2


def test_numbered_variables_are_set_by_a_match_with_parts_only() -> None:
    context = Context()
    matcher = BoundMatcher(Matcher(MATCHES, Want(ASCII_CASEMAP, captures=True)), context)
    assert matcher.match(["abc"], ["a*"]) and context.variables.match(1) == "bc"
    assert not matcher.match(["abc"], ["x*"]) and context.variables.match(1) == "bc"
    assert BoundMatcher(Matcher(IS, Want(OCTET, captures=True)), context).match(["x"], ["x"])
    assert context.variables.match(1) == "bc"


def test_comparing_long_texts_is_paid_for() -> None:
    values = ["a" * 60_000] * 1_000
    keys = [f"*{n}b*" for n in range(100)]
    for match_type in (CONTAINS, MATCHES):
        with pytest.raises(LimitReached):
            bound(match_type, max_steps=10_000).match(values, keys)


def test_the_matcher_says_what_it_is() -> None:
    assert (bound(CONTAINS).match_type, bound(CONTAINS).comparator.name) == (":contains", "i;ascii-casemap")
