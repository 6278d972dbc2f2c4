"""`run`: a script over a message, into a result.

Standards: RFC 5228 sections 2.10.2, 2.10.6 and 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailstack.sieve.context import Context
from mailstack.sieve.control import ControlFlow, Return, SieveError
from mailstack.sieve.diagnostic import Diagnostic
from mailstack.sieve.program import Script


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        ok: no run-time error.
        errors: with their places; those the script went on after, then the one that ended it.
        implicit_keep: the message goes to the default mailbox (`ctx.result.implicit_keep`).
        stopped: `stop` ended it, or another control flow nobody caught.
        control: that control flow; None when the script ran to its end.
    """

    ok: bool
    errors: list[Diagnostic]
    implicit_keep: bool
    stopped: bool
    control: ControlFlow | None = None


def run(script: Script, ctx: Context) -> RunOutcome:
    """Runs a script; collects actions in `ctx.result` and carries nothing out.

    After a run-time error the result is what it was before this run, and the message is
    kept whatever it says: a mistake never loses mail.

    Never raises: control flow that no command caught is in the outcome.
    """
    outermost = ctx.runs == 0
    if outermost:
        ctx.start_budget()
    before, message = list(ctx.result.actions), ctx.message
    flags, moment = ctx.result.flags, message.snapshot()
    ctx.runs += 1
    control: ControlFlow | None = None
    errors: list[Diagnostic] = []
    complaints = len(ctx.complaints)
    try:
        ctx.run_block(script.block)
    except Return:
        pass
    except ControlFlow as flow:
        control = flow
    except SieveError as error:
        errors = [error.diagnostic or Diagnostic(1, 1, error.message, script.path)]
    except RecursionError:
        errors = [Diagnostic(1, 1, "the script is nested too deeply to be run here", script.path)]
    finally:
        ctx.runs -= 1
    if errors:
        ctx.result.actions[:] = before
        ctx.result.failed = True
        ctx.result.flags = flags
        ctx.message = message
        message.restore(moment)
    ok, errors = not errors, [*ctx.complaints[complaints:], *errors]
    return RunOutcome(ok, errors, ctx.result.implicit_keep, control is not None, control)
