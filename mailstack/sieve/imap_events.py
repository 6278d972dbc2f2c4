"""Scripts for IMAP events: a message was appended or copied, or its flags changed.

A message that is stored never changes: `keep` leaves it where it is, as it is, and what a script
edits shows only in what it files elsewhere or sends.  Without a keep the message is marked
\\Deleted.

Standard: RFC 6785.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from mailstack.sieve.actions import Action, FileInto, Keep
from mailstack.sieve.context import Context, Envelope
from mailstack.sieve.interpreter import RunOutcome, run
from mailstack.sieve.program import Script
from mailstack.sieve.result import Result


class Cause(StrEnum):
    """What happened to the message (RFC 6785 section 4.3)."""

    APPEND = "APPEND"
    COPY = "COPY"
    FLAG = "FLAG"


@dataclass(frozen=True, slots=True)
class ImapEvent:
    """One event.

    Attributes:
        mailbox: where the message is.
        user, email: who did it: login name and primary address.
        owner: address of the mailbox's owner; redirects are sent by it.
        flags: of the message, after the change.
        changed_flags: those that were set or reset; only for `Cause.FLAG`.
    """

    cause: Cause
    mailbox: str
    user: str
    email: str
    owner: str
    flags: tuple[str, ...] = ()
    changed_flags: tuple[str, ...] = ()

    def environment(self, base: Mapping[str, str]) -> Mapping[str, str]:
        """The items of the `environment` test (RFC 6785 section 4)."""
        changed = " ".join(self.changed_flags) if self.cause is Cause.FLAG else ""
        return MappingProxyType(
            {
                **base,
                "location": "MS",
                "phase": "post",
                "imap.cause": self.cause.value,
                "imap.mailbox": self.mailbox,
                "imap.user": self.user,
                "imap.email": self.email,
                "imap.changedflags": changed,
            }
        )


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What becomes of the message; none of it is an event of its own.

    Attributes:
        run: how the script ended; after an error nothing changes.
        copies: where copies go; their `moment` is what they look like.
        others: what is sent, and an embedder's own actions, in order.
        flags: all flags the message has from now on.
        is_deleted: it is marked \\Deleted.
    """

    run: RunOutcome
    copies: tuple[FileInto, ...]
    others: tuple[Action, ...]
    flags: tuple[str, ...]
    is_deleted: bool


def run_event(script: Script, ctx: Context, event: ImapEvent) -> EventOutcome:
    """Runs a script of `Registry.for_imap_events()` for a stored message; carries nothing out.

    Args:
        ctx: its envelope, environment and result are set from the event.
    """
    ctx.envelope = Envelope(event.owner, event.owner)
    ctx.environment = event.environment(ctx.environment)
    ctx.result = Result(keep_is_inbox=False)
    ctx.flags = list(event.flags)
    outcome = run(script, ctx)
    result = ctx.result
    if result.failed:
        return EventOutcome(outcome, (), (), event.flags, is_deleted=False)
    keeps = [action for action in result.actions if isinstance(action, Keep)]
    flags = next((keep.flags for keep in keeps if keep.flags is not None), tuple(ctx.flags))
    copies = tuple(action for action in result.actions if isinstance(action, FileInto))
    others = tuple(action for action in result.actions if not isinstance(action, Keep | FileInto))
    return EventOutcome(outcome, copies, others, flags, is_deleted=not keeps and not result.implicit_keep)
