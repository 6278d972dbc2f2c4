"""What new addresses, domains, patterns and folders may be called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.directory import names
from mailstack.model.directory import NO_LIMIT
from mailstack.model.errors import PermanentFailure
from tests.kit.fuzzing import FUZZ


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("a%b@example.org", "'%' (percent sign)"),
        ("a&b@example.org", "'&' (ampersand)"),
        ("a!b@example.org", "'!' (exclamation mark)"),
        ("a/b@example.org", "'/' (slash)"),
        ("a|b@example.org", "'|' (vertical bar)"),
        ("a+b@example.org", "'+' (plus sign"),
        ("*@example.org", "--kind catchall"),
        ("a b@example.org", "a space"),
        ("a;b@example.org", "';'"),
        ('"a"@example.org', "'\"'"),
        ("a@b@example.org", "'@'"),
        ("a\nb@example.org", "'\\n'"),
        ("a\x00b@example.org", "'\\x00'"),
        ("SRS0=xyz@example.org", "SRS0="),
        ("srs1=xyz@example.org", "srs1="),
        ("-rf@example.org", "'-' may not stand first"),
        ("@example.org", "empty"),
        ("a@", "empty"),
        ("nobody", "no @"),
        (".a@example.org", "'.'"),
        ("a..b@example.org", "'.'"),
        ("a\u202eb@example.org", "neither a letter nor a digit"),
        ("a\u200bb@example.org", "neither a letter nor a digit"),
        ("😀@example.org", "neither a letter nor a digit"),
        ("p\u0430ypal@example.org", "mixes CYRILLIC and LATIN"),
        ("x" * 65 + "@example.org", "longer than 64"),
    ],
)
def test_new_address_is_refused_with_a_sentence_that_names_the_character(address: str, words: str) -> None:
    with pytest.raises(PermanentFailure) as caught:
        names.new_address(address)
    assert words in caught.value.why


@pytest.mark.parametrize(
    "address",
    [
        "alice@example.org",
        "o'brien@example.org",
        "a.b-c_d@example.org",
        "x=y@example.org",
        "müller@example.org",
        "дмитрий@example.org",
        "鈴木ひろ@example.org",
        "x" * 64 + "@example.org",
    ],
)
def test_ordinary_names_of_many_languages_are_accepted(address: str) -> None:
    assert str(names.new_address(address)) == address


def test_decomposed_and_composed_accents_are_the_same_address() -> None:
    assert names.new_address("mu\u0308ller@example.org") == names.new_address("m\u00fcller@example.org")


@pytest.mark.parametrize(
    "domain",
    [
        "localhost",
        "[192.0.2.1]",
        "a_b.example",
        "192.0.2.1",
        "",
        "a..b",
        "ex ample.org",
        "-a.org",
        "ab--cd.org",
    ],
)
def test_what_is_no_mail_domain_is_refused(domain: str) -> None:
    with pytest.raises(PermanentFailure):
        names.new_domain(domain)


def test_domain_is_folded_to_a_labels() -> None:
    assert names.new_domain("Bücher.Example.") == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Alice@Example.ORG", "alice@example.org"),
        ("@Example.org", "example.org"),
        ("*@Example.org", "example.org"),
        ("example.org", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_sender_pattern_is_an_address_or_a_domain(text: str, stored: str) -> None:
    assert names.sender_pattern(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "org",
        "a b@example.org",
        "*.example.org",
        "@[192.0.2.1]",
        "192.0.2.1",
        "a@b@c",
        "ads*@a.org",
        "*@*.org",
        "a?@b.org",
    ],
)
def test_what_is_no_sender_pattern_is_refused(text: str) -> None:
    with pytest.raises(PermanentFailure):
        names.sender_pattern(text)


@pytest.mark.parametrize(
    "folder",
    ["INBOX", "inbox", "Sent", "drafts", "Archive", "TRASH", "", "a//b", "/a", "a/", "a\nb", "x" * 256],
)
def test_filter_folder_with_another_purpose_or_no_name_is_refused(folder: str) -> None:
    with pytest.raises(PermanentFailure):
        names.filter_folder(folder, what="spam folder")


def test_filter_folder_takes_levels_and_accents() -> None:
    assert names.filter_folder("Müll/Werbung", what="spam folder") == "Müll/Werbung"


def test_filter_folder_depth_is_checked_at_the_limit() -> None:
    assert names.filter_folder("/".join("abcdefghij"), what="folder")
    with pytest.raises(PermanentFailure):
        names.filter_folder("/".join("abcdefghijk"), what="folder")


@pytest.mark.parametrize("name", ["", "a\nb", "a/b", "..", ".x", "x" * 513, "\x7f"])
def test_bad_script_names_are_refused(name: str) -> None:
    with pytest.raises(PermanentFailure):
        names.script_name(name)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("10G", 10 << 30),
        ("500m", 500 << 20),
        ("1T", 1 << 40),
        ("2000", 2000),
        ("1KiB", 1024),
        ("none", NO_LIMIT),
        ("Default", None),
    ],
)
def test_quota_reads_units(text: str, octets: int | None) -> None:
    assert names.quota_octets(text) == octets


@pytest.mark.parametrize(("text", "number"), [("50000", 50_000), ("none", NO_LIMIT), (" default ", None)])
def test_quota_counts_messages(text: str, number: int | None) -> None:
    assert names.quota_messages(text) == number


@pytest.mark.parametrize(("text", "days"), [("30", 30), ("never", 0), ("default", None)])
def test_expiry_reads_days(text: str, days: int | None) -> None:
    assert names.expiry_days(text) == days


@pytest.mark.parametrize("text", ["", "-1", "1.5", "0", "9999999", "soon", "٣"])
def test_what_is_no_number_of_days_or_messages_is_refused(text: str) -> None:
    with pytest.raises(PermanentFailure):
        names.expiry_days(text)
    if text != "9999999":
        with pytest.raises(PermanentFailure):
            names.quota_messages(text)


@pytest.mark.parametrize("text", ["", "G", "0", "0M", "-1", "1.5G", "10X", "99999999999T", "٣"])
def test_what_is_no_quota_is_refused(text: str) -> None:
    with pytest.raises(PermanentFailure):
        names.quota_octets(text)


@FUZZ
@given(st.text(max_size=80))
def test_any_text_is_a_name_or_a_sentence(text: str) -> None:
    for check in (names.new_address, names.any_address, names.new_domain, names.sender_pattern,
                  names.script_name, names.person_name, names.quota_octets, names.quota_messages,
                  names.expiry_days):  # fmt: skip
        try:
            check(text)
        except PermanentFailure as error:
            assert error.why


@FUZZ
@given(st.text(max_size=60))
def test_a_new_address_is_one_that_mail_accepts_too(text: str) -> None:
    try:
        new = names.new_address(f"{text}@example.org")
    except PermanentFailure:
        return
    assert names.any_address(str(new)) == new
