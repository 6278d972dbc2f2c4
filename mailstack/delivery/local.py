"""Carries one account's actions out in its mailbox, durably and once.

Every copy has a deterministic file name (accept id, recipient number, action number),
so doing it again after a crash finds the file and writes nothing (promise P3).

Standards: RFC 5228 section 2.10.1 (actions), RFC 5321 section 4.4 (Return-Path).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from mailstack.model.envelope import Body
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.mailbox import FLAG_NAMES, AccountStore, Delivery, Flags, MailboxError, NewMessage
from mailstack.model.verdict import (
    AccountAction,
    AccountVerdict,
    DiscardMail,
    Edited,
    FileInto,
    Keep,
    Redirect,
    RejectMail,
    SendMail,
)

_FLAG_BY_NAME = {name.lower(): flag for flag, name in FLAG_NAMES}
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9.-]")


@dataclass(frozen=True, slots=True)
class Copy:
    """One stored copy.  `action`: the Sieve word that put it there."""

    mailbox: str
    uid: int
    action: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """What to store for one account.

    Attributes:
        accept_id: of the transaction.
        number: of the local target, 1-based.
        received_at: Unix seconds; becomes INTERNALDATE.
        host: our name, for the Maildir file name.
        prefix: header lines on top of this copy.
        cuts: byte ranges of the body left out.
    """

    accept_id: str
    number: int
    received_at: float
    host: str
    body: Body
    prefix: bytes
    cuts: Sequence[tuple[int, int]] = ()


def base_name(job: Job, action: int) -> str:
    """The Maildir name of copy `action` (1-based), always the same for the same job."""
    host = _UNSAFE_IN_NAME.sub("_", job.host) or "localhost"
    return f"{int(job.received_at)}.{job.accept_id}_{job.number}_{action}.{host}"


def flags_of(names: Sequence[str]) -> tuple[Flags, tuple[str, ...]]:
    """Splits Sieve flags into system flags and keywords; unknown system flags are dropped."""
    flags = Flags.NONE
    keywords = []
    for name in names:
        known = _FLAG_BY_NAME.get(name.lower())
        if known is not None:
            flags |= known
        elif not name.startswith("\\"):
            keywords.append(name)
    return flags, tuple(dict.fromkeys(keywords))


def store_actions(actions: Sequence[AccountAction]) -> list[Keep | FileInto]:
    """The actions that put a copy into the account's own mailbox."""
    return [action for action in actions if isinstance(action, Keep | FileInto)]


def reject_of(verdict: AccountVerdict) -> RejectMail | None:
    """The refusal among the actions; nothing else is carried out then."""
    return next((action for action in verdict.actions if isinstance(action, RejectMail)), None)


def redirects_of(verdict: AccountVerdict) -> list[Redirect]:
    """Where the account's own script sends it on."""
    return [action for action in verdict.actions if isinstance(action, Redirect)]


def mails_of(verdict: AccountVerdict) -> list[SendMail]:
    """Replies and notifications composed by the account's script."""
    return [action for action in verdict.actions if isinstance(action, SendMail)]


def is_discarded(verdict: AccountVerdict) -> bool:
    """True when the owner's rule threw it away, and none sends it on instead: what cannot leave stays."""
    return any(isinstance(action, DiscardMail) for action in verdict.actions) and not redirects_of(verdict)


def store(
    store_: AccountStore,
    job: Job,
    actions: Sequence[Keep | FileInto],
    made: list[Copy] | None = None,
    *,
    first: int = 1,
) -> list[Copy]:
    """Stores every copy the actions ask for.

    A folder that cannot be used (bad name, limit) never loses the message: that copy goes
    to INBOX.

    Args:
        made: takes each copy once it is durable, also those before one that fails.
        first: the number of the first action, which is part of its copy's name.

    Returns:
        One Copy per action; on return all are durable.

    Raises:
        TemporaryFailure: disk or database; copies already stored stay and are found again
            by name when this is repeated for the same job.
        PermanentFailure: the mailbox is over its quota for good.
    """
    copies = [] if made is None else made
    for number, action in enumerate(actions, first):
        flags, keywords = flags_of(action.flags)
        changed = job if action.edited is None else with_edits(job, action.edited)
        message = NewMessage(
            changed.body.data,
            path=changed.body.path,
            flags=flags,
            keywords=keywords,
            internal_at=int(job.received_at),
            binary=changed.body.is_binary,
        )
        create = isinstance(action, FileInto) and action.create
        copies.append(
            _one(store_, changed, message, _Place(number, action.mailbox, create, type(action).__name__))
        )
    return copies


def with_edits(job: Job, edited: Edited) -> Job:
    """The job for a copy a script changed: what we put on top stays there."""
    prefix = job.prefix + edited.head
    if edited.body is None:
        return replace(job, prefix=prefix, cuts=((0, edited.body_at),))
    body = Body(edited.body, size_octets=len(edited.body), is_binary=job.body.is_binary)
    return replace(job, prefix=prefix, cuts=(), body=body)


def rebased(
    actions: Sequence[Keep | FileInto], prefix: bytes, cuts: Sequence[tuple[int, int]]
) -> list[Keep | FileInto]:
    """The actions for a message that has `prefix` on top already, and `cuts` no more."""
    gone = sum(end - start for start, end in cuts)
    return [
        action
        if action.edited is None
        else msgspec.structs.replace(
            action,
            edited=Edited(
                prefix + action.edited.head, action.edited.body, len(prefix) + action.edited.body_at - gone
            ),
        )
        for action in actions
    ]


@dataclass(frozen=True, slots=True)
class _Place:
    number: int
    mailbox: str
    create: bool
    action: str


def _one(store_: AccountStore, job: Job, message: NewMessage, place: _Place) -> Copy:
    name = base_name(job, place.number)
    for mailbox in dict.fromkeys((place.mailbox, "INBOX")):
        try:
            done = _deliver(store_, mailbox, message, job, name, place)
        except MailboxError as error:
            if error.code == "OVERQUOTA":
                raise PermanentFailure(error.text, status="2.2") from error
            if mailbox == "INBOX":
                raise TemporaryFailure(error.text) from error
            continue
        return Copy(done.folder, done.uid, place.action.lower(), done.again)
    raise AssertionError("INBOX was tried")


def _deliver(
    store_: AccountStore, mailbox: str, message: NewMessage, job: Job, name: str, place: _Place
) -> Delivery:
    deliver = partial(
        store_.deliver, mailbox, base_name=name, prefix=job.prefix, cuts=job.cuts, create=place.create
    )
    try:
        return deliver(message)
    except MailboxError as error:
        if error.code != "UNKNOWN-CTE":
            raise
    # NUL outside of all parts: as it is taken in any other message.
    return deliver(replace(message, binary=False))


def dump_retry(number: int, received_at: float, actions: Sequence[Keep | FileInto], *, first: int = 1) -> str:
    """What a later attempt needs to do exactly what this one could not; opaque text.

    Args:
        first: the number of the first of the actions; those before it are done.
    """
    wanted = [
        [type(a).__name__, a.mailbox, list(a.flags), isinstance(a, FileInto) and a.create, _dump(a.edited)]
        for a in actions
    ]
    return json.dumps({"number": number, "received_at": received_at, "actions": wanted, "first": first})


def _dump(edited: Edited | None) -> str | None:
    return None if edited is None else msgspec.json.encode(edited).decode("ascii")


def _load(edited: str | None = None) -> Edited | None:
    return None if edited is None else msgspec.json.decode(edited, type=Edited)


@dataclass(frozen=True, slots=True)
class Retry:
    """A `dump_retry` read back."""

    number: int
    received_at: float
    actions: tuple[Keep | FileInto, ...]
    first: int = 1


def load_retry(detail: str, *, received_at: float) -> Retry:
    """Reads it back; anything else (a report to a local address has none) means INBOX."""
    if not detail:
        return Retry(1, received_at, (Keep(),))
    read = json.loads(detail)
    actions = tuple(
        FileInto(mailbox, tuple(flags), create, _load(*edited))
        if kind == "FileInto"
        else Keep(mailbox, tuple(flags), edited=_load(*edited))
        for kind, mailbox, flags, create, *edited in read["actions"]
    )
    return Retry(int(read["number"]), float(read["received_at"]), actions, int(read.get("first", 1)))
