"""`stop`: ends all processing (RFC 5228 section 3.3)."""

from __future__ import annotations

from typing import NoReturn

from mailstack.sieve.context import Context
from mailstack.sieve.control import Stop
from mailstack.sieve.definition import CommandDef
from mailstack.sieve.program import Args, Block


def _run(ctx: Context, args: Args, block: Block | None) -> NoReturn:
    raise Stop


STOP = CommandDef("stop", "control", run=_run)
