"""`if`, `elsif`, `else` (RFC 5228 section 3.1).

Each gives True when its block ran; the next link of the chain runs only after False.
"""

from __future__ import annotations

from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block


def _if(ctx: Context, args: Args, block: Block | None) -> bool:
    if not ctx.eval_test(args.test):
        return False
    ctx.run_block(block)
    return True


def _else(ctx: Context, args: Args, block: Block | None) -> bool:
    ctx.run_block(block)
    return True


_BEFORE = {"if", "elsif"}
IF = CommandDef("if", "control", subtests=1, block="required", run=_if)
ELSIF = CommandDef("elsif", "control", subtests=1, block="required", after=_BEFORE, run=_if)
ELSE = CommandDef("else", "control", block="required", after=_BEFORE, run=_else)
