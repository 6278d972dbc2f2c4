"""The tests of the base language, with the examples of RFC 5228."""

from __future__ import annotations

import pytest

from tests.sieve.kit import context_of, run_in, truth

COYOTE = b"From: coyote@desert.example.org\r\nSubject: I have a present for you\r\n\r\nx"


@pytest.mark.parametrize(
    ("test", "want"),
    [
        ("true", True),
        ("false", False),
        ("not false", True),
        ("not not false", False),
        # RFC 5228 sections 5.2 and 5.3
        ("allof (false, false)", False),
        ("allof (false, true)", False),
        ("allof (true, true)", True),
        ("anyof (false, false)", False),
        ("anyof (false, true)", True),
        ("anyof (true, true)", True),
        ("allof (true)", True),
        ("anyof (false)", False),
        ("allof (anyof (false, true), not false, anyof (true, false))", True),
    ],
)
def test_logic(test: str, want: bool) -> None:
    assert truth(test) == want


def test_logic_stops_as_soon_as_the_answer_is_known() -> None:
    context = context_of()
    run_in("if anyof (true, false, false) { } if allof (false, true, true) { }", context)
    assert context.steps == 6


@pytest.mark.parametrize(
    ("test", "want"),
    [
        # RFC 5228 section 5.7
        ('header :is "X-Caffeine" ""', False),
        ('header :contains "X-Caffeine" ""', True),
        ('header :contains "X-Nothing" ""', False),
        ('header :is "X-Empty" ""', True),
        ('header :matches "X-Empty" "?*"', False),
        ('header :matches "Cc" "?*"', False),
        ('header :matches "Subject" "?*"', True),
        ('header "subject" "make money fast!"', True),
        ('header "subject" "make money"', False),
        ('header :comparator "i;octet" "subject" "make money fast!"', False),
        ('header :comparator "i;octet" :contains "Subject" "Money"', True),
        ('header :comparator "i;octet" :contains "Subject" "MONEY"', False),
        ('header :comparator "i;ascii-casemap" :contains "Subject" "MONEY"', True),
        ('header :contains ["x", "subject"] ["x", "y", "fast"]', True),
        ('header :contains ["subject", "x-caffeine"] "h10"', True),
        ('header :matches "subject" "*money*"', True),
        ('header :matches :comparator "i;octet" "subject" "*money*"', False),
        ('header :matches "subject" "make ????? *"', True),
        ('header :contains "subject:" ""', False),
        ('header :contains "to!" ""', False),
    ],
)
def test_header(test: str, want: bool) -> None:
    assert truth(test) == want


def test_header_ignores_white_space_around_values_and_unfolds() -> None:
    mail = b"Subject:         Help   \r\nX-M: a multi-line\r\n header body,\r\n\tunfolded\r\n\r\n"
    assert truth('allof (header "subject" "help", header "x-m" "a multi-line header body,\tunfolded")', mail)


def test_header_compares_decoded_text() -> None:
    mail = "Subject: =?iso-8859-1?q?Gr=FC=DFe?= an Ä\r\n\r\n".encode()
    assert truth('header "subject" "GRüßE AN Ä"', mail)
    # i;ascii-casemap folds A to Z only.
    assert not truth('header "subject" "Grüße an ä"', mail)


@pytest.mark.parametrize(
    ("test", "want"),
    [
        ('exists "from"', True),
        ('exists ["From", "TO"]', True),
        ('exists ["from", "date"]', False),
        ('exists "x-empty"', True),
        ('exists "x-"', False),
        ('not exists ["from", "date"]', True),
    ],
)
def test_exists(test: str, want: bool) -> None:
    assert truth(test) == want


def test_size_is_neither_over_nor_under_its_own() -> None:
    # RFC 5228 section 5.9
    mail = b"Subject: x\r\n\r\n" + b"x" * (4_000 - 14)
    for test, want in (
        ("size :over 4000", False), ("size :under 4000", False),
        ("size :over 3999", True), ("size :under 4001", True),
        ("size :over 18446744073709551615", False), ("size :under 1G", True), ("size :over 3K", True),
    ):  # fmt: skip
        assert truth(test, mail) == want


@pytest.mark.parametrize(
    ("test", "want"),
    [
        ('address :is :all "from" "tim@example.com"', True),
        ('address "from" "TIM@EXAMPLE.COM"', True),
        ('address :comparator "i;octet" "from" "TIM@example.com"', False),
        ('address :localpart ["from", "to"] "harry"', True),
        ('address :domain :is "to" ["x.example", "de.example.com"]', True),
        ('address :domain :matches "to" "*.example.net"', True),
        ('address :contains "from" "Example <"', False),  # never the phrase
        ('address :contains "to" "Harry\\""', False),
        ('address :is "cc" ""', False),
    ],
)
def test_address(test: str, want: bool) -> None:
    assert truth(test) == want


def test_address_with_broken_fields_gives_no_match_and_no_error() -> None:
    # RFC 5228 section 2.7.4
    mail = b"From: tim@\r\nTo: @example.org\r\nCc: nonsense\r\nResent-To:\r\n"
    mail += b"Bcc: a@b.example, @example.org\r\n\r\n"
    for test, want in (
        ('address :localpart "from" "tim"', False),
        ('address :domain "to" "example.org"', False),
        ('address :all "resent-to" ""', True),
        ('address :all "cc" "nonsense"', True),
        ('address :localpart "bcc" ""', False),
        ('address :domain "bcc" ["example.org", ""]', False),
        ('address :domain "bcc" "b.example"', True),
    ):
        assert truth(test, mail) == want


def test_address_never_acts_on_comments_and_group_names() -> None:
    # RFC 5228 section 5.1
    mail = b"From: Tim <tim(the author)@example.com>\r\nCc: friends: henk@t.example, theo@t.example;\r\n\r\n"
    assert not truth('address :contains ["from", "cc"] ["author", "friends"]', mail)
    assert truth('allof (address :localpart "cc" "henk", address :domain "cc" "t.example")', mail)


@pytest.mark.parametrize(
    "field", ["from", "to", "cc", "bcc", "sender", "resent-from", "resent-to", "reply-to"]
)
def test_address_knows_all_fields_with_addresses(field: str) -> None:
    assert truth(f'address "{field.upper()}" "a@b.example"', f"{field}: a@b.example\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("test", "want"),
    [
        ('envelope "from" "tim@example.com"', True),
        ('envelope :domain ["FROM", "to"] "example.net"', True),
        ('envelope :localpart "to" "ME"', True),
        ('envelope :comparator "i;octet" :localpart "to" "ME"', False),
        ('envelope "from" ""', False),
        ('envelope "auth" ""', False),
    ],
)
def test_envelope(test: str, want: bool) -> None:
    assert truth(test, require='"envelope"') == want


def test_the_null_sender_is_the_empty_string_in_every_part() -> None:
    # RFC 5228 section 5.4
    for part in (":all", ":localpart", ":domain"):
        assert truth(f'envelope {part} "from" ""', require='"envelope"', from_="")
        assert not truth(f'envelope {part} :contains "from" ""', require='"envelope"', from_=None)


def test_envelope_drops_source_routes() -> None:
    assert truth(
        'envelope "from" "a@b.example"', require='"envelope"', from_="<@x.example,@y.example:a@b.example>"
    )


def test_an_unknown_envelope_part_is_an_error() -> None:
    from tests.sieve.kit import errors_of

    assert errors_of('require "envelope"; if envelope ["to", "frop"] "a" { }') == [
        "1:40 unknown envelope part 'frop' for the envelope test"
    ]


def test_the_first_example_of_the_rfc() -> None:
    # RFC 5228 section 3.1
    script = """if header :contains ["From"] ["coyote"] { redirect "acm@example.com"; }
        elsif header :contains "Subject" "$$$" { redirect "postmaster@example.com"; }
        else { redirect "field@example.com"; }"""
    context = context_of(COYOTE)
    run_in(script, context)
    assert context.result.as_json()[0]["address"] == "acm@example.com"
