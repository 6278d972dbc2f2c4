"""Extension "imapsieve": scripts for what happens to messages that are stored already (RFC 6785).

Only an operator's scripts may use it: it is in `Registry.for_imap_events()`, not in the standard
registry.  What answers a delivery is an error there, and so is a look at the envelope.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.envelope import ENVELOPE
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import Extension
from mailstack.sieve.diagnostic import Position
from mailstack.sieve.program import Args, Block

#: RFC 6785 section 3.11.
INAPPLICABLE = ("reject", "ereject", "vacation", "vacation-seconds")


def _refuse(vctx: CheckContext, pos: Position, *, name: str) -> None:
    vctx.error(pos, f"'{name}' answers a delivery; it cannot be used for IMAP events")


def _no_envelope(ctx: Context, args: Args, block: Block | None) -> bool:
    # RFC 6785 section 4.6: a run-time error, not one of the compiler.
    raise SieveError("envelope: a stored message has no envelope; this script runs for IMAP events")


IMAPSIEVE = Extension("imapsieve")
#: Takes the place of what the standard registry has under these names.
EVENT_EXTENSIONS: tuple[Extension, ...] = (
    IMAPSIEVE,
    *(Extension(name, on_require=partial(_refuse, name=name)) for name in INAPPLICABLE),
    replace(ENVELOPE, tests=[replace(test, run=_no_envelope) for test in ENVELOPE.tests]),
)
