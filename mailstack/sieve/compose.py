"""Messages the engine itself writes: redirected copies and refusals.

Built as octets, line by line: nothing from outside reaches a header field but addresses
that have been parsed and our own words.

Standards: RFC 5228 section 4.2, RFC 5429 section 2, RFC 8098 (MDN), RFC 3464 (DSN),
RFC 3834 (automatic answers).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailstack.mime.lines import normalise
from mailstack.sieve.actions import Redirect, Reject
from mailstack.sieve.addresses import parse_script_address, split_envelope
from mailstack.sieve.context import Envelope
from mailstack.sieve.message import Message

#: Loop control (T51): the script owners a message has been redirected by.
REDIRECTED_FROM = "X-Sieve-Redirected-From"

_REFUSED = (
    "Your message was refused by the recipient's mail filtering program.\r\nThe reason given was as follows:"
)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What messages of ours need to know.

    Attributes:
        hostname: for Message-ID, Reporting-UA and Reporting-MTA.
        now: Unix seconds, for Date.
        postmaster: address automatic messages come from.
    """

    hostname: str = "localhost"
    now: float = 0.0
    postmaster: str = ""

    @property
    def sender(self) -> str:
        """The address automatic messages come from."""
        return parse_script_address(self.postmaster) or f"postmaster@{self.hostname}"


def owner_of(action: Redirect, envelope: Envelope) -> str:
    """Whose script redirects; "" when nobody knows."""
    address = split_envelope(action.redirected_from or envelope.to or envelope.orig_to)
    return address.text if address is not None else ""


def redirect_loop(message: Message, owner: str) -> bool:
    """True when this owner's script has redirected the message before.

    Source: RFC 5228 section 4.2: loop control is a MUST.
    """
    if not owner:
        return False
    wanted = owner.lower()
    return any(
        address.text.lower() == wanted
        for raw in message.raw_values(REDIRECTED_FROM)
        if (address := split_envelope(raw.decode("utf-8", "replace"))) is not None
    )


def redirected(octets: bytes, owner: str) -> bytes:
    """The message as it goes on: as it is, with one field more on top."""
    line_end = b"\n" if b"\r\n" not in octets[:4096] and b"\n" in octets[:4096] else b"\r\n"
    name = _header_text(owner)
    return f"{REDIRECTED_FROM}: {name}".encode() + line_end + octets if name else octets


def refusal(action: Reject, message: Message, envelope: Envelope, head: Letterhead) -> bytes | None:
    """The answer to a rejected message: an MDN, or a DSN for `ereject`.

    Returns:
        None when nobody may be answered: a null, unknown or unusable sender
        (RFC 5429 sections 2.1.2 and 2.2.1).
    """
    to = parse_script_address(envelope.from_ or "")
    if to is None:
        return None
    recipient = parse_script_address(envelope.to or "") or head.sender
    report = _dsn if action.ereject else _mdn
    machine, kind = report(message, recipient, envelope, head)
    boundary = hashlib.sha256(message.original[:65_536] + action.text.encode("utf-8", "replace")).hexdigest()[
        :32
    ]
    human = text_part(f"{_REFUSED}\r\n\r\n{action.text}\r\n")
    header = _part_of_header(message)
    lines = [
        f"From: <{head.sender}>" if action.ereject else f"From: <{recipient}>",
        f"To: <{to}>",
        "Subject: Automatically rejected mail",
        f"Date: {_date(head.now)}",
        f"Message-ID: <sieve.{boundary}.{int(head.now)}@{head.hostname}>",
        "Auto-Submitted: auto-replied (rejected)",
        *_in_reply_to(message),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type={kind}; boundary="{boundary}"',
        "",
        "",
    ]
    parts = [part for part in (human, machine, header) if part]
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return "\r\n".join(lines).encode("utf-8") + body + b"--" + boundary.encode() + b"--\r\n"


def _mdn(message: Message, recipient: str, envelope: Envelope, head: Letterhead) -> tuple[bytes, str]:
    # RFC 5429 section 2.2.1: disposition "deleted", sent automatically.
    fields = [
        f"Reporting-UA: {head.hostname}; mailstack Sieve",
        *([f"Original-Recipient: rfc822;{_header_text(envelope.orig_to)}"] if envelope.orig_to else []),
        f"Final-Recipient: rfc822;{recipient}",
        *_original_id(message, "Original-Message-ID"),
        "Disposition: automatic-action/MDN-sent-automatically; deleted",
    ]
    return _machine("message/disposition-notification", [fields]), "disposition-notification"


def _dsn(message: Message, recipient: str, envelope: Envelope, head: Letterhead) -> tuple[bytes, str]:
    # RFC 5429 section 2.1.2: action "failed".
    per_message = [f"Reporting-MTA: dns;{head.hostname}"]
    per_recipient = [
        *([f"Original-Recipient: rfc822;{_header_text(envelope.orig_to)}"] if envelope.orig_to else []),
        f"Final-Recipient: rfc822;{recipient}",
        "Action: failed",
        "Status: 5.7.1",
    ]
    return _machine("message/delivery-status", [per_message, per_recipient]), "delivery-status"


def _machine(kind: str, groups: Sequence[Sequence[str]]) -> bytes:
    text = "\r\n\r\n".join("\r\n".join(group) for group in groups)
    return f"Content-Type: {kind}\r\n\r\n{text}\r\n".encode()


def whole(octets: bytes) -> bytes:
    """A message whose last line has its end."""
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


def text_part(text: str) -> bytes:
    """A text part; base64 keeps line lengths and characters out of trouble."""
    octets = normalise(text.encode("utf-8", "replace"))
    if text.isascii() and all(len(line) < 900 for line in octets.split(b"\r\n")) and "\0" not in text:
        return b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + octets
    encoded = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    return b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded


def _part_of_header(message: Message) -> bytes:
    """The header of the refused message (RFC 5429 section 2.4: without edits)."""
    end = len(message.original) - len(message.body)
    header = normalise(message.original[: min(end, 65_536)])
    encoding = "7bit" if header.isascii() else "8bit"
    kind = f"Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return kind.encode() + header


def _in_reply_to(message: Message) -> list[str]:
    return _original_id(message, "In-Reply-To")


def _original_id(message: Message, name: str) -> list[str]:
    found = message.raw_values("message-id")
    text = _header_text(found[0].decode("utf-8", "replace")) if found else ""
    return [f"{name}: {text}"] if text.startswith("<") and text.endswith(">") and text.isascii() else []


def _date(now: float) -> str:
    """RFC 5322 section 3.3, in UTC, whatever the locale."""
    moment = datetime.fromtimestamp(now, UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{day}, {moment.day} {months[moment.month - 1]} {moment.year} {moment:%H:%M:%S} +0000"


def _header_text(text: str | None) -> str:
    """Text that stays within its field: no controls, not too long."""
    return "".join(c for c in (text or "")[:900] if c.isprintable())
