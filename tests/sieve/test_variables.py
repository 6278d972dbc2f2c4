from __future__ import annotations

import time

import pytest

from mailstack.sieve import Context, LimitReached, Limits, Variables
from mailstack.sieve.variables import cut, has_references, parse


def expand(text: str, **values: str) -> str:
    context = Context(variables=Variables(values))
    context.variables.set_match(["all", "one", "two"])
    return parse(text, {"env": lambda ctx, name: name.upper()}).expand(context)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        # RFC 5229 section 3
        ("&%${}!", "&%${}!"),
        ("${doh!}", "${doh!}"),
        ("${full}", ""),
        ("${company}", "ACME"),
        ("${COMPANY}", "ACME"),
        ("${BAD${Company}", "${BADACME"),
        ("${President, ${Company} Inc.}", "${President, ACME Inc.}"),
        ("${0.s}", "${0.s}"),
        ("${s}{company}", "${company}"),
        ("${0}-${1}-${2}-${3}", "all-one-two-"),
        ("${0001}", "one"),
        ("${99999999999999999999}", ""),
        ("${env.host}${ENV.a.b}", "HOSTA.B"),
        ("$", "$"),
        ("${", "${"),
        ("${a", "${a"),
    ],
)
def test_references(text: str, want: str) -> None:
    assert expand(text, company="ACME", s="$") == want
    assert has_references(text) == (expand(text, company="ACME", s="$") != text)


def test_values_are_cut_between_characters() -> None:
    assert cut("a" * 5, 4) == "aaaa"
    assert cut("éé", 3) == "é" and cut("éé", 4) == "éé"
    assert cut("a\udcff", 1) == "a" and cut("x", 0) == ""


def test_a_value_of_the_limit_is_kept_whole() -> None:
    variables = Variables()
    variables.set("A", "x" * 4096)
    variables.set("b", "x" * 4097)
    assert len(variables.get("a")) == len(variables.get("B")) == 4096


def test_the_number_of_variables_is_bounded() -> None:
    variables = Variables(limits=Limits(max_variables=2))
    for name in ("a", "b", "A", "b"):
        variables.set(name, "x")
    with pytest.raises(LimitReached):
        variables.set("c", "x")


def test_an_expanded_string_is_bounded() -> None:
    context = Context(variables=Variables({"a": "x" * 4096}))
    assert len(parse("${a}" * 1_000, {}).expand(context)) == 65_536


@pytest.mark.parametrize("text", ["${" * 30_000, "${a." * 15_000, "${a" + ".b" * 30_000, "${" + "1" * 60_000])
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    began = time.process_time()
    expand(text)
    assert time.process_time() - began < 5
