"""`not`: the opposite of its test (RFC 5228 section 5.8)."""

from __future__ import annotations

from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    return not ctx.eval_test(args.test)


NOT = CommandDef("not", "test", subtests=1, run=_run)
