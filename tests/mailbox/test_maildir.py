"""Names on disk: homes, folders, flags."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mailbox import maildir
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags, MailboxError


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("alice@example.test", "example.test/alice"),
        ("Alice@Example.TEST", "example.test/alice"),
        ('".."@example.test', "example.test/%2E."),
        ('"."@example.test', "example.test/%2E"),
        ('"../../etc/passwd"@example.test', "example.test/%2E.%2F..%2Fetc%2Fpasswd"),
        ('"a b"@example.test', "example.test/a%20b"),
        ("a%2fb@example.test", "example.test/a%252fb"),
        ("grüße@example.test", "example.test/gr%C3%BC%C3%9Fe"),
        ("a@[192.0.2.1]", "%5B192.0.2.1%5D/a"),
        ("a@[IPv6:2001:db8::1]", "%5B%49%50v6%3A2001%3Adb8%3A%3A1%5D/a"),
        ("a+b@example.test", "example.test/a+b"),
    ],
)
def test_a_home_is_always_two_levels_below_the_root(address: str, place: str) -> None:
    # T64
    root = Path("/root")
    home = maildir.account_home(root, Address.parse(address))
    assert home == root / place
    assert os.path.commonpath([root, os.path.normpath(home)]) == str(root)


def test_different_addresses_never_share_a_home() -> None:
    names = ["a", '"%61"', "%61", '"."', '".."', '"%2E"', '"a/b"', "a%2fb", '"a%2Fb"', "ä", "a\u0308x", "äx2"]
    homes = {str(maildir.account_home(Path("/r"), Address.parse(f"{name}@x.test"))) for name in names}
    assert len(homes) == len({Address.parse(f"{name}@x.test").key for name in names})


def test_a_home_says_whose_it_is() -> None:
    for text in ("alice@example.test", '"a b"@example.test', "grüße@example.test"):
        address = Address.parse(text)
        assert maildir.address_of(maildir.account_home(Path("/r"), address)) == address.key.replace('"', "")


def test_the_bare_postmaster_has_no_home() -> None:
    with pytest.raises(ValueError, match="domain"):
        maildir.account_home(Path("/r"), Address("postmaster", ""))


@pytest.mark.parametrize(
    ("name", "checked", "directory"),
    [
        ("INBOX", "INBOX", ""),
        ("inbox", "INBOX", ""),
        ("Sent", "Sent", ".Sent"),
        ("abc/klm/xyz", "abc/klm/xyz", ".abc.klm.xyz"),
        ("abc/", "abc", ".abc"),
        ("inbox/sub", "INBOX/sub", ".INBOX.sub"),
        ("a.b/c", "a.b/c", ".a&AC4-b.c"),
        ("Entwürfe", "Entwürfe", ".Entw&APw-rfe"),
        ("Entwu\u0308rfe", "Entwürfe", ".Entw&APw-rfe"),  # T66: one name, one spelling
        ("a&b", "a&b", ".a&-b"),
        ("&AC4-", "&AC4-", ".&-AC4-"),
        ("ü.", "ü.", ".&APw-&AC4-"),
        ("a~b c", "a~b c", ".a~b c"),
    ],
)
def test_a_folder_name_has_one_spelling_and_one_directory(name: str, checked: str, directory: str) -> None:
    assert maildir.check_name(name) == checked
    assert maildir.folder_dir(checked) == directory
    if directory:
        assert maildir.folder_name(directory) == checked


@pytest.mark.parametrize(
    "name",
    [
        "../../etc",
        "INBOX/../x",
        "a//b",
        ".hidden",
        "a/.b",
        "cur",
        "new",
        "tmp",
        "a/cur",
        "%",
        "*",
        "a*b",
        "a\x00b",
        "a\rb",
        "a\nb",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "",
        "/",
        "//",
        "/a",
        " ",
        "a/ /b",
        "a" + chr(0xD800),
        "..",
        ".",
        "x" * 256,
        "ü" * 128,
        "/".join("a" * 11),
        "/".join(["a"] * 1000),
        "日" * 90,
    ],
    ids=lambda name: ascii(name)[:20],
)
def test_a_name_that_cannot_be_a_folder_is_refused_with_a_reason(name: str) -> None:
    # I14
    with pytest.raises(MailboxError) as caught:
        maildir.check_name(name)
    assert caught.value.code == "CANNOT"


def test_names_of_255_octets_and_10_levels_are_allowed() -> None:
    # limits, section 6; the directory has a dot in front
    assert maildir.check_name("x" * 254)
    assert maildir.check_name("/".join("a" * 10))


@pytest.mark.parametrize(
    "directory", ["", "Sent", ".a..b", "..", ".&AAA", ".caf\u00e9", ".&-&", ".cur", ".INBOX", ".inbox"]
)
def test_a_directory_nobody_of_us_would_make_is_no_folder(directory: str) -> None:
    with pytest.raises(MailboxError):
        maildir.folder_name(directory)


@given(st.text(min_size=1, max_size=40))
def test_every_name_that_is_allowed_survives_the_disk(name: str) -> None:
    try:
        checked = maildir.check_name(name)
    except MailboxError:
        return
    assert unicodedata.is_normalized("NFC", checked)
    directory = maildir.folder_dir(checked)
    assert "/" not in directory
    assert not directory or maildir.folder_name(directory) == checked


@pytest.mark.parametrize(
    ("name", "base", "letters"),
    [
        ("a", "a", ""),
        ("a:2,", "a", ""),
        ("a:2,SF", "a", "FS"),
        ("a:2,SSa", "a", "Sa"),
        ("a:1,x", "a", ""),
        ("a:b:2,S", "a", ""),
    ],
)
def test_a_file_name_is_split(name: str, base: str, letters: str) -> None:
    assert maildir.split_file_name(name) == (base, letters)


@pytest.mark.parametrize("bits", range(64))
def test_flags_and_letters_are_the_same(bits: int) -> None:
    letters = maildir.letters_of(bits, "ax")
    assert letters == "".join(sorted(letters))
    assert maildir.split_letters(letters) == (bits, "ax")


def test_forwarded_is_a_keyword_with_a_letter() -> None:
    bits = maildir.bits_of(Flags.SEEN, "work $forwarded")
    assert maildir.letters_of(bits) == "PS"
    assert maildir.letters_of(maildir.bits_of(Flags.SEEN, "work")) == "S"


@pytest.mark.parametrize("base", ["", ".x", "a/b", "a:b", "a\0", "a b", "x" * 201, "ü"])
def test_a_bad_base_name_is_our_mistake(base: str) -> None:
    with pytest.raises(ValueError, match="base name"):
        maildir.check_base(base)


def test_a_symbolic_link_where_a_directory_should_be_is_refused(tmp_path: Path) -> None:
    # T65
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    maildir.refuse_links([tmp_path / "real", tmp_path / "missing"])
    with pytest.raises(TemporaryFailure, match="link"):
        maildir.refuse_links([tmp_path / "link"])


def test_old_files_in_tmp_are_swept_and_young_ones_kept(tmp_path: Path) -> None:
    maildir.make_folder(tmp_path / "Maildir")
    old, young = (tmp_path / "Maildir" / "tmp" / name for name in ("old", "young"))
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    while young.stat().st_ctime <= old.stat().st_ctime:
        os.utime(young, (1_000_000_000, 1_000_000_000))  # a message of long ago, written just now
    assert maildir.sweep_tmp(tmp_path / "Maildir", older_than=young.stat().st_ctime) == 1
    assert [path.name for path in (tmp_path / "Maildir" / "tmp").iterdir()] == ["young"]
    assert maildir.sweep_tmp(tmp_path / "missing", older_than=0) == 0
