"""`not`: the opposite of its test (RFC 5228 section 5.8)."""

from __future__ import annotations

from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    return not ctx.eval_test(args.test)


def _truth(node: CommandNode, vctx: CheckContext) -> bool | None:
    truth = node.tests[0].truth
    return None if truth is None else not truth


NOT = CommandDef("not", "test", subtests=1, run=_run, truth=_truth)
