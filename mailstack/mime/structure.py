"""ENVELOPE, BODY and BODYSTRUCTURE of a message, as IMAP sends them.

Every value goes through one quoting function: a quoted string, or a literal where CR,
LF or 8-bit octets would end or break one; NUL cannot be sent at all and becomes "?".
So nothing in a message can forge a response (T67).

Standards: RFC 3501 sections 7.4.2 and 9, RFC 9051 section 7.5.2.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailstack.mime import addresses, parameters
from mailstack.mime.header import Octets
from mailstack.mime.scanner import Part, count_lines, scan

_NEEDS_LITERAL = re.compile(rb"[^\x01-\x09\x0b\x0c\x0e-\x7f]")


@dataclass(frozen=True, slots=True)
class Structure:
    """The texts of one message.

    Attributes:
        envelope, body, bodystructure: parenthesised values.
        header_octets: of the header with its empty line.
        message: the parts behind them.
    """

    envelope: bytes
    body: bytes
    bodystructure: bytes
    header_octets: int
    message: Part


def describe(data: Octets, *, rev2: bool = False) -> Structure:
    """Scans a message and writes its texts.

    Args:
        data: bytes or mmap, with CRLF line ends.
        rev2: for a client that speaks IMAP4rev2, which knows message/global; for others
            it is a part like any (RFC 3501 section 9, media-message).
    """
    message = scan(data)
    body, full = _structures(data, message, (b"rfc822", b"global") if rev2 else (b"rfc822",))
    return Structure(envelope(message), body, full, message.header_end - message.start, message)


def quote(value: bytes) -> bytes:
    """A string as IMAP sends it: quoted, or a literal.

    Source: RFC 3501 section 4.3; the parts of `string`.
    """
    if _NEEDS_LITERAL.search(value):
        value = value.replace(b"\0", b"?")
        return b"{%d}\r\n%b" % (len(value), value)
    if b"\\" in value or b'"' in value:
        value = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"' + value + b'"'


def nstring(value: bytes | None) -> bytes:
    """A string, or NIL for None."""
    return b"NIL" if value is None else quote(value)


def envelope(message: Part) -> bytes:
    """The ENVELOPE value of a message or of a message within one.

    Source: RFC 3501 section 7.4.2: Sender and Reply-To default to From.
    """
    fields = message.fields
    sender = _address_list(fields.get(b"from"))
    other = _address_list(fields.get(b"sender")) if fields.get(b"sender") else sender
    reply_to = _address_list(fields.get(b"reply-to")) if fields.get(b"reply-to") else sender
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        nstring(fields.get(b"date")),
        nstring(fields.get(b"subject")),
        sender,
        sender if other == b"NIL" else other,
        sender if reply_to == b"NIL" else reply_to,
        _address_list(fields.get(b"to")),
        _address_list(fields.get(b"cc")),
        _address_list(fields.get(b"bcc")),
        nstring(fields.get(b"in-reply-to")),
        nstring(fields.get(b"message-id")),
    )


def _address_list(value: bytes | None) -> bytes:
    if not value:
        return b"NIL"
    out = [
        b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(local), nstring(domain))
        for name, route, local, domain in addresses.parse(value)
    ]
    return b"(" + b"".join(out) + b")" if out else b"NIL"


def has_global(bodystructure: bytes) -> bool:
    """True when a text written without `rev2` may be another one with it."""
    return b'"message" "global"' in bodystructure.lower()


def _structures(data: Octets, message: Part, messages: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """BODY and BODYSTRUCTURE, children before their parents, without recursion."""
    order = [message]
    for part in order:
        order.extend(part.children)
    done: dict[int, tuple[bytes, bytes]] = {}
    for part in reversed(order):
        done[id(part)] = _one(data, part, done, messages)
    return done[id(message)]


def _one(
    data: Octets, part: Part, done: dict[int, tuple[bytes, bytes]], messages: tuple[bytes, ...]
) -> tuple[bytes, bytes]:
    if part.is_multipart:
        short = b"".join(done[id(child)][0] for child in part.children)
        long = b"".join(done[id(child)][1] for child in part.children)
        subtype = quote(part.subtype)
        extension = b"%b %b" % (_parameter_list(part.parameters), _tail(part))
        return b"(%b %b)" % (short, subtype), b"(%b %b %b)" % (long, subtype, extension)
    fields = part.fields
    basic = b"%b %b %b %b %b %b %d" % (
        quote(part.type),
        quote(part.subtype),
        _parameter_list(_with_charset(part)),
        nstring(fields.get(b"content-id")),
        nstring(fields.get(b"content-description")),
        quote(fields.get(b"content-transfer-encoding") or b"7BIT"),
        part.size,
    )
    extension = b"%b %b" % (nstring(fields.get(b"content-md5")), _tail(part))
    if part.is_message and part.subtype.lower() in messages:
        lines = count_lines(data, part.header_end, part.end)
        child = part.children[0]
        short, long = done[id(child)]
        head = b"%b %b" % (basic, envelope(child))
        return b"(%b %b %d)" % (head, short, lines), b"(%b %b %d %b)" % (head, long, lines, extension)
    if part.type.lower() == b"text":
        basic = b"%b %d" % (basic, count_lines(data, part.header_end, part.end))
    return b"(%b)" % basic, b"(%b %b)" % (basic, extension)


def _with_charset(part: Part) -> tuple[tuple[bytes, bytes], ...]:
    """The parameters, for text with the character set it has when it names none (RFC 2045 section 5.2)."""
    given = part.parameters
    if part.type.lower() != b"text" or any(name.lower() == b"charset" for name, _ in given):
        return given
    return (*given, (b"charset", b"us-ascii"))


def _parameter_list(pairs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    if not pairs:
        return b"NIL"
    return b"(" + b" ".join(quote(name) + b" " + quote(value) for name, value in pairs) + b")"


def _tail(part: Part) -> bytes:
    """Disposition, language, location."""
    fields = part.fields
    if b"content-disposition" not in fields and b"content-language" not in fields:
        return b"NIL NIL %b" % nstring(fields.get(b"content-location"))
    disposition = part.disposition
    shown = b"NIL"
    if disposition is not None:
        shown = b"(%b %b)" % (quote(disposition.value), _parameter_list(disposition.parameters))
    return b"%b %b %b" % (
        shown,
        _languages(fields.get(b"content-language")),
        nstring(fields.get(b"content-location")),
    )


def _languages(value: bytes | None) -> bytes:
    if not value:
        return b"NIL"
    tags = [tag.strip() for tag in parameters.strip_comments(value).split(b",") if tag.strip()]
    tags = tags[: parameters.MAX_PARAMETERS]
    if not tags:
        return b"NIL"
    return quote(tags[0]) if len(tags) == 1 else b"(" + b" ".join(map(quote, tags)) + b")"
