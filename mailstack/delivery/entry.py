"""What goes into the queue, and what an attempt gets out of it: frozen values.

Imports: model.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from mailstack.model.outcome import Outcome

#: submission: from a login; relay: for a domain whose mail lies elsewhere; forward: a redirection;
#: dsn: a report of ours; vacation: an automatic reply or notification; local: for a mailbox here;
#: srs-bounce: a bounce on its way back to the sender of forwarded mail.
Kind: TypeAlias = Literal["submission", "relay", "forward", "dsn", "vacation", "local", "srs-bounce"]
RecipientKind: TypeAlias = Literal["remote", "local"]

#: Stands in the destination column for recipients of kind "local"; never a domain.
LOCAL = "(local)"
#: Stands in the `detail` of what is sent on from a mailbox that keeps a copy of it: to its sender
#: it is delivered.  The other: the rule that sends it on wants reports all the same (RFC 6009).
HAS_COPY, HAS_COPY_REPORTED = "copy", "copy, reported"


@dataclass(frozen=True, slots=True)
class QueueRecipient:
    """One recipient of a message to be queued.

    Attributes:
        address: as it stands in RCPT TO, without brackets.
        notify: subset of {"NEVER","SUCCESS","FAILURE","DELAY"}; empty: default (RFC 3461).
        orcpt: `type;address`, decoded; "" when not given.
        kind: "local": for a mailbox here, carried out by the local deliverer.
        owner: the local address whose log shows what becomes of it; "" for the message's.
        detail: what the local deliverer needs to do again what it could not do, opaque; or HAS_COPY...
        original: the address the sender wrote to, which reports name; "": `address`.
    """

    address: str
    notify: frozenset[str] = frozenset()
    orcpt: str = ""
    kind: RecipientKind = "remote"
    owner: str = ""
    detail: str = ""
    original: str = ""


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """A message to be queued.

    Attributes:
        queue_id: "" for a new one, made by the queue.
        accept_id: of the transaction that brought it; "" when we composed it.
        sender: envelope sender as text; "" for the null sender.
        data: the octets; None: they lie in `path`.
        path: a file with the octets; it is copied and stays.
        path_octets: how many of the file's octets, from its start, are the message; None: all.
        prefix: octets put before `data` or the file's octets (header lines).
        smtputf8: it was received, or made, with SMTPUTF8.
        body: "7BIT", "8BITMIME" or "BINARYMIME" as declared.
        ret, envid: RFC 3461, decoded.
        requiretls: it may travel over verified TLS only (RFC 8689).
        owner: the local address that sent, forwarded or answered it; its log shows it.
        is_sender_verified: False when nobody knows that `sender` sent it (no login, neither
            SPF nor aligned DKIM passed): no report goes to that sender, `owner` keeps the mail.
    """

    recipients: tuple[QueueRecipient, ...]
    queue_id: str = ""
    accept_id: str = ""
    sender: str = ""
    data: bytes | None = None
    path: str = ""
    path_octets: int | None = None
    prefix: bytes = b""
    kind: Kind = "submission"
    smtputf8: bool = False
    body: str = "7BIT"
    ret: str = ""
    envid: str = ""
    requiretls: bool = False
    owner: str = ""
    is_sender_verified: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """What the queue knows of a stored message beside its recipients.

    Attributes:
        queue_id: also the name of its file.
        size_octets, sha256: of the message, without the file's trailer.
        has_8bit, has_8bit_header: octets above 127 anywhere, in the header; of what came with
            SMTPUTF8 also in the header of a part.
        created_at: Unix seconds.
        rank: see `rank`; 0 goes first.
    """

    queue_id: str
    accept_id: str
    kind: Kind
    sender: str
    owner: str
    is_sender_verified: bool
    smtputf8: bool
    body: str
    has_8bit: bool
    has_8bit_header: bool
    ret: str
    envid: str
    size_octets: int
    sha256: str
    created_at: float
    requiretls: bool = False
    rank: int = 1


@dataclass(frozen=True, slots=True)
class EntryRecipient:
    """A claimed recipient.

    Attributes:
        row: its row number.
        position: 1-based place in the message's list.
        destination: what attempts are grouped by: the domain, or LOCAL.
        tries: number of this attempt, from 1.
        next_at: when the next attempt is due should this one be deferred; Unix seconds.
            Committed before this attempt began (promise P5).
        waited_s: how long it has waited so far, as far as the clock can be trusted.
        is_last: no attempt follows this one.
        delay_told: the sender knows already that it is late.
        original: the address the sender wrote to; "": `address`.
    """

    row: int
    position: int
    address: str
    kind: RecipientKind
    owner: str
    notify: frozenset[str]
    orcpt: str
    detail: str
    destination: str
    tries: int
    next_at: float
    waited_s: float
    is_last: bool
    delay_told: bool
    original: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt: a message and those of its recipients that go to one destination."""

    facts: Facts
    recipients: tuple[EntryRecipient, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What one attempt did for one recipient.

    Attributes:
        host: who said so, `name[ip]`; "" when nobody was asked.
        needs_relayed_report: the sender asked for a report of success and the next host
            does not send such reports (RFC 3461 section 5.2.2).
        is_final: the host answers for the mailbox itself (LMTP): it is delivered, not relayed.
        tls: version and cipher; "" in clear.
        is_ours: the outcome's reply is this server's about the host, not the host's.
    """

    recipient: EntryRecipient
    outcome: Outcome
    host: str = ""
    needs_relayed_report: bool = False
    is_final: bool = False
    tls: str = ""
    is_ours: bool = False
