"""Tags and day stamps."""

import pytest

from mailstack.srs import token

DAY = token.DAY_S
NOW = 20_000.5 * DAY


def test_a_tag_has_at_least_40_bits_in_base32() -> None:
    tag = token.make_tag("text", b"secret")
    assert len(tag) * 5 >= 40
    assert set(tag) <= set(token.ALPHABET)


def test_a_tag_is_checked_without_case_in_itself_and_in_its_text() -> None:
    tag = token.make_tag("AA=Example.ORG=Local", b"secret")
    assert token.is_tag_of(tag.lower(), "aa=example.org=local", [b"secret"])


def test_only_ascii_letters_are_folded() -> None:
    assert token.make_tag("ä", b"secret") != token.make_tag("Ä", b"secret")


@pytest.mark.parametrize("tag", ["", "A", "AAAAAAAA", "ÄÖÜ", "\ud800", "A" * 1000, "ſ" * 8])
def test_a_wrong_tag_is_refused_whatever_it_holds(tag: str) -> None:
    assert not token.is_tag_of(tag, "text", [b"secret"])


def test_a_prefix_or_extension_of_the_right_tag_is_refused() -> None:
    tag = token.make_tag("text", b"secret")
    assert not token.is_tag_of(tag[:-1], "text", [b"secret"])
    assert not token.is_tag_of(tag + "A", "text", [b"secret"])


def test_any_of_the_secrets_is_good_and_no_secret_is_not() -> None:
    tag = token.make_tag("text", b"old")
    assert token.is_tag_of(tag, "text", [b"new", b"old"])
    assert not token.is_tag_of(tag, "text", [b"new"])
    assert not token.is_tag_of(tag, "text", [])


@pytest.mark.parametrize("days", [0, 1, 9, 10, 11, 500, 1022])
def test_the_age_of_a_stamp_is_counted_in_days(days: int) -> None:
    assert token.age_days(token.make_stamp(NOW), NOW + days * DAY) == days


def test_a_stamp_of_tomorrow_counts_as_today() -> None:
    assert token.age_days(token.make_stamp(NOW + DAY), NOW) == 0


def test_a_stamp_may_have_been_folded() -> None:
    assert token.age_days(token.make_stamp(NOW).lower(), NOW + 2 * DAY) == 2


@pytest.mark.parametrize("stamp", ["", "A", "AAA", "A1", "A=", "Äa", "ſa"])
def test_what_is_no_stamp_has_no_age(stamp: str) -> None:
    assert token.age_days(stamp, NOW) is None
