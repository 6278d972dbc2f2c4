"""What scripts and rules of an account failed at last."""

from __future__ import annotations

from mailstack.cli.context import Context
from mailstack.state.memory import Memory


def failures(context: Context, account_id: int) -> dict[tuple[str, bytes], str]:
    """By the step of the filter ("script NAME", "rules") and by the version that failed."""
    memory = Memory(context.paths.state_db)
    try:
        return {
            (one.script, one.version): f"{one.why} ({one.times} messages)"
            for one in memory.failures(account_id)
        }
    finally:
        memory.close()
