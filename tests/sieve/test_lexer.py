from __future__ import annotations

import pytest

from mailstack.sieve.lexer import MAX_NUMBER, Kind, Lexer, Token, decode, first_mixed_line_end, place


def scan(text: str, max_string_octets: int = 65_536) -> tuple[list[Token], list[str]]:
    said: list[str] = []
    tokens = list(
        Lexer(text, lambda pos, message: said.append(f"{pos[0]}:{pos[1]} {message}"), max_string_octets)
    )
    assert tokens.pop().kind is Kind.END
    return tokens, said


def values(text: str) -> list[str]:
    tokens, said = scan(text)
    assert not said
    return [token.value for token in tokens]


def test_an_unclosed_string_is_reported_where_it_begins() -> None:
    assert scan('keep;\n  redirect "oops;\nstop;')[1] == [
        '2:12 the string that begins here is never closed by "'
    ]


def test_an_unclosed_comment_is_reported_where_it_begins() -> None:
    assert scan("keep; /* oops")[1] == ["1:7 the comment that begins here is never closed by */"]


def test_an_unended_multi_line_string_is_reported_where_it_begins() -> None:
    assert "1:8 the multi-line string" in scan("reject text:\nabc\n..\n")[1][0]


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("0", 0),
        ("10", 10),
        ("1K", 1024),
        ("2k", 2048),
        ("1M", 1 << 20),
        ("1G", 1 << 30),
        (str(MAX_NUMBER), MAX_NUMBER),
    ],
)
def test_numbers_have_quantifiers_that_are_powers_of_two(word: str, number: int) -> None:
    # RFC 5228 section 2.4.1
    tokens, said = scan(word)
    assert (tokens[0].kind, tokens[0].number, said) == (Kind.NUMBER, number, [])


@pytest.mark.parametrize("word", [str(MAX_NUMBER + 1), "17179869184G", "9" * 200_000])
def test_a_number_too_large_is_one_error_and_not_slow(word: str) -> None:
    tokens, said = scan(f"size {word}")
    assert len(said) == 1 and "is larger than" in said[0] and len(tokens) == 2


@pytest.mark.parametrize("word", ["10x", "1KB", "3_"])
def test_a_number_with_letters_behind_it_is_no_number(word: str) -> None:
    tokens, said = scan(word)
    assert len(said) == 1 and "is not a number" in said[0] and len(tokens) == 1


def test_escapes_other_than_quote_and_backslash_are_the_bare_character() -> None:
    # RFC 5228 section 2.4.2
    assert values(r'"a\"b\\c\de"') == [r'a"b\cde']


def test_a_string_may_span_lines_and_holds_crlf_then() -> None:
    assert values('"a\nb\r\nc"') == ["a\r\nb\r\nc"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_multi_line_string_is_unstuffed(end: str) -> None:
    source = end.join(["text: # a comment", "one", "..two", ".three", "...four", ".", ";"])
    # RFC 5228 section 2.4.2: ".three" is not dot-stuffed and stays as it is.
    assert values(source)[0] == "one\r\n.two\r\n.three\r\n..four\r\n"


def test_a_multi_line_string_may_be_empty_or_end_with_the_script() -> None:
    assert values("text:\n.\n") == [""]
    assert values("TEXT:\nx\n.") == ["x\r\n"]


def test_text_and_a_colon_need_a_line_end() -> None:
    tokens, _ = scan('text: "x"')
    assert tokens[0].kind is Kind.GARBAGE


def test_names_and_tags_are_lower_case_and_strings_are_not() -> None:
    assert values('KEEP :Over "Ab"') == ["keep", "over", "Ab"]


def test_comments_are_white_space() -> None:
    assert values("keep/* a * / b **/;# end\nstop # no line end") == ["keep", ";", "stop"]


def test_positions_count_lines_and_characters() -> None:
    tokens, _ = scan('keep;\r\n "é\n" stop')
    assert [token.pos for token in tokens] == [(1, 1), (1, 5), (2, 2), (3, 3)]
    assert tokens[2].end == (3, 2)


def test_a_string_of_the_limit_is_taken_and_one_octet_more_is_not() -> None:
    assert scan('"éé"', 4)[1] == []
    assert scan('"ééx"', 4)[1] == ["1:1 the string is longer than 4 octets"]


@pytest.mark.parametrize(
    ("source", "where", "word"),
    [
        (b"keep;\nkeep; # \xff\n", (2, 9), "UTF-8"),
        (b"\xef\xbb\xbfkeep;", (1, 1), "byte order mark"),
        (b"keep;\n\0", (2, 1), "NUL"),
        (b"keep;\rkeep;", (1, 6), "carriage return"),
        ("keep; # \udcff", (1, 1), "UTF-8"),
    ],
    ids=["utf-8", "bom", "nul", "cr", "surrogate"],
)
def test_what_may_never_stand_in_a_script_is_reported(
    source: bytes | str, where: tuple[int, int], word: str
) -> None:
    said: list[tuple[tuple[int, int], str]] = []
    decode(source, lambda pos, message: said.append((pos, message)))
    assert len(said) == 1 and said[0][0] == where and word in said[0][1]


def test_mixed_line_ends_are_found() -> None:
    assert first_mixed_line_end("a\nb\nc") is None
    assert first_mixed_line_end("a\r\nb\r\n") is None
    assert first_mixed_line_end("no line end") is None
    assert first_mixed_line_end("a\r\nb\nc") == (2, 2)
    assert first_mixed_line_end("a\nb\r\nc") == (2, 2)


def test_place_counts_from_one() -> None:
    assert place("", 0) == (1, 1)
    assert place("ab\ncd", 4) == (2, 2)


@pytest.mark.parametrize(
    "text", ['"' + "\\" * 100_001, '"' + "a" * 200_000, "/*" * 100_000, "text:" * 50_000]
)
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    scan(text, 1 << 30)
