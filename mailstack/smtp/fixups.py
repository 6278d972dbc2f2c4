"""What a submission gets before it is signed: Date, Message-ID; no Bcc, no Return-Path.

Only the header block is touched; the body is never looked at.  `fix` is for messages
in memory, `fix_header` for a block whose body lies in a file.

Standards: RFC 6409 section 8, RFC 5322 section 3.6, RFC 5321 section 4.4 (Return-Path).
"""

from __future__ import annotations

import re
from typing import Final

from mailstack.mime.addresses import Unparsable, parse, strict_addresses
from mailstack.mime.date import format_header
from mailstack.mime.generate import address_list
from mailstack.mime.header import Headers, find_end
from mailstack.model.address import Address

#: Never leave us: who else got it, and what only final delivery may say.
_REMOVED: Final = frozenset((b"bcc", b"resent-bcc", b"return-path"))
_ID_SAFE: Final = re.compile(r"[^A-Za-z0-9._-]")


def fix(
    message: bytes, *, now: float, accept_id: str, message_id_domain: str, device: Address | None = None
) -> bytes:
    """The message as it is signed, stored and sent.

    Args:
        now: Unix seconds, for a missing Date.
        accept_id: unique; the left side of a missing Message-ID.
        message_id_domain: its right side.
        device: the address of a printer or scanner whose From is put right.
    """
    fields_end, _ = find_end(message)
    header = fix_header(
        message[:fields_end],
        now=now,
        accept_id=accept_id,
        message_id_domain=message_id_domain,
        device=device,
    )
    return header + message[fields_end:]


def fix_header(
    block: bytes, *, now: float, accept_id: str, message_id_domain: str, device: Address | None = None
) -> bytes:
    """As `fix`, for the fields alone (without the empty line that ends them)."""
    headers = Headers.parse(block)
    if not headers.fields and block:
        # A line of text where a field should be: all of it is body.
        block = b"\r\n" + block
    kept = _without(block, headers, _REMOVED)
    added = b""
    if not headers.count("date"):
        added += f"Date: {format_header(now)}\r\n".encode("ascii")
    if not headers.count("message-id"):
        left = _ID_SAFE.sub("-", accept_id)
        added += f"Message-ID: <{left}@{message_id_domain}>\r\n".encode("ascii", "replace")
    return added + (rewrite_from(kept, device) if device is not None else kept)


def rewrite_from(block: bytes, device: Address) -> bytes:
    """Makes the device the author; whom it named gets the replies.

    Nothing changes when From is the device's address alone.  Display names stay.

    Args:
        block: header fields, without the empty line.
    """
    headers = Headers.parse(block)
    values = headers.all("from")
    if len(values) == 1 and not headers.count("sender"):
        found = strict_addresses(values[0])
        if found == (device,) or (
            not isinstance(found, Unparsable) and [a.key for a in found] == [device.key]
        ):
            return block
    original = _authors(values[0]) if values else []
    name = original[0][0] if original else ""
    added = address_list("From", [(name, str(device))])
    if original and not headers.count("reply-to"):
        added += address_list("Reply-To", original)
    return added + _without(block, headers, frozenset((b"from", b"sender")))


def _authors(value: bytes) -> list[tuple[str, str]]:
    """Display name and address of each author that can be read without doubt."""
    found = strict_addresses(value)
    if isinstance(found, Unparsable):
        return []
    shown = [entry.display for entry in parse(value) if entry.is_mailbox]
    if len(shown) != len(found):
        shown = [""] * len(found)
    return [(name, str(address)) for name, address in zip(shown, found, strict=True)]


def _without(block: bytes, headers: Headers, names: frozenset[bytes]) -> bytes:
    if not any(field.name in names for field in headers.fields):
        return block
    kept, at = [], 0
    for field in headers.fields:
        if field.name in names:
            kept.append(block[at : field.start])
            at = field.end
    kept.append(block[at:])
    return b"".join(kept)
