"""`execute`: carries a result out, through two small interfaces an embedder provides.

What leaves (redirects, refusals) goes first and what stays is stored after it, so that
a crash between doubles a message rather than losing it.  Whatever cannot be done as
asked ends in the default mailbox.

Standards: RFC 5228 sections 2.10.2, 4.1, 4.2; RFC 5429.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mailstack.sieve import notices, replies
from mailstack.sieve.actions import (
    INBOX,
    Action,
    Discard,
    FileInto,
    Keep,
    Notify,
    Redirect,
    Reject,
    Vacation,
)
from mailstack.sieve.compose import Letterhead, owner_of, redirect_loop, redirected, refusal
from mailstack.sieve.context import Duplicates, Envelope
from mailstack.sieve.message import Message, Snapshot
from mailstack.sieve.result import Result

#: Seconds a redirect is remembered, against loops and multiplication (T51).
REDIRECT_MEMORY_S = 43_200


class Store(Protocol):
    """Where messages stay."""

    def deliver(self, mailbox: str, message: bytes, flags: tuple[str, ...], create: bool) -> object:
        """Stores durably; raises when it cannot."""
        ...


class Sender(Protocol):
    """Where messages leave."""

    def send(self, envelope_from: str, recipients: list[str], message: bytes) -> object:
        """Takes responsibility durably; raises when it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class ExecuteOptions:
    """How a result is carried out.

    Attributes:
        default_mailbox: where keep goes.
        head: for messages written here.
        max_received: Received fields from which on a message is looping.
        duplicates: remembers redirects; None: only header fields are looked at.
    """

    default_mailbox: str = INBOX
    head: Letterhead = field(default_factory=Letterhead)
    max_received: int = 50
    duplicates: Duplicates | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that left."""

    action: str
    envelope_from: str
    recipients: tuple[str, ...]
    message: bytes


@dataclass(frozen=True, slots=True)
class Filed:
    """A message that was stored."""

    mailbox: str
    flags: tuple[str, ...]


@dataclass(slots=True)
class ExecOutcome:
    """What was done.

    Attributes:
        ok: the message is stored, sent or thrown away as the script wanted; False: it is
            nowhere, and whoever called must not answer for it.
        kept: it went to the default mailbox because the script did not say otherwise, or
            because something else did not work.
        skipped: actions not carried out, with the reason in words.
        unhandled: actions of kinds not known here, for the embedder.
    """

    ok: bool = True
    kept: bool = False
    sent: list[Sent] = field(default_factory=list)
    filed: list[Filed] = field(default_factory=list)
    skipped: list[tuple[Action, str]] = field(default_factory=list)
    unhandled: list[Action] = field(default_factory=list)


def execute(
    result: Result,
    message: Message,
    envelope: Envelope,
    store: Store,
    sender: Sender,
    *,
    options: ExecuteOptions | None = None,
) -> ExecOutcome:
    """Carries out the actions of a result; never raises what `store` or `sender` raise.

    Returns:
        What was done; look at `ok`.
    """
    job = _Job(message, envelope, store, sender, options or ExecuteOptions())
    actions = [] if result.failed else result.actions[result.done :]
    for action in actions:
        if isinstance(action, Redirect):
            job.redirect(action)
        elif isinstance(action, Reject):
            job.reject(action)
        elif isinstance(action, Vacation):
            job.vacation(action)
        elif isinstance(action, Notify):
            job.notify(action)
    for action in actions:
        if isinstance(action, Keep | FileInto):
            job.file(action)
        elif not isinstance(action, _SENT | Discard):
            job.outcome.unhandled.append(action)
    if result.implicit_keep and not result.kept:
        job.keep(Keep(() if result.failed else tuple(result.flags or ())))
        result.kept = True
    elif job.needs_keep and not job.outcome.filed:
        # What a script meant for another place is kept as it came.
        job.keep(Keep(moment=Snapshot()))
    result.done = len(result.actions)
    return job.outcome


_SENT = Redirect | Reject | Vacation | Notify


class _Job:
    def __init__(
        self, message: Message, envelope: Envelope, store: Store, sender: Sender, options: ExecuteOptions
    ) -> None:
        self.message = message
        self.envelope = envelope
        self.store = store
        self.sender = sender
        self.options = options
        self.outcome = ExecOutcome()
        # An action that should have taken the message somewhere did not.
        self.needs_keep = False
        self.notified: set[str] = set()

    def redirect(self, action: Redirect) -> None:
        owner = owner_of(action, self.envelope)
        why = self._why_not(action, owner)
        if why:
            self._skip(action, why)
            return
        sender = action.envelope_from if action.envelope_from is not None else self.envelope.from_
        octets = redirected(self.message.to_bytes(action.moment), owner)
        self._send(action, sender or "", [action.address], octets)

    def _why_not(self, action: Redirect, owner: str) -> str:
        for known_as in dict.fromkeys((owner, self.envelope.to or "", self.envelope.orig_to or "")):
            if redirect_loop(self.message, known_as):
                return f"mail loop: {known_as} has redirected this message before"
        if len(self.message.raw_values("received")) >= self.options.max_received:
            return f"mail loop: {self.options.max_received} Received fields"
        known = self.options.duplicates
        ids = self.message.raw_values("message-id")
        if known is None or not ids:
            return ""
        id_ = f"redirect:{ids[0][:255].decode('utf-8', 'replace')}:{action.address}"
        if known.seen(id_, REDIRECT_MEMORY_S):
            return "a message of this Message-ID was redirected there before"
        known.mark(id_, REDIRECT_MEMORY_S)
        return ""

    def reject(self, action: Reject) -> None:
        answer = refusal(action, self.message, self.envelope, self.options.head)
        if answer is None:
            self._skip(action, "there is no sender who could be told")
            return
        self._send(action, "", [self.envelope.from_ or ""], answer)

    def vacation(self, action: Vacation) -> None:
        why = replies.why_not(action, self.message, self.envelope)
        known, id_ = self.options.duplicates, replies.memory_id(action, self.envelope)
        if not why and known is not None and known.seen(id_, action.policy.period_s):
            why = f"{self.envelope.from_} has been answered already"
        if why:
            self._skip(action, why)
            return
        sender = replies.envelope_sender(action, self.envelope)
        answer = replies.vacation(action, self.message, self.envelope, self.options.head)
        if self._send(action, sender, [self.envelope.from_ or ""], answer):
            if known is not None:
                known.mark(id_, action.policy.period_s)
            self._copy(action.fcc, answer)

    def notify(self, action: Notify) -> None:
        why, letter = notices.mailto(
            action, self.message, self.envelope, self.options.head, tuple(self.notified)
        )
        if letter is None:
            self._skip(action, why)
        elif self._send(action, letter.envelope_from, letter.recipients, letter.message):
            self.notified.update(one.lower() for one in letter.recipients)
            self._copy(action.fcc, letter.message)

    def _copy(self, place: FileInto | None, message: bytes) -> None:
        """RFC 8580 section 3.1: that it cannot be kept does not undo the sending."""
        if place is None:
            return
        try:
            self.store.deliver(place.mailbox, message, place.flags or (), place.create)
        except Exception as error:  # whatever an embedder's store may raise
            self.outcome.skipped.append((place, f"the copy could not be kept: {error}"))

    def _send(self, action: Action, sender: str, recipients: Sequence[str], message: bytes) -> bool:
        try:
            self.sender.send(sender, list(recipients), message)
        except Exception as error:  # whatever an embedder's sender may raise
            self._skip(action, f"it could not be sent: {error}")
            return False
        self.outcome.sent.append(Sent(action.name, sender, tuple(recipients), message))
        return True

    def _skip(self, action: Action, why: str) -> None:
        self.outcome.skipped.append((action, why))
        self.needs_keep |= action.cancels_implicit_keep

    def file(self, action: Keep | FileInto) -> None:
        mailbox = self.options.default_mailbox if isinstance(action, Keep) else action.mailbox
        create = isinstance(action, FileInto) and action.create
        flags = action.flags or ()
        if self._deliver(action, mailbox, flags, create=create):
            return
        self.needs_keep = True

    def keep(self, action: Keep) -> None:
        """The implicit keep; the last resort."""
        self.outcome.kept = True
        if not self._deliver(action, self.options.default_mailbox, action.flags or (), create=True):
            self.outcome.ok = bool(self.outcome.sent or self.outcome.filed)

    def _deliver(
        self, action: Keep | FileInto, mailbox: str, flags: tuple[str, ...], *, create: bool
    ) -> bool:
        try:
            self.store.deliver(mailbox, self.message.to_bytes(action.moment), flags, create)
        except Exception as error:  # whatever an embedder's store may raise
            self.outcome.skipped.append((action, f"failed to store into mailbox '{mailbox}': {error}"))
            return False
        self.outcome.filed.append(Filed(mailbox, flags))
        return True
