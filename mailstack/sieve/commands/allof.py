"""`allof`: logical and, left to right, no further than needed (RFC 5228 section 5.2)."""

from __future__ import annotations

from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    # A loop, not all(): it has one frame less where tests are nested.
    for test in args.tests:  # noqa: SIM110
        if not ctx.eval_test(test):
            return False
    return True


ALLOF = CommandDef("allof", "test", subtests="many", run=_run)
