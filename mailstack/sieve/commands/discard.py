"""`discard`: cancels the implicit keep and nothing else (RFC 5228 section 4.4)."""

from __future__ import annotations

from mailstack.sieve.actions import Discard
from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block


def _run(ctx: Context, args: Args, block: Block | None) -> None:
    ctx.add_action(Discard())


DISCARD = CommandDef("discard", "action", run=_run)
