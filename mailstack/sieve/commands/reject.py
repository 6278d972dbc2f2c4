"""Extensions "reject" and "ereject": the message is refused with the owner's words (RFC 5429)."""

from __future__ import annotations

from functools import partial

from mailstack.sieve.actions import Reject
from mailstack.sieve.context import Context
from mailstack.sieve.definition import STRING, Arg, CommandDef, Extension
from mailstack.sieve.program import Args, Block


def _run(ctx: Context, args: Args, block: Block | None, *, ereject: bool) -> None:
    ctx.add_action(Reject(args.string("reason"), ereject=ereject))


def _command(name: str) -> CommandDef:
    return CommandDef(name, "action", [Arg("reason", STRING)], run=partial(_run, ereject=name == "ereject"))


REJECT = Extension("reject", commands=[_command("reject")])
EREJECT = Extension("ereject", commands=[_command("ereject")])
