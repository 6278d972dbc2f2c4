"""Automatic answers: who gets one, and what it looks like.

Standards: RFC 5230 sections 4 and 5, RFC 3834, RFC 6131.
Imports: mime.  No I/O.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from mailstack.mime import generate
from mailstack.mime.addresses import parse
from mailstack.mime.date import format_header
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import Headers, find_end
from mailstack.mime.lines import normalise
from mailstack.sieve.actions import Vacation
from mailstack.sieve.addresses import parse_script_address, split_envelope
from mailstack.sieve.compose import Letterhead, text_part, whole
from mailstack.sieve.context import Envelope
from mailstack.sieve.message import Message, decode

#: Senders that are programs (RFC 5230 section 4.6, RFC 3834 section 2).
_PROGRAM = re.compile(
    r"(?:owner-.*|.*-owner|.*-request|.*-bounces?(?:\+.*)?|bounce[-+=].*|mailer-daemon|listserv|majordomo"
    r"|postmaster|no-?reply.*|do-?not-?reply.*)\Z",
    re.IGNORECASE,
)
_RECIPIENT_FIELDS = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
_LIST_FIELDS = (
    "list-id", "list-owner", "list-subscribe", "list-post", "list-unsubscribe", "list-archive", "list-help",
)  # fmt: skip
_SUPPRESS = frozenset({"all", "oof", "autoreply"})
_ELLIPSIS = "\u2026"
_MAX_REFERENCES = 20
_MESSAGE_ID = re.compile(rb"<[^<>\s]{1,900}>")


def why_not(action: Vacation, message: Message, envelope: Envelope) -> str:
    """Why this message gets no automatic answer; "" when it does."""
    sender = parse_script_address(envelope.from_ or "")
    if sender is None:
        return "there is no sender to be answered"
    own = own_addresses(action, envelope)
    if sender.lower() in own:
        return f"the sender {sender} is the owner"
    if _PROGRAM.match(sender.rpartition("@")[0]):
        return f"the sender {sender} is a program"
    automatic = _automatic(message)
    if automatic:
        return automatic
    if action.policy.checks_recipient and _written_to(message, own) is None:
        return "none of the owner's addresses is in To or Cc"
    return ""


def _written_to(message: Message, own: set[str]) -> str | None:
    """The first of the owner's addresses in the message's fields."""
    listed = (address for name in _RECIPIENT_FIELDS for address in message.addresses(name))
    return next((address.text for address in listed if address.text.lower() in own), None)


def _automatic(message: Message) -> str:
    """The sign that no person waits for an answer; "" when there is none."""
    for name in _LIST_FIELDS:
        if message.exists(name):
            return f"it comes from a list (field {name.title()})"
    for raw in message.raw_values("auto-submitted"):
        if raw.split(b";")[0].strip().lower() != b"no":
            return "it was sent by a program (field Auto-Submitted)"
    for raw in message.raw_values("precedence"):
        if raw.strip().lower() in (b"bulk", b"list", b"junk"):
            return "it is bulk mail (field Precedence)"
    for raw in message.raw_values("x-auto-response-suppress"):
        if _SUPPRESS & {word.strip().decode("ascii", "replace").lower() for word in raw.split(b",")}:
            return "its sender wants no automatic answers (field X-Auto-Response-Suppress)"
    return ""


def own_addresses(action: Vacation, envelope: Envelope) -> set[str]:
    """The addresses that are the owner's, in lower case."""
    policy = action.policy
    known = [policy.owner, envelope.to, *action.addresses]
    if policy.uses_original_recipient:
        known.append(envelope.orig_to)
    return {address.text.lower() for text in known if (address := split_envelope(text)) and address.text}


def memory_id(action: Vacation, envelope: Envelope) -> str:
    """What is remembered of an answer: to whom, and which (RFC 5230 section 4.2)."""
    handle = action.handle
    if handle is None:
        handle = action.written or repr((action.reason, action.subject, action.from_, action.mime))
    text = f"{handle}\0{(envelope.from_ or '').lower()}"
    return f"vacation:{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}"


def envelope_sender(action: Vacation, envelope: Envelope) -> str:
    """RFC 5230 section 5.1: null, unless settings say otherwise."""
    return (envelope.to or "") if action.policy.sends_from_recipient else ""


def vacation(action: Vacation, message: Message, envelope: Envelope, head: Letterhead) -> bytes:
    """The answer (RFC 5230 section 5)."""
    display, spec = _from(action, message, envelope, head)
    seed = message.original[:65_536] + memory_id(action, envelope).encode()
    id_ = hashlib.sha256(seed).hexdigest()[:32]
    lines = [
        mailbox_field("From", display, spec),
        mailbox_field("To", *_to(action, message, envelope)),
        generate.header("Subject", _subject(action, message)),
        generate.structured("Date", format_header(head.now)),
        generate.structured("Message-ID", f"<vacation.{id_}.{int(head.now)}@{head.hostname}>"),
        *_thread(message),
        generate.structured("Auto-Submitted", "auto-replied (vacation)"),
        generate.structured("X-Auto-Response-Suppress", "All"),
        generate.structured("MIME-Version", "1.0"),
    ]
    entity = _mime_entity(action.reason) if action.mime else text_part(action.reason)
    return whole(b"".join(lines) + entity)


def mailbox_field(name: str, display: str, spec: str) -> bytes:
    """A field with one address; a display name in ASCII stands in quotes, as most people see it."""
    display = generate.clean(display)
    if not display or not display.isascii() or "=?" in display:
        return generate.address_list(name, [(display, spec)])
    quoted = display[:200].replace("\\", "\\\\").replace('"', '\\"')
    return generate.structured(name, f'"{quoted}" <{spec}>')


def named_address(text: str) -> tuple[str, str] | None:
    """Display name and address of a script's `:from`; None when it holds no address."""
    spec = parse_script_address(text)
    if spec is None:
        return None
    for entry in parse(text.encode("utf-8", "surrogateescape")):
        if entry.is_mailbox:
            return (decode_words(entry.name) if entry.name else "", spec)
    return ("", spec)


def _from(action: Vacation, message: Message, envelope: Envelope, head: Letterhead) -> tuple[str, str]:
    own = _written_to(message, own_addresses(action, envelope))
    for text in (action.from_, own, action.policy.owner, envelope.to):
        found = named_address(text) if text else None
        if found is not None:
            return found
    return ("", head.sender)


def _to(action: Vacation, message: Message, envelope: Envelope) -> tuple[str, str]:
    """The sender, by the name the message gives him."""
    sender = parse_script_address(envelope.from_ or "") or ""
    if action.policy.ignores_envelope_sender:
        return next(_senders(message), ("", sender))
    return next((found for found in _senders(message) if found[1].lower() == sender.lower()), ("", sender))


def _senders(message: Message) -> Iterator[tuple[str, str]]:
    for name in ("sender", "resent-from", "from", "reply-to"):
        for raw in message.raw_values(name):
            for entry in parse(raw):
                spec = parse_script_address(entry.spec) if entry.is_mailbox else None
                if spec is not None:
                    yield (decode_words(entry.name) if entry.name else "", spec)


def _subject(action: Vacation, message: Message) -> str:
    policy = action.policy
    given = message.header_values("subject")
    if action.subject is not None:
        text = decode(action.subject.encode("utf-8", "surrogateescape"))
    elif given and given[0]:
        template = policy.subject_template or "Auto: %$"
        text = template.replace("%{subject}", "%$").replace("%$", given[0])
    else:
        text = policy.default_subject or "Automated reply"
    text = generate.clean(text)
    most = policy.max_subject_characters
    return text if len(text) <= most else text[: most - 1] + _ELLIPSIS


def _thread(message: Message) -> Iterator[bytes]:
    """In-Reply-To and References (RFC 5230 section 5.8, RFC 5322 section 3.6.4)."""
    ids = [found[0] for raw in message.raw_values("message-id") if (found := _MESSAGE_ID.search(raw))]
    if not ids:
        return
    yield generate.structured("In-Reply-To", ids[0].decode("utf-8", "replace"))
    before = [one for raw in message.raw_values("references") for one in _MESSAGE_ID.findall(raw)]
    if not before:
        before = [one for raw in message.raw_values("in-reply-to") for one in _MESSAGE_ID.findall(raw)]
        before = before if len(before) == 1 else []
    if len(before) > _MAX_REFERENCES:
        before = [before[0], *before[1 - _MAX_REFERENCES :]]
    yield generate.structured("References", b" ".join([*before, ids[0]]).decode("utf-8", "replace"))


def _mime_entity(text: str) -> bytes:
    """The owner's MIME entity (RFC 5230 section 4.4): of its header only what describes content."""
    octets = normalise(text.encode("utf-8", "surrogateescape"))
    headers = Headers.parse(octets)
    kept = b"".join(headers.raw(field) for field in headers.fields if field.name.startswith(b"content-"))
    return kept + b"\r\n" + octets[find_end(octets)[1] :]


def addresses_of(texts: Sequence[str]) -> list[str]:
    """Those of them that are addresses, in their normal form."""
    return [address for text in texts if (address := parse_script_address(text)) is not None]
