"""Notifications by mail: what a `mailto:` URI asks for, and the message that comes of it.

Standards: RFC 5436, RFC 6068 (mailto).
Imports: mime.  No I/O.
"""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mailstack.mime import generate
from mailstack.mime.addresses import parse
from mailstack.mime.date import format_header
from mailstack.mime.encoding import decode_words
from mailstack.sieve.actions import Notify
from mailstack.sieve.addresses import parse_script_address
from mailstack.sieve.compose import Letterhead, text_part, whole
from mailstack.sieve.context import Envelope
from mailstack.sieve.message import Message, is_field_name
from mailstack.sieve.replies import mailbox_field, named_address

SCHEME = "mailto:"
MAX_RECIPIENTS = 10
#: RFC 3986 section 2, for what stands unescaped; RFC 6068 section 2 takes some out.
_ADDRESSES = re.compile(r"(?:[A-Za-z0-9._~!$'()*+,:@/-]|%[0-9A-Fa-f]{2})*\Z")
_VALUE = re.compile(r"(?:[A-Za-z0-9._~!$'()*+,;:@/?=-]|%[0-9A-Fa-f]{2})*\Z")
#: RFC 5436 section 2.7: ignored, because they are ours to say, or unsafe.
_IGNORED = frozenset(
    {
        "from", "sender", "bcc", "auto-submitted", "received", "message-id", "date", "return-path",
        "mime-version", "content-type", "content-transfer-encoding", "x-sieve", "importance", "x-priority",
    }
)  # fmt: skip
_PRIORITIES = {"1": ("1 (High)", "High"), "2": ("3 (Normal)", "Normal"), "3": ("5 (Low)", "Low")}


@dataclass(slots=True)
class Mailto:
    """A `mailto:` URI, decoded.

    Attributes:
        to, cc: display names and addresses.
        fields: other header fields, in order, without those that are ignored.
    """

    to: list[tuple[str, str]] = field(default_factory=list)
    cc: list[tuple[str, str]] = field(default_factory=list)
    subject: str | None = None
    body: str | None = None
    fields: list[tuple[str, str]] = field(default_factory=list)


class WrongUri(ValueError):
    """Not a URI a notification can be sent to; says why."""


class Letter(NamedTuple):
    """A message ready to leave."""

    envelope_from: str
    recipients: list[str]
    message: bytes


def read(uri: str) -> Mailto:
    """Reads a URI.

    Raises:
        WrongUri: it is no `mailto:` URI, or one of its parts cannot be used.

    Source: RFC 6068 section 2.
    """
    if not uri.lower().startswith(SCHEME):
        raise WrongUri("only mailto: URIs can be notified")
    addresses, _, rest = uri[len(SCHEME) :].partition("?")
    if _ADDRESSES.match(addresses) is None:
        raise WrongUri("there is a character in the addresses that must be written as %hex")
    mailto = Mailto()
    if addresses:
        mailto.to += _mailboxes(urllib.parse.unquote(addresses))
    for item in filter(None, rest.split("&")):
        _header(mailto, item)
    if not mailto.to and not mailto.cc:
        raise WrongUri("it names nobody to notify")
    if len(mailto.to) + len(mailto.cc) > MAX_RECIPIENTS:
        raise WrongUri(f"it names more than {MAX_RECIPIENTS} people")
    return mailto


def _header(mailto: Mailto, item: str) -> None:
    name, equals, value = item.partition("=")
    if not equals or not name or _VALUE.match(name) is None or _VALUE.match(value) is None:
        raise WrongUri("there is a character in a header that must be written as %hex")
    name, value = urllib.parse.unquote(name), urllib.parse.unquote(value)
    if not is_field_name(name):
        raise WrongUri(f"'{name[:40]}' is not the name of a header field")
    match name.lower():
        case "to":
            mailto.to += _mailboxes(value)
        case "cc":
            mailto.cc += _mailboxes(value)
        case "subject":
            mailto.subject = value
        case "body":
            mailto.body = value
        case other:
            if other in _IGNORED:
                return
            mailto.fields.append((name[:1].upper() + name[1:], value))


def _mailboxes(text: str) -> list[tuple[str, str]]:
    found = []
    for entry in parse(text.encode("utf-8", "surrogateescape")):
        spec = parse_script_address(entry.spec) if entry.is_mailbox else None
        if spec is None:
            raise WrongUri(f"'{text[:60]}' is not an e-mail address")
        found.append((decode_words(entry.name) if entry.name else "", spec))
    if not found:
        raise WrongUri(f"'{text[:60]}' is not an e-mail address")
    return found


def why_not(message: Message) -> str:
    """Why nobody is notified of this message; "" when they are (RFC 5436 section 2.7)."""
    for raw in message.raw_values("auto-submitted"):
        if raw.split(b";")[0].strip().lower() != b"no":
            return "the message was sent by a program (field Auto-Submitted)"
    return ""


def mailto(
    action: Notify, message: Message, envelope: Envelope, head: Letterhead, told: Sequence[str] = ()
) -> tuple[str, Letter | None]:
    """The notification.

    Args:
        told: who has been notified of this message already, in lower case.

    Returns:
        Why there is none, and it.
    """
    why = why_not(message)
    if why:
        return why, None
    try:
        wanted = read(action.method)
    except WrongUri as error:
        return str(error), None
    known = set(told)
    to, cc = _new(wanted.to, known), _new(wanted.cc, known)
    if not to and not cc:
        return "all of them have been notified of this message already", None
    recipients = [spec for _, spec in (*to, *cc)]
    wanted.to, wanted.cc = to, cc
    sender = _envelope_from(action, envelope, head)
    return "", Letter(sender, recipients, _compose(action, wanted, message, envelope, head))


def _new(mailboxes: Sequence[tuple[str, str]], known: set[str]) -> list[tuple[str, str]]:
    out = []
    for display, spec in mailboxes:
        if spec.lower() not in known:
            known.add(spec.lower())
            out.append((display, spec))
    return out


def _envelope_from(action: Notify, envelope: Envelope, head: Letterhead) -> str:
    if not envelope.from_:
        return ""
    if action.envelope_from is not None:
        return action.envelope_from
    return parse_script_address(action.from_ or "") or head.sender


def _compose(action: Notify, wanted: Mailto, message: Message, envelope: Envelope, head: Letterhead) -> bytes:
    owner = parse_script_address(action.owner or envelope.to or "") or head.sender
    display, spec = (named_address(action.from_) if action.from_ else None) or ("", head.sender)
    seed = message.original[:65_536] + f"{action.method}\0{owner}".encode("utf-8", "surrogateescape")
    id_ = hashlib.sha256(seed).hexdigest()[:32]
    subject = action.message if action.message is not None else wanted.subject
    if subject is None:
        subject = next(iter(message.header_values("subject")), "") or "New mail"
    priority, importance = _PRIORITIES[action.importance or "2"]
    lines = [
        generate.structured("Auto-Submitted", f'auto-notified; owner-email="{owner}"'),
        generate.structured("X-Sieve", "mailstack"),
        generate.structured("Date", format_header(head.now)),
        generate.structured("Message-ID", f"<notify.{id_}.{int(head.now)}@{head.hostname}>"),
        mailbox_field("From", display, spec) if display else generate.structured("From", spec),
        *([generate.address_list("To", wanted.to)] if wanted.to else []),
        *([generate.address_list("Cc", wanted.cc)] if wanted.cc else []),
        generate.header("Subject", subject),
        generate.structured("X-Priority", priority),
        generate.structured("Importance", importance),
        *(generate.header(name, value) for name, value in wanted.fields),
        generate.structured("MIME-Version", "1.0"),
    ]
    body = wanted.body if wanted.body is not None else _summary(message)
    return whole(b"".join(lines) + text_part(body))


def _summary(message: Message) -> str:
    """Who wrote, about what."""
    lines = ["Notification of new message.", ""]
    for name in ("from", "to", "subject", "date"):
        values = message.header_values(name)
        if values:
            lines.append(f"{name.title()}: {generate.clean(values[0])[:500]}")
    return "\r\n".join(lines) + "\r\n"
