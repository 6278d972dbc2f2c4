"""What a script wants, as actions of the verdict; and what it may ask for on the way.

Messages that leave (automatic answers, notifications) are composed here, with the engine's
own pure functions; whether one may leave now is asked again when it does (`Claim`).
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from mailstack import sieve
from mailstack.filters import lists
from mailstack.filters.case import Case
from mailstack.filters.edits import View, edited
from mailstack.filters.senders import person, remembered
from mailstack.model.address import with_name
from mailstack.model.verdict import (
    AccountAction,
    Claim,
    DiscardMail,
    Edited,
    FileInto,
    Keep,
    Redirect,
    RejectMail,
    SendMail,
)
from mailstack.sieve import notices, replies
from mailstack.sieve.addresses import parse_script_address, split_envelope

#: Lists a script may name, without what RFC 6134 section 2.6 puts before ":addrbook:default".
ADDRESS_BOOK, BLOCKED, ALLOWED = ":addrbook:default", ":blocked", ":allowed"
_URN = "urn:ietf:params:sieve"
#: Characters of a URI that the log shows.
_MAX_SHOWN = 100


class Lists:
    """The account's lists for `:list` (RFC 6134)."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def knows(self, list_: str) -> bool:
        """True for the lists every account has."""
        return list_.removeprefix(_URN) in (ADDRESS_BOOK, BLOCKED, ALLOWED)

    def lookup(self, list_: str, value: str) -> bool:
        """True when the address, or its domain, is on the list."""
        case, address = self._case, value.strip().lower()
        name = list_.removeprefix(_URN)
        if name == BLOCKED:
            return bool(lists.find(address, case.blocked))
        if name not in (ADDRESS_BOOK, ALLOWED):
            return False
        if lists.find(address, case.allowed):
            return True
        return name == ADDRESS_BOOK and case.around.is_correspondent(address)


class Ids:
    """What `duplicate` has seen; remembers what is to be marked.

    Attributes:
        marked: ids and seconds.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self.marked: list[tuple[str, float]] = []

    def seen(self, id_: str, ttl_s: int) -> bool:
        """True when the account saw it within the time."""
        return self._case.around.seen(id_, since=self._case.request.received_at - ttl_s)

    def mark(self, id_: str, ttl_s: int) -> None:
        """To be remembered once the message is delivered."""
        self.marked.append((id_, float(ttl_s)))


def why_no_reply(decided: sieve.Result) -> str:
    """Why the autoresponder is silent after what scripts decided; "" when it is not."""
    kinds = {type(action) for action in decided.actions}
    if sieve.Reject in kinds:
        return "a script refuses the message"
    if sieve.Vacation in kinds:
        return "a script answers already"
    if (
        sieve.Discard in kinds
        and not decided.failed
        and not kinds & {sieve.Keep, sieve.FileInto, sieve.Redirect}
    ):
        return "a script throws the message away"
    return ""


def in_words(action: sieve.Action) -> str:
    """An action for people, such as "fileinto Lists"."""
    match action:
        case sieve.FileInto():
            return f"{action.name} {action.mailbox}"
        case sieve.Redirect():
            return f"{action.name} {action.address}"
        case sieve.Notify():
            return f"{action.name} {action.method[:_MAX_SHOWN]}"
        case sieve.Reject():
            return "ereject" if action.ereject else "reject"
        case _:
            return action.name


class Wishes:
    """Turns actions of the engine into those of the verdict.

    Attributes:
        needs_keep: something that would have taken the message elsewhere cannot be done.
        notes: what is not done, in words.
    """

    def __init__(self, case: Case, context: sieve.Context, view: View, hostname: str) -> None:
        self._case = case
        self._context = context
        self._view = view
        address = case.recipient.address
        self._head = sieve.Letterhead(hostname or "localhost", context.now, address)
        self._notified: set[str] = set()
        self.actions: list[AccountAction] = []
        self.needs_keep = False
        self.notes: list[str] = []

    def add(self, action: sieve.Action) -> None:
        """Adds what it comes to."""
        match action:
            case sieve.Keep():
                self.actions.append(Keep("INBOX", action.flags or (), edited=self._edited(action)))
            case sieve.FileInto():
                self.actions.append(self._place(action))
            case sieve.Redirect():
                self.actions.append(
                    Redirect(
                        action.address, action.notify, action.ret, action.envelope_from, self._edited(action)
                    )
                )
            case sieve.Reject():
                self.actions.append(RejectMail(action.text, action.ereject))
            case sieve.Discard():
                self.actions.append(DiscardMail())
            case sieve.Vacation():
                self._vacation(action)
            case sieve.Notify():
                self._notify(action)
            case _:
                self._leave(action, "nothing here can do that")

    def _leave(self, action: sieve.Action, why: str) -> None:
        self.notes.append(f"{action.name}: {why}")
        self.needs_keep |= action.cancels_implicit_keep

    def _edited(self, action: sieve.Keep | sieve.FileInto | sieve.Redirect) -> Edited | None:
        return edited(self._view, self._context.message, action.moment)

    def _place(self, action: sieve.FileInto) -> FileInto:
        mailbox, folders = action.mailbox, self._case.around.folders
        if action.special_use and folders is not None:
            # RFC 8579 section 4: the folder with the attribute, else the one of the name.
            mailbox = folders.by_use(action.special_use) or mailbox
        return FileInto(mailbox, action.flags or (), action.create, self._edited(action))

    def _copy(self, place: sieve.FileInto | None) -> FileInto | None:
        """Where a copy of what leaves goes: not of the message itself."""
        return None if place is None else msgspec.structs.replace(self._place(place), edited=None)

    # -- messages that leave ----------------------------------------------------------------

    def _own(self, from_: str | None) -> str | None:
        """The From a script wants, when it is the owner's."""
        if from_ is None:
            return None
        address = parse_script_address(from_)
        if address is not None and self._case.around.may_send_as(address):
            return from_
        self.notes.append(f"{address or from_[:80]} is not an address of {self._case.recipient.address}")
        return None

    def _vacation(self, action: sieve.Vacation) -> None:
        case, context = self._case, self._context
        own = tuple(dict.fromkeys((*action.addresses, *case.around.addresses)))
        action = replace(action, from_=self._own(action.from_), addresses=own)
        envelope = self._own_envelope()
        # Who is asked for is the person; who is written to is the sender.
        asked = replace(envelope, from_=person(envelope.from_ or ""))
        why = case.why_silent or replies.why_not(action, context.message, asked)
        sender = split_envelope(asked.from_)
        if why or sender is None:
            self._leave(action, f"no answer: {why}")
            return
        # The addresses are part of the memory where there is no handle; an alias more is no other answer.
        id_ = replies.memory_id(
            replace(action, addresses=()), replace(envelope, from_=remembered(envelope.from_ or ""))
        )
        if action.from_ is None and envelope.to and case.around.name:
            action = replace(action, from_=with_name(case.around.name, envelope.to))
        self.actions.append(
            SendMail(
                replies.envelope_sender(action, envelope),
                (envelope.from_ or "",),
                replies.vacation(action, context.message, envelope, self._head),
                "vacation",
                Claim(id_, sender.text.lower(), action.policy.period_s, action.handle or ""),
                self._copy(action.fcc),
            )
        )

    def _own_envelope(self) -> sieve.Envelope:
        """With an address of the owner's as recipient: what a group gets is not written to its members.

        Source: RFC 5230 section 4.5; product page, section 4.
        """
        envelope = self._context.envelope
        if envelope.to and self._case.around.is_own(envelope.to):
            return envelope
        return replace(envelope, to=self._case.recipient.address)

    def _notify(self, action: sieve.Notify) -> None:
        action = replace(action, from_=self._own(action.from_))
        why = "it is spam" if self._case.is_spam else ""
        letter = None
        if not why:
            why, letter = notices.mailto(
                action, self._context.message, self._context.envelope, self._head, tuple(self._notified)
            )
        if letter is None:
            self._leave(action, f"nobody is notified: {why}")
            return
        self._notified.update(one.lower() for one in letter.recipients)
        self.actions.append(
            SendMail(
                letter.envelope_from,
                tuple(letter.recipients),
                letter.message,
                "notify",
                copy=self._copy(action.fcc),
            )
        )
