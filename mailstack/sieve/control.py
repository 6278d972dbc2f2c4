"""How a script ends early: control flow on purpose, errors by mistake.

`ControlFlow` passes through ifs, loops and includes unchanged, whoever defined it.
Anything else a command raises becomes a run-time error with a position.
"""

from __future__ import annotations

from mailstack.sieve.diagnostic import Diagnostic


class ControlFlow(Exception):
    """Base of exceptions that steer a script; an embedder may derive its own."""


class Stop(ControlFlow):
    """`stop`: ends all processing (RFC 5228 section 3.3)."""


class Return(ControlFlow):
    """`return`: ends this script; the one that included it goes on (RFC 6609 section 3.3)."""


class SieveError(Exception):
    """A run-time error; processing stops and the message is kept (RFC 5228 section 2.10.6).

    Attributes:
        message: one sentence for the script's owner.
        diagnostic: the same with the place, once the interpreter knows it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.diagnostic: Diagnostic | None = None


class LimitReached(SieveError):
    """A bound of `Limits` was hit."""
