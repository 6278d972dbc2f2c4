"""Extension "fcc": a copy of what a script sends, kept in a mailbox (RFC 8580)."""

from __future__ import annotations

from mailstack.sieve.actions import INBOX, FileInto
from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.fileinto import wrong_name
from mailstack.sieve.commands.imap4flags import split
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import STRING, Extension, Tag
from mailstack.sieve.program import Args
from mailstack.sieve.syntax import CommandNode


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("fcc"):
        wrong = wrong_name(item.value)
        if wrong is not None:
            vctx.error(item.pos, f"{node.name}: {wrong}")


def copy_of(args: Args) -> FileInto | None:
    """Where the copy goes; None for nowhere.

    Raises:
        SieveError: no mailbox can have that name.
    """
    mailbox = args.get("fcc")
    if not isinstance(mailbox, str):
        return None
    wrong = wrong_name(mailbox)
    if wrong is not None:
        raise SieveError(f"fcc: {wrong}")
    flags, use = args.get("flags"), args.get("specialuse")
    return FileInto(
        INBOX if mailbox.upper() == INBOX else mailbox,
        tuple(split(flags)) if isinstance(flags, tuple) else None,
        create=bool(args.get("create")),
        special_use=use if isinstance(use, str) else "",
    )


#: They come with the extensions "mailbox" and "special-use".
CREATE = Tag(":create", requires=":fcc")
SPECIALUSE = Tag(":specialuse", value=STRING, requires=":fcc")
_FCC = Tag(":fcc", value=STRING, validate=_validate)
FCC = Extension("fcc", tags={"vacation": [_FCC], "notify": [_FCC]})
