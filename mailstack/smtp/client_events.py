"""What a client session and its shell say to each other: frozen values.

Imports: model.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from mailstack.model.reply import Reply

#: "none": never; "opportunistic": when offered; "require": or not at all.
TlsMode = Literal["none", "opportunistic", "require"]
#: LMTP: one answer per recipient after the message (RFC 2033).
Protocol = Literal["smtp", "lmtp"]
Stage = Literal["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end", "check"]
#: Which of the shell's time limits holds now (RFC 5321 section 4.5.3.2).
Wait = Literal["command", "data", "body", "end", "quit", "none"]


@dataclass(frozen=True, slots=True)
class OutgoingRecipient:
    """A recipient as it goes over the wire; `notify` and `orcpt` decoded (RFC 3461)."""

    address: str
    notify: frozenset[str] = frozenset()
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One message for one server.

    Attributes:
        sender: "" for the null sender.
        size_octets: of the message, before dots are doubled.
        has_8bit: octets above 127 anywhere.
        needs_utf8: its header holds UTF-8 and came with SMTPUTF8.
        send_8bit: send 8-bit octets although the server does not announce 8BITMIME.
        is_binary: declared BINARYMIME: its octets leave as they are, by BDAT, or not at all.
        requiretls: verified TLS only, to servers that promise the same (RFC 8689); with the
            null sender only where it can be had.
        is_probe: only asked: it ends after RCPT, and nothing is sent.
    """

    sender: str
    recipients: tuple[OutgoingRecipient, ...]
    size_octets: int
    has_8bit: bool = False
    needs_utf8: bool = False
    ret: str = ""
    envid: str = ""
    send_8bit: bool = False
    is_binary: bool = False
    requiretls: bool = False
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one recipient.

    Attributes:
        reply: the server's, with its status split off; ours when `is_ours`.
        stage: the command it answers.
        is_ours: we said so, because of what the server announced or because it vanished.
        is_possible_duplicate: everything was sent, and the answer never came (promise P4).
    """

    reply: Reply
    stage: Stage
    is_ours: bool = False
    is_possible_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The session takes a transaction: `send`."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """The shell does the handshake now, then calls `tls_done`."""


@dataclass(frozen=True, slots=True)
class SendBody:
    """The shell writes the message through `client_transaction.stuffed`, then calls `body_done`.

    Attributes:
        is_raw: its octets as they are, exactly as many as were stated (RFC 3030).
    """

    is_raw: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The transaction is over; one answer per recipient, in order.

    Attributes:
        relays_reports: the server takes over the duty to report success (RFC 3461).
        is_final: the server answered for the mailboxes themselves (LMTP).
    """

    answers: tuple[Answer, ...]
    relays_reports: bool = False
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """No (further) message goes over this connection; another host may do better."""

    answer: Answer


Event: TypeAlias = Ready | StartTls | SendBody | Done | Broken
