"""Variables, and what makes and compares them: RFC 5229, 5231, 4790, 5051 and the regex draft."""

from __future__ import annotations

import pytest

from mailstack.sieve import Context, Limits
from tests.sieve.kit import context_of, errors_of, names_of, run_in, truth

TEXT = "juMBlEd lETteRS"


def value_of(source: str, name: str, *, require: str = "", **options: object) -> str:
    """A variable after a script has run."""
    context = context_of(**options)  # type: ignore[arg-type]
    outcome = run_in(f'require ["variables"{require}];\n{source}', context)
    assert outcome.ok, outcome.errors
    return context.variables.get(name)


@pytest.mark.parametrize(
    ("statement", "want"),
    [
        ('set "b" "${a}";', TEXT),
        ('set :length "b" "${a}";', "15"),
        ('set :lower "b" "${a}";', "jumbled letters"),
        ('set :upper "b" "${a}";', "JUMBLED LETTERS"),
        ('set :upperfirst "b" "${a}";', "JuMBlEd lETteRS"),
        ('set :lowerfirst "b" "XYZ";', "xYZ"),
        ('set :upperfirst :lower "b" "${a}";', "Jumbled letters"),
        ('set :lower :upperfirst "b" "${a}";', "Jumbled letters"),
        ('set :quotewildcard "b" "Rock*";', r"Rock\*"),
        ('set :quotewildcard :length "b" "a*?";', "5"),
        ('set :length "b" "naïve";', "5"),
        ('set :upper "b" "naïve";', "NAïVE"),
    ],
)
def test_modifiers_apply_in_the_order_of_their_precedence(statement: str, want: str) -> None:
    # RFC 5229 section 4.1
    assert value_of(f'set "a" "{TEXT}"; {statement}', "b") == want


def test_the_example_of_expansion() -> None:
    # RFC 5229 section 3
    source = """
        set "company" "ACME";
        set "b" "${company}&c ${President, ACME Inc.} ${full} & Co.";
        set "n" "${Company}";
    """
    assert value_of(source, "b") == "ACME&c ${President, ACME Inc.}  & Co."
    assert value_of(source, "n") == "ACME"


def test_match_variables_hold_what_the_wildcards_stood_for() -> None:
    # RFC 5229 section 3.2
    mail = b"Subject: [acme-users] [fwd] version 1.0 is out\r\nList-ID: Acme Users <acme@example.org>\r\n\r\n"
    source = """
        if header :matches "List-ID" "*<*@*" { set "list" "${2}"; }
        if header :matches "Subject" "[*] *" { set "prefix" "${1}"; set "rest" "${2}"; set "all" "${0}"; }
        if header :matches "Subject" "nothing" { set "never" "x"; }
        set "still" "${1}"; set "beyond" "${3}";
    """
    values = {
        name: value_of(source, name, mail=mail) for name in ("list", "prefix", "rest", "still", "beyond")
    }
    assert values == {
        "list": "acme",
        "prefix": "acme-users",
        "rest": "[fwd] version 1.0 is out",
        "still": "acme-users",
        "beyond": "",
    }


def test_the_string_test_sees_what_the_script_put_together() -> None:
    # RFC 5229 section 5
    assert value_of(
        'set "state" "pending"; if string :matches " ${state} " "* pending *" { set "r" "y"; }', "r"
    ) == ("y")
    for count, texts in ((0, '""'), (1, '"x"'), (2, '["x", "", "y"]')):
        test = f'string :count "eq" :comparator "i;ascii-numeric" {texts} "{count}"'
        assert truth(test, require='"variables", "relational", "comparator-i;ascii-numeric"')


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('set "a b" "x";', "2:5 set: 'a b' is not the name of a variable"),
        ('set "0" "x";', "2:5 set: '0' is not the name of a variable"),
        ('set "x.y" "z";', "2:5 set: unknown variable namespace 'x'"),
        (
            'set :lower :upper "a" "x";',
            "2:12 the tags ':lower' and ':upper' of the set command exclude each other",
        ),
        ('set "a" "${33}";', "2:9 there are no match variables beyond ${32}"),
        (f'set "{"a" * 65}" "x";', "2:5 set: the name of a variable has at most 64 characters"),
    ],
)
def test_mistakes_are_found_when_the_script_is_compiled(source: str, message: str) -> None:
    assert errors_of(f'require "variables";\n{source}') == [message]


def test_more_variables_than_the_limit_are_one_mistake() -> None:
    source = 'require "variables";' + "".join(f'set "v{n}" "x";' for n in range(130))
    assert len(errors_of(source)) == 1


def test_a_value_that_grows_is_cut_not_refused() -> None:
    # V12
    doubling = 'set "a" "0123456789abcdef";' + 'set "a" "${a}${a}";' * 40
    assert len(value_of(doubling, "a")) == Limits().max_value_octets


def test_escapes_are_cut_whole() -> None:
    limits = Limits(max_value_octets=5)
    assert value_of('set :quotewildcard "a" "***";', "a", limits=limits) == r"\*\*"
    assert value_of('set :encodeurl "a" "@@";', "a", require=', "enotify"', limits=limits) == "%40"


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ('header :value "gt" "x-n" "9"', True),
        ('header :value "gt" "x-n" "010"', False),
        ('header :value "ge" "x-n" "010"', True),
        ('header :value "lt" "x-n" "word"', True),
        ('header :value "eq" "x-word" "other"', True),
        ('header :value "ne" "x-n" "11"', True),
        ('header :count "eq" "received" "3"', True),
        ('header :count "lt" ["received", "x-n"] "4"', False),
        ('address :count "ge" "to" "2"', True),
    ],
)
def test_relations_of_numbers(test: str, holds: bool) -> None:
    # RFC 5231 section 4; RFC 4790 section 9.1: what is no number is above all numbers
    mail = b"Received: a\r\n" * 3 + b"X-N: 10 apples\r\nX-Word: x\r\nTo: a@b.example, c@d.example\r\n\r\n"
    numeric = test
    for relation in ("gt", "ge", "lt", "eq", "ne"):
        numeric = numeric.replace(f' "{relation}"', f' "{relation}" :comparator "i;ascii-numeric"', 1)
    assert truth(numeric, mail, require='"relational", "comparator-i;ascii-numeric"') is holds


def test_numbers_of_a_million_digits_are_compared() -> None:
    mail = b"X-N: " + b"9" * 60_000 + b"\r\n\r\n"
    test = 'header :value "gt" :comparator "i;ascii-numeric" "x-n" "12"'
    assert truth(test, mail, require='"relational", "comparator-i;ascii-numeric"')


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        (':is "STRASSE ÉTÉ"', True),
        (':is "STRASSE éte\u0301"', True),
        (':contains "ÉT"', True),
        (':matches "*ét?"', True),
        (':matches "??????? ???"', True),
        (':is "strasse ete"', False),
    ],
)
def test_unicode_is_compared_without_case(test: str, holds: bool) -> None:
    # RFC 5051
    mail = "Subject: Strasse été\r\n\r\n".encode()
    comparator = ':comparator "i;unicode-casemap"'
    tag, _, key = test.partition(" ")
    assert (
        truth(f'header {tag} {comparator} "subject" {key}', mail, require='"comparator-i;unicode-casemap"')
        is holds
    )


def test_wildcards_under_unicode_give_the_text_as_it_stands() -> None:
    mail = "Subject: ﬁne Été\r\n\r\n".encode()
    test = 'header :matches :comparator "i;unicode-casemap" "subject" "* é*"'
    source = f'if {test} {{ set "a" "${{1}}"; set "b" "${{2}}"; }}'
    assert value_of(source, "a", mail=mail) == "ﬁne" and value_of(source, "b", mail=mail) == "té"


@pytest.mark.parametrize(
    ("pattern", "holds"),
    [
        ("^make .*!$", True),
        ("m(a|o)ney", True),
        ("(a+)+$", False),
        (r"\\bfast\\b", True),
        ("[[:digit:]]", False),
    ],
)
def test_regular_expressions(pattern: str, holds: bool) -> None:
    assert truth(f'header :regex "subject" "{pattern}"', require='"regex"') is holds


def test_a_pattern_that_would_backtrack_for_ever_takes_no_time() -> None:
    # V2
    mail = b"Subject: " + b"a" * 60_000 + b"!\r\n\r\n"
    assert not truth('header :regex "subject" "(a+)+$"', mail, require='"regex"')


def test_a_wrong_pattern_is_found_at_once_or_matches_nothing() -> None:
    assert (
        "invalid regular expression '['"
        in errors_of('require "regex"; if header :regex "a" "[" { keep; }')[0]
    )
    source = 'require ["regex", "variables"]; set "p" "["; if header :regex "subject" "${p}" { discard; }'
    context = context_of()
    outcome = run_in(source, context)
    assert outcome.ok and len(outcome.errors) == 1 and outcome.implicit_keep


def test_groups_become_match_variables() -> None:
    # draft-ietf-sieve-regex, section 3
    source = 'if header :regex "subject" "^(make) ([a-z]+)( not)?" { set "r" "${2}-${1}-${3}"; }'
    assert value_of(source, "r", require=', "regex"') == "Money-Make-"
    assert value_of('set :quoteregex "r" "a.b*";', "r", require=', "regex"') == r"a\.b\*"


def test_steps_count_for_long_values() -> None:
    context: Context = context_of(b"Subject: " + b"x" * 60_000 + b"\r\n\r\n", limits=Limits(max_steps=1_000))
    source = 'require "regex";' + 'if header :regex "subject" "y+z" { keep; }' * 4
    assert not run_in(source, context).ok and names_of("keep;") == ["keep"]
