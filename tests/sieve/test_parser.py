from __future__ import annotations

import pytest

from tests.sieve.kit import errors_of, names_of, script_of


def test_it_goes_on_with_the_next_statement_after_each_mistake() -> None:
    source = 'keep;\nredirect $$$;\ndiscard;\nif true keep;\nstop;\nkeep "x" ];\nkeep;\n'
    assert [error.split()[0] for error in errors_of(source)] == ["2:10", "4:9", "6:10"]


def test_one_mistake_is_one_error() -> None:
    assert errors_of("if true keep;") == [
        "1:9 expected a block in braces, but found the keep command without them"
    ]
    assert errors_of("keep;\nkeep $;\nkeep;") == [
        "2:6 expected ';' or a block after the keep command, but found unknown characters '$'"
    ]


def test_a_block_behind_a_broken_head_is_still_read() -> None:
    source = "if anyof(true,, false) {\n  frob;\n}\nkeep $;\n"
    assert [error.split()[0] for error in errors_of(source)] == ["1:15", "2:3", "4:6"]


def test_a_missing_semicolon_is_reported_where_it_belongs() -> None:
    assert errors_of('keep\nredirect "a@example.org";\ndiscard\nstop;\n') == [
        "1:5 missing semicolon after the keep command",
        "3:8 missing semicolon after the discard command",
    ]


def test_a_missing_semicolon_hides_nothing_behind_it() -> None:
    assert errors_of('keep\nif true { frob; }\nelse { redirect "x"; }') == [
        "1:5 missing semicolon after the keep command",
        "2:11 unknown command 'frob' (only reported once)",
        "3:17 redirect: 'x' is not an e-mail address",
    ]


@pytest.mark.parametrize("tail", ["", " ", "\n# end\n"])
def test_a_missing_semicolon_at_the_end_is_reported(tail: str) -> None:
    assert errors_of(f"if true {{ keep{tail}}}") == ["1:15 missing semicolon after the keep command"]
    assert errors_of("keep" + tail.rstrip("}")) == ["1:5 missing semicolon after the keep command"]


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("if true { keep;", "1:9"),
        ("if true { if false { keep;", "1:20"),
        ("keep; }", "1:7"),
        ("; keep;", "1:1"),
        ('header "a"', "1:1"),
        ("if anyof(true, ) { keep; }", "1:16"),
        ("if anyof(true { keep; }", "1:15"),
        ("if anyof() { keep; }", "1:10"),
        ('if exists ["a", ] { keep; }', "1:17"),
        ("redirect [];", "1:11"),
        ("redirect [1];", "1:11"),
        ('"a" keep;', "1:1"),
        ("keep, keep;", "1:5"),
        (": keep;", "1:1"),
        ("keep :;", "1:6"),
    ],
)
def test_grammar_mistakes_are_found(source: str, where: str) -> None:
    found = errors_of(source)
    assert found[0].startswith(where + " "), found


def test_an_unclosed_string_is_one_error_whatever_is_open() -> None:
    assert errors_of('if true { if true { redirect "oops; } }') == [
        '1:30 the string that begins here is never closed by "'
    ]


def test_an_unclosed_comment_is_one_error_with_blocks_open() -> None:
    assert errors_of("if true { keep; /* }")[0].startswith("1:17 the comment")


def nested_blocks(depth: int) -> str:
    return "if true {\n" * depth + "keep;" + "\n}" * depth


def nested_tests(depth: int) -> str:
    return "if " + "not " * (depth - 1) + "true { keep; }"


def test_blocks_nest_32_deep_and_not_33() -> None:
    # RFC 5228 section 2.10.7 wants 15.
    script_of(nested_blocks(32))
    assert errors_of(nested_blocks(33)) == ["33:9 blocks are nested more than 32 levels deep"]
    assert names_of(nested_blocks(32)) == ["keep"]


def test_tests_nest_32_deep_and_not_33() -> None:
    script_of(nested_tests(32))
    assert errors_of(nested_tests(33)) == [f"1:{4 + 32 * 4} tests are nested more than 32 levels deep"]
    assert errors_of("if " + "anyof(" * 33 + "true" + ")" * 33 + " { keep; }")[0].endswith("32 levels deep")


def test_absurd_nesting_is_one_error_and_no_recursion() -> None:
    for mark in ("if true {", "if not ", "if anyof(", "if anyof(not "):
        assert len(errors_of(mark * 20_000)) <= 25
    assert errors_of(nested_blocks(5_000))[0].endswith("32 levels deep")


def test_errors_stop_at_25() -> None:
    assert len(errors_of("$;\n" * 24)) == 24
    assert len(errors_of("$;\n" * 25)) == 25
    found = errors_of("$;\n" * 1_000)
    assert len(found) == 25 and found[-1].startswith("25:1 ")


def test_commands_are_bounded() -> None:
    script_of("keep;\n" * 5_000)
    assert errors_of("keep;\n" * 5_001) == ["5001:1 the script has more than 5000 commands"]


def test_tests_are_bounded() -> None:
    def script(count: int) -> str:
        return "if anyof(" + "true,\n" * (count - 2) + "true) { keep; }"

    script_of(script(5_000))
    assert errors_of(script(10_001)) == ["5000:1 the script has more than 5000 tests"]


def test_an_empty_script_is_a_script() -> None:
    assert names_of("") == ["implicit"]
    assert names_of("# nothing\n/* here */") == ["implicit"]
