"""`false` (RFC 5228 section 5.6)."""

from __future__ import annotations

from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    return False


FALSE = CommandDef("false", "test", run=_run)
