"""`true` (RFC 5228 section 5.10)."""

from __future__ import annotations

from mailstack.sieve.context import Context
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block


def _run(ctx: Context, args: Args, block: Block | None) -> bool:
    return True


TRUE = CommandDef("true", "test", run=_run)
