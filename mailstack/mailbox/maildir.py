"""Maildir++ on disk: where an account lives, how folders and flags become file names.

    <root>/<domain>/<local>/            account home
        account.db  cache.db  uidvalidity
        Maildir/{tmp,new,cur}           INBOX
        Maildir/.abc.klm/{tmp,new,cur}  folder abc/klm
        expunged/<day>/                 what was removed, for a while

Nothing a peer sends becomes a path component unescaped (T64).

Standards: RFC 3501 section 5.1, the Maildir and Maildir++ conventions.  Limits, section 6.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from mailstack.disk import durable
from mailstack.mime import utf7
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags, MailboxError

MAX_NAME_OCTETS = 255
MAX_DEPTH = 10
#: Longest base name of a message file; room is left for ":2," and flags.
MAX_BASE_OCTETS = 200
FORWARDED = "$Forwarded"
#: The file by which Maildir++ knows a folder.
MARKER = "maildirfolder"

SUBFOLDERS = ("tmp", "new", "cur")

#: In the name of a copy of what was delivered; delivery counts from 1 (`delivery.local.base_name`).
COPY_MARK = "_0_0"
_DELIVERED = re.compile(r"[0-9]+\.[^.]+_[0-9]+_[0-9]+\.")

_PLAIN_IN_PATH = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789._-+=")
_BASE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._=,+-]{{0,{MAX_BASE_OCTETS - 1}}}\Z")
_FORBIDDEN = re.compile(r"[%*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DOT = "&AC4-"

# The letter P, "passed", is the keyword $Forwarded here.
_FORWARDED_BIT = 32
# In the order Maildir wants them: ASCII.
_LETTERS: tuple[tuple[str, int], ...] = (
    ("D", Flags.DRAFT),
    ("F", Flags.FLAGGED),
    ("P", _FORWARDED_BIT),
    ("R", Flags.ANSWERED),
    ("S", Flags.SEEN),
    ("T", Flags.DELETED),
)
_BIT_OF = dict(_LETTERS)
_KNOWN = ["".join(letter for letter, bit in _LETTERS if bits & bit) for bits in range(64)]


@lru_cache(maxsize=4096)
def account_home(root: Path, address: Address) -> Path:
    """Where an account lives; one place for every spelling of its address.

    Octets but lower-case letters, digits and "._-+=" are percent-escaped, and so is a
    leading dot; so no address can name a place outside `root/<domain>/`.

    Raises:
        ValueError: the bare postmaster has no home of its own.
    """
    local, _, domain = address.key.rpartition("@")
    if not domain:
        raise ValueError("an address without a domain has no home")
    return root / _escape(domain) / _escape(local)


def address_of(home: Path) -> str:
    """The address whose home this is, for people."""
    return f"{unquote(home.name)}@{unquote(home.parent.name)}"


def _escape(text: str) -> str:
    octets = text.encode("utf-8")
    out = "".join(chr(octet) if octet in _PLAIN_IN_PATH else f"%{octet:02X}" for octet in octets)
    return "%2E" + out[1:] if out.startswith(".") else out


def is_delivered(base: str) -> bool:
    """True for the names of what was delivered, and of its copies; mail programs name no file."""
    return _DELIVERED.match(base) is not None


def check_name(name: str) -> str:
    """A folder name in its one spelling: NFC, INBOX in upper case, no trailing "/".

    Raises:
        MailboxError: CANNOT, with what is wrong.

    Source: RFC 3501 section 5.1; limits, section 6; I14, I15.
    """
    name = unicodedata.normalize("NFC", name)
    if name.endswith("/"):
        name = name[:-1]
    if not name:
        raise MailboxError("CANNOT", "a folder needs a name")
    if _FORBIDDEN.search(name):
        raise MailboxError("CANNOT", "a folder name may not hold control characters, % or *")
    parts = name.split("/")
    if len(parts) > MAX_DEPTH:
        raise MailboxError("CANNOT", f"folders may be nested {MAX_DEPTH} deep")
    for part in parts:
        _check_part(part)
    if parts[0].upper() == "INBOX":
        parts[0] = "INBOX"
    name = "/".join(parts)
    if len(name.encode()) > MAX_NAME_OCTETS or len(folder_dir(name)) > MAX_NAME_OCTETS:
        raise MailboxError("CANNOT", f"a folder name may have {MAX_NAME_OCTETS} octets")
    return name


def _check_part(part: str) -> None:
    if not part.strip():
        raise MailboxError("CANNOT", "an empty name between slashes")
    if part.startswith("."):
        raise MailboxError("CANNOT", "a folder name may not begin with a dot")
    if part in SUBFOLDERS:
        raise MailboxError("CANNOT", f"{part!r} has a meaning of its own in a Maildir")


def folder_dir(name: str) -> str:
    """The directory below Maildir/ of a checked folder name; "" for INBOX."""
    if name == "INBOX":
        return ""
    return "." + ".".join(_encode_part(part) for part in name.split("/"))


def folder_name(directory: str) -> str:
    """The folder name behind a directory, also of one another program made.

    Raises:
        MailboxError: CANNOT: no folder name of ours would have this directory.
    """
    if not directory.startswith("."):
        raise MailboxError("CANNOT", "not a Maildir++ folder")
    try:
        name = "/".join(_decode_part(part) for part in directory[1:].split("."))
    except (utf7.Utf7Error, UnicodeError):
        raise MailboxError("CANNOT", "the directory's name is not modified UTF-7") from None
    checked = check_name(name)
    if checked != name or folder_dir(checked) != directory:
        raise MailboxError("CANNOT", "the directory's name is not in its canonical form")
    return checked


def _encode_part(part: str) -> str:
    # The dot separates on disk, so inside a name it is encoded too.
    return _DOT.join(utf7.encode(piece).decode("ascii") for piece in part.split("."))


def _decode_part(part: str) -> str:
    # "&" always opens a shift, so this one cannot be found inside another.
    return ".".join(utf7.decode(piece.encode("ascii")) for piece in part.split(_DOT))


def check_base(base: str) -> None:
    """Refuses what may not be the base name of a message file.

    Raises:
        ValueError: a mistake of ours: base names are made by us.
    """
    if not _BASE.match(base):
        raise ValueError(f"{base!r} is no base name of a message file")


def is_too_long(base: str) -> bool:
    """True for a base name, given by another program, that leaves no room for flags."""
    return len(os.fsencode(base)) > MAX_BASE_OCTETS


def split_file_name(name: str) -> tuple[str, str]:
    """Base name and flag letters of a file in new/ or cur/; letters are sorted."""
    base, colon, info = name.partition(":")
    letters = info[2:] if colon and info.startswith("2,") else ""
    return base, "".join(sorted(set(letters)))


def file_name(base: str, sub: int, letters: str) -> str:
    """Path below the folder: `sub` 0 is new/, 1 is cur/."""
    return f"cur/{base}:2,{letters}" if sub else f"new/{base}"


def bits_of(flags: int, keywords: str) -> int:
    """System flags and $Forwarded as the bits that have a letter.  `keywords`: space-separated."""
    return flags | _FORWARDED_BIT if keywords and FORWARDED.lower() in keywords.lower().split() else flags


def letters_of(bits: int, foreign: str = "") -> str:
    """Flag letters for bits; `foreign` letters (other programs' keywords) stay."""
    known = _KNOWN[bits & 63]
    return "".join(sorted(set(known + foreign))) if foreign else known


def split_letters(letters: str) -> tuple[int, str]:
    """The bits of our letters, and the letters that mean nothing to us."""
    bits = 0
    foreign = ""
    for letter in letters:
        bit = _BIT_OF.get(letter)
        if bit is None:
            foreign += letter
        else:
            bits |= bit
    return bits, foreign


def make_folder(directory: Path, *, marker: str = "") -> None:
    """Makes tmp/, new/ and cur/ where they are missing; durable on return.

    Args:
        marker: text of the file `maildirfolder`, which Maildir++ wants in folders; the
            folder's object id, by which it is known again when somebody renames it.

    Raises:
        OSError.
    """
    made = False
    for path in (directory, *(directory / name for name in SUBFOLDERS)):
        try:
            path.mkdir(mode=0o700)
            made = True
        except FileExistsError:
            pass
    if marker and read_marker(directory) != marker:
        try:
            durable.write_synced(directory / MARKER, [f"{marker}\n".encode()])
            made = True
        except FileExistsError:
            durable.replace_text(directory / MARKER, marker + "\n")
    if made:
        durable.sync_folder(directory)
        durable.sync_folder(directory.parent)


def read_marker(directory: Path) -> str:
    """The object id in a folder's marker file; "" for none."""
    try:
        fd = os.open(directory / MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 64).decode("ascii", "replace").strip()
    finally:
        os.close(fd)


def list_folders(maildir: Path) -> list[str]:
    """Directories whose name begins with a dot; no symbolic links."""
    with os.scandir(maildir) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        )


def is_directory(path: str | Path) -> bool:
    """True for a directory that is no symbolic link."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def refuse_links(paths: Iterable[Path]) -> None:
    """Refuses symbolic links where our directories should be (T65).

    Raises:
        TemporaryFailure: names the link; an operator must look.
    """
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            raise TemporaryFailure(f"{path} is not a directory of its own; refusing to follow it")


def sweep_tmp(maildir: Path, *, older_than: float) -> int:
    """Removes files in tmp/ that a crash left; gives how many.

    Args:
        older_than: Unix seconds by the file system's clock.
    """
    # By the time of the last change, which nobody can set: a message being written has its own date.
    removed = 0
    try:
        with os.scandir(maildir / "tmp") as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_ctime < older_than and not entry.is_dir(
                    follow_symlinks=False
                ):
                    os.unlink(entry.path)
                    removed += 1
    except FileNotFoundError:
        pass
    return removed
