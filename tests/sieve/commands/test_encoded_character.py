from __future__ import annotations

import pytest

from mailstack.sieve.commands.encoded_character import decode
from tests.sieve.kit import errors_of, truth


@pytest.mark.parametrize(
    ("text", "want"),
    [
        # RFC 5228 section 2.4.2.4
        ("$${hex:40}", "$@"),
        ("${hex: 40 }", "@"),
        ("${HEX: 40}", "@"),
        ("${hex:40", "${hex:40"),
        ("${hex:400}", "${hex:400}"),
        ("${hex:4${hex:30}}", "${hex:40}"),
        ("${unicode:40}", "@"),
        ("${ unicode:40}", "${ unicode:40}"),
        ("${UNICODE:40}", "@"),
        ("${UnICoDE:0000040}", "@"),
        ("${Unicode:40}", "@"),
        ("${Unicode:Cool}", "${Unicode:Cool}"),
        ("$${hex:24 24}", "$$$"),
        ("${hex:42 61\r\n 64}${hex: 61 73 73}", "Badass"),
        ("${hex:}${unicode:}${hex:sss}${:}${", "${hex:}${unicode:}${hex:sss}${:}${"),
        ("${hex:c3 a9}${hex:c3}${hex:a9}", "éé"),
        ("${hex:ff}", "\udcff"),
        ("${unicode:1F600 20}x", "😀 x"),
        ("${hex:0d 0a}", "\r\n"),
    ],
)
def test_sequences_are_replaced(text: str, want: str) -> None:
    assert decode(text, lambda error: pytest.fail(error)) == want


@pytest.mark.parametrize("code", ["200000", "DF01", "D800", "DFFF", "110000", "333333333", "3" * 100_000])
def test_characters_that_do_not_exist_are_errors(code: str) -> None:
    said: list[str] = []
    decode(f"${{unicode:{code}}}", said.append)
    assert len(said) == 1
    decode(f"${{unicode:{code}", lambda error: pytest.fail(error))


def test_errors_have_the_place_of_the_string() -> None:
    source = (
        'require ["encoded-character", "fileinto"];\nfileinto "a${unicode:DF01}";\nfileinto "${unicode:DF01";'
    )
    assert errors_of(source) == ["2:10 there is no Unicode character U+DF01"]


def test_nothing_is_replaced_without_require() -> None:
    mail = b"Subject: $${hex:24 24}\r\n\r\n"
    assert truth('header "subject" "$${hex:24 24}"', mail)
    assert truth('header "subject" "$$$"', b"Subject: $$$\r\n\r\n", require='"encoded-character"')
    assert truth('header "subject" "$${hex:24 24}"', b"Subject: $$$\r\n\r\n", require='"encoded-character"')


@pytest.mark.parametrize(
    "text", ["${hex:" + "40 " * 30_000, "${hex:" * 30_000, "${unicode:" + "4" * 60_000, "$" * 60_000]
)
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    assert decode(text, lambda error: None) == text
