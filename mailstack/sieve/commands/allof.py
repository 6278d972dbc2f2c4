"""`allof`: logical and, left to right, no further than needed (RFC 5228 section 5.2)."""

from __future__ import annotations

from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    # A loop, not all(): it has one frame less where tests are nested.
    for test in args.tests:  # noqa: SIM110
        if not ctx.eval_test(test):
            return False
    return True


def _truth(node: CommandNode, vctx: CheckContext) -> bool | None:
    truths = [test.truth for test in node.tests]
    if False in truths:
        return False
    return None if None in truths else True


ALLOF = CommandDef("allof", "test", subtests="many", run=_run, truth=_truth, settled_by=False)
