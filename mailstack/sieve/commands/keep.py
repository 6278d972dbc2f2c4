"""`keep`: into the default mailbox (RFC 5228 section 4.3)."""

from __future__ import annotations

from mailstack.sieve.actions import Action, Keep
from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block


def _run(ctx: Context, args: Args, block: Block | None) -> None:
    action = args.modified(Keep(ctx.current_flags))
    assert isinstance(action, Action)
    ctx.add_action(action)


KEEP = CommandDef("keep", "action", run=_run)
