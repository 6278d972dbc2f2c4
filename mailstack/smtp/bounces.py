"""Reads out of a bounce what it is about: the messages it names, the recipients that failed.

A bounce is read leniently, because half the world writes its own form; but mail that is
none (a receipt, an automatic reply) must not look like one.

Standards: RFC 3464 sections 2.2 and 2.3, RFC 3462 (multipart/report), RFC 8098 (receipts).
Imports: mime, model.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mailstack.mime.header import Headers, find_end, unfold
from mailstack.model.address import Address

#: Of a bounce this much is read, in octets.
MAX_OCTETS: Final = 524_288
#: Message-IDs and recipients that are looked at.
MAX_NAMES: Final = 20

_REPORT = re.compile(rb'report-type\s*=\s*"?(?:global-)?delivery-status', re.IGNORECASE)
_SYSTEM = re.compile(rb"(?:mailer-daemon|postmaster)@|\bmail delivery (?:sub)?system\b", re.IGNORECASE)
_MESSAGE_ID = re.compile(
    rb"^[> \t|]*(?:original-|resent-)?message-id:\s*(<[^<>\s]{1,900}>)", re.IGNORECASE | re.MULTILINE
)
_REFERENCE = re.compile(rb"<[^<>\s]{1,900}>")
_RECIPIENT = re.compile(
    rb"^(?:final|original)-recipient:\s*[^;\r\n]{1,40};\s*<?([^\s<>;]{1,320}@[^\s<>;]{1,255})", re.I | re.M
)

_FINAL = re.compile(
    rb"^final-recipient:\s*[^;\r\n]{1,40};\s*<?([^\s<>;]{1,320}@[^\s<>;]{1,255})", re.I | re.M
)
_STATUS = re.compile(rb"\s*(5\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a bounce names.

    Attributes:
        messages: Message-IDs with their brackets.
        recipients: addresses, lower case.
    """

    messages: tuple[str, ...]
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A recipient that refused for good.

    Attributes:
        recipient: lower case.
        status: of RFC 3463, such as "5.1.1".
        answer: the far server's words; "" when the report does not tell them.
    """

    recipient: str
    status: str
    answer: str


def is_sender_system(sender: Address | None) -> bool:
    """The envelope senders of bounces: null, and what old servers use instead."""
    return sender is None or sender.local.lower() in ("mailer-daemon", "postmaster")


def read(message: bytes) -> Bounce | None:
    """What the message names, if it is a bounce.

    Args:
        message: its beginning, up to MAX_OCTETS.
    """
    message = message[:MAX_OCTETS]
    header = Headers.parse(message)
    if not _is_bounce(header):
        return None
    body = message[find_end(message)[1] :]
    ids = [*_MESSAGE_ID.findall(body)]
    for name in ("in-reply-to", "references"):
        for value in header.all(name):
            ids.extend(_REFERENCE.findall(unfold(value)))
    failed = [*_RECIPIENT.findall(body)]
    for value in header.all("x-failed-recipients"):
        failed.extend(part.strip() for part in value.split(b","))
    return Bounce(_texts(ids), tuple(text.lower() for text in _texts(failed)))


def failures(message: bytes) -> tuple[Failure, ...]:
    """The recipients that failed for good, of a report in the standard's form; () for any other mail.

    Args:
        message: its beginning, up to MAX_OCTETS.

    Source: RFC 3464 section 2.3.
    """
    message = message[:MAX_OCTETS]
    if not _REPORT.search(unfold(Headers.parse(message).first("content-type") or b"")):
        return ()
    found = {}
    for at in list(_FINAL.finditer(message))[:MAX_NAMES]:
        start = message.rfind(b"\n\r\n", 0, at.start()) + 3
        end = message.find(b"\r\n\r\n", at.end())
        fields = Headers.parse(message[start : end if end >= 0 else None])
        action, status = fields.first("action") or b"", _STATUS.match(fields.first("status") or b"")
        if action.strip().lower() == b"failed" and status is not None:
            said = unfold(fields.first("diagnostic-code") or b"").partition(b";")[2].strip()
            name = at[1].decode("utf-8", "replace").lower()
            found[name] = Failure(name, status[1].decode("ascii"), said.decode("utf-8", "replace")[:400])
    return tuple(found.values())


def _is_bounce(header: Headers) -> bool:
    kind = unfold(header.first("content-type") or b"")
    if kind.lower().lstrip().startswith(b"multipart/report"):
        return _REPORT.search(kind) is not None
    return header.count("x-failed-recipients") > 0 or _SYSTEM.search(header.first("from") or b"") is not None


def _texts(found: list[bytes]) -> tuple[str, ...]:
    return tuple(text.decode("utf-8", "replace") for text in list(dict.fromkeys(found))[:MAX_NAMES])
