from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.sieve.glob import MAX_CAPTURES, from_octets, prepare, to_octets
from mailstack.sieve.match import ascii_lower


def match(pattern: str, value: str, *, fold: bool = False) -> tuple[str, ...] | None:
    fold_ = ascii_lower if fold else str
    return prepare(pattern, fold_).match(fold_(value), value, captures=True)


@pytest.mark.parametrize(
    ("pattern", "value", "parts"),
    [
        ("", "", ("",)),
        ("*", "", ("", "")),
        ("?", "", None),
        ("", "a", None),
        ("abc", "abc", ("abc",)),
        ("abc", "abcd", None),
        ("a?c", "abc", ("abc", "b")),
        ("*@*.org", "tim@a.example.org", ("tim@a.example.org", "tim", "a.example")),
        ("*?X", "X", None),
        ("*?", "abc", ("abc", "ab", "c")),
        ("?*", "abc", ("abc", "a", "bc")),
        ("**", "ab", ("ab", "", "ab")),
        ("a*b*c", "aXbYbZc", ("aXbYbZc", "X", "YbZ")),
        ("to *?????????? do *", "to successful do X", ("to successful do X", "", *"successful", "X")),
        ("to *??????????? do *", "to successful do X", None),
        (r"\*\*?", "**a", ("**a", "a")),
        (r"\?\**", "?*", ("?*", "")),
        (r"a\\b", "a\\b", ("a\\b",)),
        (r"a\bc", "abc", ("abc",)),
        ("*slash\\", "Slashy slash\\", ("Slashy slash\\", "Slashy ")),
        # RFC 5229 section 3.2
        ("*<*@*", "Foo <foo@example.org>", ("Foo <foo@example.org>", "Foo ", "foo", "example.org>")),
        ("[*] *", "[acme] [fwd] version 1", ("[acme] [fwd] version 1", "acme", "[fwd] version 1")),
        ("coyote@**.com", "coyote@ACME.Example.com", ("coyote@ACME.Example.com", "", "ACME.Example")),
    ],
)  # fmt: skip
def test_wildcards_take_as_little_as_possible(
    pattern: str, value: str, parts: tuple[str, ...] | None
) -> None:
    assert match(pattern, value) == parts


def test_folding_does_not_change_what_is_captured() -> None:
    assert match("*EXAMPLE?org", "Tim@Example.ORG", fold=True) == ("Tim@Example.ORG", "Tim@", ".")
    assert match("É*", "Éa", fold=True) == ("Éa", "a")
    assert match("é*", "Éa", fold=True) is None  # i;ascii-casemap folds A to Z only


def test_a_question_mark_is_one_octet() -> None:
    # RFC 5228 section 2.7.1
    assert match("caf?", "café") is None
    assert match("caf??", "café") == ("café", "\udcc3", "\udca9")
    assert match("*f??!", "café!") == ("café!", "ca", "\udcc3", "\udca9")
    assert match("é?", "éa") == ("éa", "a")
    assert match(r"é\?", "é?") == ("é?",)


def test_captures_are_bounded() -> None:
    found = match("*" * 1_000, "a" * 100)
    assert found is not None and len(found) == MAX_CAPTURES + 1
    found = match("?" * 1_000, "a" * 1_000)
    assert found is not None and len(found) == MAX_CAPTURES + 1


def test_without_captures_nothing_is_cut() -> None:
    assert prepare("a*", str).match("ab", "ab", captures=False) == ()


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("*a" * 2_000 + "*b", "a" * 100_000),
        ("*a?" * 2_000 + "b", "a" * 100_000),
        ("*" + "a?" * 2_000 + "b*", "a" * 60_000),
        ("*" + "?" * 20_000 + "b*", "a" * 60_000),
        ("?" * 30_000 + "*" + "?" * 30_000 + "b", "a" * 60_000),
        ("*" * 60_000 + "b", "a" * 60_000),
        ("*ab" * 20_000, "ab" * 19_999 + "a"),
    ],
)
def test_hostile_patterns_take_bounded_time(pattern: str, value: str) -> None:
    began = time.process_time()
    assert match(pattern, value) is None
    assert time.process_time() - began < 5


PATTERN = st.text(alphabet="ab*?\\é", max_size=12)
VALUE = st.text(alphabet="abé?*", max_size=12)


def reference(pattern: str) -> re.Pattern[str]:
    """The same pattern for Python's matcher, octet by octet; it backtracks, so only short ones."""
    out, characters = "", iter(to_octets(pattern))
    for c in characters:
        if c == "*":
            out += "(.*?)"
        elif c == "?":
            out += "(.)"
        else:
            out += re.escape(next(characters, "\\") if c == "\\" else c)
    return re.compile(out, re.DOTALL)


@settings(derandomize=True, max_examples=400)
@given(PATTERN, VALUE)
def test_it_finds_what_a_backtracking_matcher_finds(pattern: str, value: str) -> None:
    found = reference(pattern).fullmatch(to_octets(value))
    want = None if found is None else (value, *(from_octets(part) for part in found.groups()))
    assert match(pattern, value) == want
