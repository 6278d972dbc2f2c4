"""Rights on folders, as letters on the wire, and what they allow.

Standards: RFC 4314 sections 2.1 and 5.2.
Imports: model, response.  No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable

from mailstack.imap.errors import Bad
from mailstack.imap.response import astring
from mailstack.model.mailbox import Flags
from mailstack.model.sharing import ALL_RIGHTS

# RFC 4314 section 2.1.1: what the rights of RFC 2086 stand for here.
_CREATE, _DELETE = "k", "xte"


def with_old(rights: str) -> str:
    """Rights with the virtual c and d for clients of RFC 2086."""
    create = "c" if any(right in rights for right in _CREATE) else ""
    delete = "d" if any(right in rights for right in _DELETE) else ""
    return rights + create + delete


def parse_rights(wire: bytes) -> tuple[str, str]:
    """What SETACL wants: "+", "-" or "=", and the rights, each once.

    Raises:
        Bad: a right nobody knows.
    """
    text = wire.decode("ascii", "replace")
    operation = text[:1] if text[:1] in ("+", "-") else "="
    rights = text.removeprefix(operation) if operation != "=" else text
    if strange := set(rights) - set(ALL_RIGHTS + "cd"):
        raise Bad(f"There is no right {min(strange)!r}")
    wanted = set(rights) | set(_CREATE if "c" in rights else "") | set(_DELETE if "d" in rights else "")
    return operation, "".join(right for right in ALL_RIGHTS if right in wanted)


def changed(before: str, operation: str, rights: str) -> str:
    """The rights after a change."""
    if operation == "=":
        return rights
    kept = set(before) | set(rights) if operation == "+" else set(before) - set(rights)
    return "".join(right for right in ALL_RIGHTS if right in kept)


def may_write(rights: str) -> bool:
    """Whether a folder is opened READ-WRITE (RFC 4314 section 5.2; all flags are shared)."""
    return any(right in rights for right in "ieswt")


def settable(rights: str, keywords: Iterable[str]) -> tuple[int, Iterable[str]]:
    """System flags, as bits, and keywords one may change for good (RFC 4314 section 5.1.1)."""
    flags = Flags.SEEN if "s" in rights else Flags.NONE
    flags |= Flags.DELETED if "t" in rights else Flags.NONE
    if "w" not in rights:
        return int(flags), ()
    return int(flags | Flags.ANSWERED | Flags.FLAGGED | Flags.DRAFT), keywords


def my_rights_line(name: bytes, rights: str) -> bytes:
    """`* MYRIGHTS name rights`; `name`: a string as the client reads it."""
    return b"* MYRIGHTS %b %b\r\n" % (name, astring(with_old(rights).encode("ascii")))
