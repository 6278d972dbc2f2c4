# ruff: noqa: E501 - a table of sentences
from __future__ import annotations

import pytest

from mailstack.sieve import (
    MATCH_TAGS,
    STRING_LIST,
    Arg,
    CommandDef,
    Comparator,
    Extension,
    MatchType,
    Registry,
    Tag,
    compile,  # noqa: A004
)
from mailstack.sieve.scope import Scope
from tests.sieve.kit import errors_of, script_of

AVAILABLE = ", ".join(Scope(Registry.standard()).available())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('if header :all "a" "b" { keep; }', "unknown tagged argument ':all' for the header test (only reported once)"),
        ('if header 45 "b" { keep; }', "the header test expects a string list as argument 1 (header names), but a number was found"),
        ('if header "a" 45 { keep; }', "the header test expects a string list as argument 2 (key list), but a number was found"),
        ('if header "a" :is { keep; }', "found an unexpected tagged argument ':is' while argument 2 (key list) of the header test was expected"),
        ('if header "a" { keep; }', "the header test requires 2 positional arguments, but 1 is specified"),
        ("if header { keep; }", "the header test requires 2 positional arguments, but 0 are specified"),
        ('if header "a" "b" "c" { keep; }', "the header test requires 2 positional arguments, but 3 are specified"),
        ('if header "a" "b" true { keep; }', "the header test accepts no sub-tests, but one is specified"),
        ('header "a" "b";', "attempted to use test 'header' as a command"),
        ("if keep { stop; }", "attempted to use command 'keep' as a test"),
        ('keep "x";', "the keep command accepts no positional arguments, but 1 is specified"),
        ('require "fileinto"; fileinto true;', "the fileinto command requires 1 positional argument, but 0 are specified"),
        ("keep true;", "the keep command accepts no sub-tests, but tests are specified"),
        ("keep { stop; }", "the keep command accepts no block in braces"),
        ("if true;", "the if command requires a block in braces, but has none"),
        ("if { keep; }", "the if command requires one test, but none is specified"),
        ("if (true, false) { keep; }", "the if command requires one test, but a list is specified; use anyof or allof"),
        ("if anyof true { keep; }", "the anyof test requires a list of tests in parentheses"),
        ("else { keep; }", "the else command must follow 'if' or 'elsif'"),
        ("if true { } keep; elsif true { }", "the elsif command must follow 'if' or 'elsif'"),
        ("if true { } else { } elsif true { }", "the elsif command must follow 'if' or 'elsif'"),
        ("if true { } else if true { }", "the else command accepts no sub-tests, but tests are specified; write 'elsif' for 'else if'"),
        ("if if true { }", "attempted to use command 'if' as a test"),
        ("size :over 1K;", "attempted to use test 'size' as a command"),
        ("if size 45 { }", "the size test requires the tag ':over' or ':under', but neither is specified"),
        ("if size :under :over 34 { }", "the tags ':under' and ':over' of the size test exclude each other"),
        ("if size :over :over 34 { }", "the tag ':over' is specified more than once for the size test"),
        ("if size 34M :over { }", "found an unexpected tagged argument ':over' behind the positional arguments of the size test"),
        ("if size { }", "the size test requires 1 positional argument, but 0 are specified"),
        ('if header :comparator 5 "a" "b" { }', "the tag ':comparator' of the header test requires a string as its value, but a number was found"),
        ('if header :comparator "i;frob" "a" "b" { }', "unknown comparator 'i;frob'"),
        ('if header :is :contains "a" "b" { }', "the tags ':is' and ':contains' of the header test exclude each other"),
        ('if address :is "frop" "x" { }', "the header 'frop' is not allowed for the address test"),
        ('redirect "frop";', "redirect: 'frop' is not an e-mail address"),
        ("require 45;", "the require command expects a string list as argument 1 (capabilities), but a number was found"),
        ('require "_frop";', "unknown Sieve capability '_frop'; available: " + AVAILABLE),
        ('require "redirect";', "'redirect' is always there and never required"),
        ('keep; require "fileinto";', "the require command must stand at the beginning of the script"),
        ('if true { require "fileinto"; }', "the require command must stand at the beginning of the script"),
        ("frob;", "unknown command 'frob' (only reported once)"),
        ("keeep;", "unknown command 'keeep'; did you mean 'keep'? (only reported once)"),
        ("if exsits { }", "unknown test 'exsits'; did you mean 'exists'? (only reported once)"),
        ('fileinto "x";', 'the fileinto command is not available: the script must require "fileinto" (only reported once)'),
        ('if envelope "to" "x" { }', 'the envelope test is not available: the script must require "envelope" (only reported once)'),
        ('redirect :copy "a@example.org";', "unknown tagged argument ':copy' for the redirect command; the script must require \"copy\" (only reported once)"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_error_in_plain_words(source: str, message: str) -> None:
    assert [error.partition(" ")[2] for error in errors_of(source)] == [message]


def test_all_mistakes_of_an_if_chain_are_found_once_each() -> None:
    source = """
if "frop" true {}
elsif "frop" true {}
if ["a", "b"] false { stop; }
if true;
if { keep; }
stop;
else { keep; }
stop;
elsif true { keep; }
elsif true { keep; }
else { }
"""
    assert [int(error.split(":")[0]) for error in errors_of(source)] == [2, 3, 4, 5, 6, 8, 10]


def test_a_forgotten_colon_is_named() -> None:
    assert errors_of('if address matches "from" "*frop*" { stop; }') == [
        "1:4 the address test requires 2 positional arguments, but 0 are specified",
        "1:12 missing colon ':' before 'matches' tag for the address test",
    ]


def test_an_unknown_require_is_one_error_and_not_followed_by_others() -> None:
    source = """require ["fileinto", "vnd.frob"];
frob "x";
if frob_test :strange "a" { frob; }
fileinto :frob 5 "x";
if header :frobbed "a" "b" { keep; }
if header :comparator "i;frob" "a" "b" { keep; }
fileinto "y";
"""
    assert errors_of(source) == ["1:22 unknown Sieve capability 'vnd.frob'; available: " + AVAILABLE]


def test_other_mistakes_beside_an_unknown_require_are_still_found() -> None:
    assert [error.split()[0] for error in errors_of('require "vnd.frob";\nkeep "x";\nfrob;\nredirect;')] == [
        "1:9",
        "2:6",
        "4:1",
    ]


def test_an_unknown_capability_is_reported_wherever_it_is_required() -> None:
    assert errors_of('require ["a"]; require "a"; if true { require "b"; }') == [
        "1:10 unknown Sieve capability 'a'; available: " + AVAILABLE,
        "1:24 unknown Sieve capability 'a'; available: " + AVAILABLE,
        "1:39 the require command must stand at the beginning of the script",
    ]


def test_several_unknown_requires_are_an_error_each() -> None:
    assert len(errors_of('require ["a", "b"];\nrequire "c";')) == 3


def test_an_unknown_name_is_reported_once() -> None:
    assert len(errors_of("frob; frob; if frob { frob; }")) == 2  # once as a command, once as a test


def test_names_and_tags_are_not_case_sensitive_but_capabilities_are() -> None:
    # RFC 5228 sections 2.1 and 6
    script_of('REQUIRE "fileinto"; IF HEADER :CONTAINS "a" "b" { FileInto "x"; }')
    assert errors_of('require "FileInto";')[0].startswith("1:9 unknown Sieve capability 'FileInto'")


def test_tags_may_stand_in_any_order_before_positional_arguments() -> None:
    script_of('if address :comparator "i;octet" :localpart :is "from" ["a", "b"] { keep; }')
    script_of('if address :is :localpart :comparator "i;octet" ["from", "to"] "a" { keep; }')


def test_comparators_of_the_base_language_may_be_required() -> None:
    # RFC 5228 section 6.1
    script_of('require ["comparator-i;octet", "comparator-i;ascii-casemap"];')


def test_a_comparator_without_substrings_is_refused_with_contains_and_matches() -> None:
    registry = Registry.standard()
    numeric = Comparator("i;ascii-numeric", lambda text: text if text.isdigit() else None, substring=False)
    registry.register(Extension("comparator-i;ascii-numeric", comparators=[numeric]))
    head = 'require "comparator-i;ascii-numeric";'
    test = 'if header :contains :comparator "i;ascii-numeric" "a" "1" { keep; }'
    assert "cannot be used with :contains" in errors_of(head + test, registry=registry)[0]
    script_of(head + test.replace(":contains", ":is"), registry=registry)
    assert 'must require "comparator-i;ascii-numeric"' in errors_of(test, registry=registry)[0]


def test_impossible_header_names_are_warned_of() -> None:
    # RFC 5228 section 2.4.2.2: MUST NOT be an error.
    result = compile('if anyof (header "from:" "x", exists "a b", address "from:" "x") { keep; }')
    assert result.ok and [warning.column for warning in result.warnings] == [18, 38, 53]


@pytest.mark.parametrize(
    "address",
    ["@wrong.example.com", "error", "error@", "Tim error@example.org", "Tim <error@example.org", "@", "<>",
     "Tim <", "Tim <tim", "Tim <tim@", "a@example.org,b@example.net", " more error @ example.com "],
)  # fmt: skip
def test_what_is_no_address_cannot_be_redirected_to(address: str) -> None:
    assert "is not an e-mail address" in errors_of(f'redirect "{address}";')[0]


@pytest.mark.parametrize("name", ["", "  ", "a\tb", "${hex: ff}rop", "${hex:00}"])
def test_impossible_mailbox_names_are_refused(name: str) -> None:
    assert "mailbox" in errors_of(f'require ["fileinto", "encoded-character"]; fileinto "{name}";')[0]


def test_errors_are_in_the_order_of_the_source() -> None:
    source = 'frob;\nkeep $;\nheader "a" "b";\nkeep ];\n'
    assert [error.split(":")[0] for error in errors_of(source)] == ["1", "2", "3", "4"]


def test_a_check_that_fails_is_an_error_and_no_traceback() -> None:
    def validate(node: object, vctx: object) -> None:
        raise KeyError("oops")

    registry = Registry.standard()
    registry.register(Extension("x", commands=[CommandDef("frob", "action", validate=validate)]))
    found = errors_of('require "x"; frob;', registry=registry)
    assert found == ["1:14 the frob command could not be checked: KeyError: 'oops'"]


def test_a_tag_may_need_another_and_a_match_type_may_check_its_keys() -> None:
    match_type = MatchType(
        ":odd", lambda keys, want: lambda values, ctx: (), check=lambda keys, argument: f"bad {keys}"
    )
    registry = Registry.standard()
    test = CommandDef(
        "frob",
        "test",
        [Arg("keys", STRING_LIST)],
        [MATCH_TAGS, Tag(":last", requires=":index"), Tag(":index")],
    )
    registry.register(Extension("x", tests=[test], match_types=[match_type]))
    assert errors_of('require "x"; if frob :last "k" { }', registry=registry) == [
        "1:22 the tag ':last' of the frob test requires the tag ':index' too"
    ]
    assert errors_of('require "x"; if frob :odd "k" { }', registry=registry) == ["1:27 bad ['k']"]


def test_optional_arguments_fill_from_the_left() -> None:
    seen: list[object] = []
    command = CommandDef(
        "frob",
        "action",
        [Arg("variable", "string", optional=True), Arg("flags", "string-list")],  # type: ignore[arg-type]
        run=lambda ctx, args, block: seen.append((args["variable"], args["flags"])),
    )
    registry = Registry.standard()
    registry.register(Extension("x", commands=[command]))
    from tests.sieve.kit import context_of, run_in

    assert run_in('require "x"; frob "a"; frob "v" ["a", "b"];', context_of(), registry).ok
    assert seen == [(None, ("a",)), ("v", ("a", "b"))]
    assert "requires 1 to 2 positional arguments" in errors_of('require "x"; frob;', registry=registry)[0]
