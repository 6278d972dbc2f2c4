"""Any folder name and any file name: refused in words, or one spelling and one place."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.mailbox import maildir, scan
from mailstack.model.address import Address, AddressError
from mailstack.model.mailbox import MailboxError

FUZZ = settings(
    derandomize=True, max_examples=int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200")), deadline=None
)
PIECES = [
    "/",
    ".",
    "..",
    "INBOX",
    "inbox",
    "&",
    "&-",
    "&AC4-",
    "-",
    "cur",
    "new",
    "tmp",
    "%",
    "*",
    "\0",
    "\r",
    "é",
    "e\u0301",
]
NAMES = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)


@FUZZ
@given(NAMES)
def test_any_folder_name_has_one_place_or_none(name: str) -> None:
    try:
        checked = maildir.check_name(name)
    except MailboxError as error:
        assert error.code == "CANNOT"
        assert error.text
        return
    assert maildir.check_name(checked) == checked
    directory = maildir.folder_dir(checked)
    assert "/" not in directory
    assert directory not in (".", "..")
    assert directory.isascii()
    assert directory.isprintable()
    assert len(directory) <= 255
    assert maildir.folder_name(directory) == checked if directory else checked == "INBOX"


@FUZZ
@given(NAMES)
def test_any_directory_is_a_folder_of_ours_or_none(directory: str) -> None:
    try:
        name = maildir.folder_name(directory)
    except MailboxError:
        return
    assert maildir.folder_dir(name) == directory


@FUZZ
@given(st.text(max_size=30))
def test_any_file_name_is_split_or_left_out(name: str) -> None:
    base, letters = maildir.split_file_name(name)
    bits, foreign = maildir.split_letters(letters)
    assert maildir.letters_of(bits, foreign) == letters
    if name and scan.is_message_name(name, base):
        base.encode("utf-8")


@FUZZ
@given(NAMES)
def test_any_address_lives_below_the_root(local: str) -> None:
    try:
        address = Address.parse('"' + local + '"@example.test')
    except AddressError:
        return
    home = maildir.account_home(Path("/root"), address)
    assert home.parent == Path("/root/example.test")
    assert home.name not in ("", ".", "..")
    assert len(home.name) <= 255
