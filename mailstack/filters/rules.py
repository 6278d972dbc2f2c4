"""An account's own Sieve script, turned into actions of the verdict.

The engine is `mailstack.sieve`; nothing it raises leaves this file, and a script that
fails keeps the mail.

Standards: RFC 5228 section 2.10.2 (implicit keep); product page, section 2.8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mailstack import sieve
from mailstack.model.verdict import (
    AccountAction,
    DiscardMail,
    FileInto,
    FilterRecipient,
    FilterRequest,
    Keep,
    Redirect,
    RejectMail,
)

#: What the owner sees when a script does not compile or run.
MAX_ERROR = 300


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a script wants.

    Attributes:
        actions: without the implicit keep.
        implicit_keep: the message also goes where the filter says.
        error: a compile-time or run-time error in words; "" when fine.
    """

    actions: tuple[AccountAction, ...]
    implicit_keep: bool
    error: str = ""


class Rules:
    """Runs scripts; compiled ones are kept by the hash of their source."""

    def __init__(self, *, cpu_clock: Callable[[], float] | None = None, hostname: str = "") -> None:
        registry = sieve.Registry.standard()
        self._caches = {
            "normal": (sieve.ScriptCache(registry, limits=sieve.NORMAL), sieve.NORMAL),
            "free": (sieve.ScriptCache(registry, limits=sieve.FREE), sieve.FREE),
        }
        self._cpu_clock = cpu_clock
        self._hostname = hostname

    def run(
        self,
        source: bytes,
        message: Callable[[], bytes],
        request: FilterRequest,
        recipient: FilterRecipient,
        *,
        plan: str,
    ) -> RuleResult:
        """Runs one account's script over one message.

        Args:
            message: gives the octets the script sees; called only when there is something to run.
            plan: "normal" or "free", for the limits.
        """
        cache, limits = self._caches.get(plan, self._caches["normal"])
        compiled = cache.compile(source)
        if compiled.script is None:
            first = compiled.errors[0] if compiled.errors else None
            return RuleResult((), True, _words(first, "the script does not compile"))
        context = sieve.Context(
            sieve.Message.from_bytes(message()),
            sieve.Envelope(
                request.sender, recipient.original or recipient.address, recipient.original or None
            ),
            now=request.received_at,
            cpu_clock=self._cpu_clock,
            environment=self._environment(request, recipient),
            limits=limits,
        )
        outcome = sieve.run(compiled.script, context)
        if not outcome.ok:
            first = outcome.errors[0] if outcome.errors else None
            return RuleResult((), True, _words(first, "the script failed"))
        return _translate(context.result, implicit_keep=outcome.implicit_keep)

    def _environment(self, request: FilterRequest, recipient: FilterRecipient) -> dict[str, str]:
        return {
            "domain": recipient.address.rpartition("@")[2],
            "host": self._hostname,
            "location": "MDA",
            "phase": "during",
            "name": "mailstack",
            "remote-host": request.helo,
            "remote-ip": request.ip,
        }


def _words(diagnostic: sieve.Diagnostic | None, otherwise: str) -> str:
    if diagnostic is None:
        return otherwise
    return f"line {diagnostic.line}: {diagnostic.message}"[:MAX_ERROR]


def _translate(result: sieve.Result, *, implicit_keep: bool) -> RuleResult:
    actions: list[AccountAction] = []
    unknown: list[str] = []
    for action in result.actions:
        match action:
            case sieve.Keep():
                actions.append(Keep("INBOX", action.flags or ()))
            case sieve.FileInto():
                actions.append(FileInto(action.mailbox, action.flags or (), action.create))
            case sieve.Redirect():
                actions.append(Redirect(action.address, action.notify, action.ret))
            case sieve.Reject():
                actions.append(RejectMail(action.text, action.ereject))
            case sieve.Discard():
                actions.append(DiscardMail())
            case _:
                unknown.append(action.name)
    if unknown and not actions:
        implicit_keep = True
    error = f"not carried out yet: {', '.join(unknown)}" if unknown else ""
    return RuleResult(tuple(actions), implicit_keep, error)
