"""`anyof`: logical or, left to right, no further than needed (RFC 5228 section 5.3)."""

from __future__ import annotations

from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    for test in args.tests:  # noqa: SIM110  see allof
        if ctx.eval_test(test):
            return True
    return False


def _truth(node: CommandNode, vctx: CheckContext) -> bool | None:
    truths = [test.truth for test in node.tests]
    if True in truths:
        return True
    return None if None in truths else False


ANYOF = CommandDef("anyof", "test", subtests="many", run=_run, truth=_truth, settled_by=True)
