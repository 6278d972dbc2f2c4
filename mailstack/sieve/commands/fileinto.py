"""`fileinto`: into a named mailbox (RFC 5228 section 4.1).

Whether the mailbox is there, and what becomes of the message when it is not, is for
whoever carries the action out; a name that can never be one is an error here.
"""

from __future__ import annotations

from mailstack.sieve.actions import INBOX, Action, FileInto
from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import STRING, Arg, CommandDef, Extension
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode


def wrong_name(name: str) -> str | None:
    """Why a mailbox cannot have that name; None when it might."""
    if not name.strip():
        return "the name of a mailbox must not be empty"
    if any(c < " " or c == "\x7f" for c in name):
        return "the name of a mailbox must not hold control characters"
    if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
        return "the name of a mailbox must be valid UTF-8"
    return None


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("mailbox"):
        wrong = wrong_name(item.value)
        if wrong is not None:
            vctx.error(item.pos, f"fileinto: {wrong}")


def _run(ctx: Context, args: Args, block: Block | None) -> None:
    mailbox = args.string("mailbox")
    wrong = wrong_name(mailbox)
    if wrong is not None:
        raise SieveError(f"fileinto: invalid folder name: {wrong}")
    # RFC 3501 section 5.1: INBOX is not case-sensitive.
    action = args.modified(FileInto(INBOX if mailbox.upper() == INBOX else mailbox, ctx.current_flags))
    assert isinstance(action, Action)
    ctx.add_action(action)


FILEINTO = Extension(
    "fileinto",
    commands=[CommandDef("fileinto", "action", [Arg("mailbox", STRING)], validate=_validate, run=_run)],
)
