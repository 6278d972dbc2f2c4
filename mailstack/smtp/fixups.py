"""What a submission gets before it is signed, and what it loses.

It gets a Date and a Message-ID where it has none; it loses Bcc, Resent-Bcc, Return-Path and
mbox's "From " line; and it becomes a message of ASCII in short lines, so that nothing on its
way has a reason to change it (`mime/sevenbit`).  Left in its octets is what somebody signed
already: a message with a DKIM-Signature, or one sent on as it came (Resent-From), and what is
inside multipart/signed and multipart/encrypted.

Only what comes from a login is fixed, never what other servers bring.

Standards: RFC 6409 section 8, RFC 6376 section 5.3, RFC 5322 section 3.6, RFC 5321 section
4.4 (Return-Path).
Imports: mime, model.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from mailstack.mime import refold, sevenbit
from mailstack.mime.addresses import Unparsable, parse, strict_addresses
from mailstack.mime.date import format_header
from mailstack.mime.date import parse as parse_date
from mailstack.mime.generate import address_list
from mailstack.mime.header import Headers, Octets, find_end
from mailstack.model.address import Address, AddressError

#: Never leave us: who else got it, and what only final delivery may say.
_REMOVED: Final = frozenset((b"bcc", b"resent-bcc", b"return-path"))
#: Fields of messages whose octets somebody vouches for.
_VOUCHED: Final = ("dkim-signature", "arc-seal", "resent-from")
#: Octets of a message without a header that are copied, to be re-encoded too.
_MAX_COPIED: Final = 1 << 20
#: White space before the colon makes a field no separator (RFC 5322 section 4.5.2).
_FROM_FIELD: Final = re.compile(rb"From[ \t]+:")
_CONTINUATIONS: Final = re.compile(rb"(?:[ \t][^\n]*(?:\n|\Z))+")
_ID_SAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
#: A printer that lost power thinks it is 1970; its Date is replaced when it is further off.
DEVICE_CLOCK_S: Final = 2 * 86_400


def _none(_: Address) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Wishes:
    """The facts behind the fix-ups of one message.

    Attributes:
        now: Unix seconds, for a missing Date.
        accept_id: unique; the left side of a missing Message-ID.
        message_id_domain: its right side.
        device: the address of a printer or scanner whose From and Date are put right.
        may_send_as: other addresses the device may write into From.
        seven_bit: re-encode what is not ASCII in short lines.
        smtputf8: octets above 127 may stay in the header (RFC 6531).
    """

    now: float
    accept_id: str
    message_id_domain: str
    device: Address | None = None
    may_send_as: Callable[[Address], bool] = _none
    seven_bit: bool = True
    smtputf8: bool = False


def fix(message: Octets, wishes: Wishes) -> Iterator[bytes]:
    """The message as it is signed, stored and sent; in pieces, the first is its header.

    Args:
        message: `bytes`, or a `mmap`.
    """
    fields_end, _ = find_end(message)
    block = message[:fields_end]
    if block and not Headers.parse(block).fields:
        # A line of text where a field should be: all of it is body.
        if len(message) > _MAX_COPIED:
            yield fix_header(b"", wishes) + b"\r\n"
            yield from sevenbit.write_body(message, sevenbit.Plan(0))
            return
        message, block = b"\r\n" + message[: len(message)], b""
    headers = Headers.parse(block)
    is_vouched = any(headers.count(name) for name in _VOUCHED)
    fixed = fix_header(block, wishes)
    if is_vouched or not wishes.seven_bit:
        yield fixed
        yield from sevenbit.write_body(message, sevenbit.Plan(len(block)))
        return
    plan = sevenbit.make_plan(message)
    yield refold.put_right(fixed, fields=plan.fields, keep_utf8=wishes.smtputf8)
    yield from sevenbit.write_body(message, plan)


def fix_header(block: bytes, wishes: Wishes) -> bytes:
    """The fields alone (without the empty line that ends them), not re-encoded."""
    if block.startswith(b"From ") and not _FROM_FIELD.match(block):
        # RFC 4155: mbox's separator; no field, and most readers end the header at it.
        block = block[block.find(b"\n") + 1 :]
    # The rest of a line that is no field would go on with the field we put above it.
    if (rest := _CONTINUATIONS.match(block)) is not None:
        block = block[rest.end() :]
    headers = Headers.parse(block)
    removed = _REMOVED
    if wishes.device is not None and not _is_plausible(headers, wishes.now):
        removed |= {b"date"}
    if not (headers.first("message-id") or b"").strip(b"<> "):
        removed |= {b"message-id"}  # some printers write an empty one
    kept = _without(block, headers, removed)
    added = b""
    if b"date" in removed or not headers.count("date"):
        added += f"Date: {format_header(wishes.now)}\r\n".encode("ascii")
    if b"message-id" in removed:
        left = _ID_SAFE.sub("-", wishes.accept_id)
        added += f"Message-ID: <{left}@{wishes.message_id_domain}>\r\n".encode("ascii", "replace")
    if wishes.device is not None:
        kept = rewrite_from(kept, wishes.device, may_send_as=wishes.may_send_as)
    return added + kept


def rewrite_from(block: bytes, device: Address, *, may_send_as: Callable[[Address], bool] = _none) -> bytes:
    """Makes the device the author; whom it named gets the replies.

    Nothing changes when From is one address the device may use.  Display names stay.

    Args:
        block: header fields, without the empty line.
    """
    headers = Headers.parse(block)
    values = headers.all("from")
    if len(values) == 1 and not headers.count("sender"):
        found = strict_addresses(values[0])
        if not isinstance(found, Unparsable) and len(found) == 1 and _is_own(found[0], device, may_send_as):
            return block
    original = _authors(values[0]) if values else []
    name = original[0][0] if original else ""
    added = address_list("From", [(name, str(device))])
    if original and not headers.count("reply-to"):
        added += address_list("Reply-To", original)
    return added + _without(block, headers, frozenset((b"from", b"sender")))


def _is_own(address: Address, device: Address, may_send_as: Callable[[Address], bool]) -> bool:
    return address.key == device.key or may_send_as(address)


def _is_plausible(headers: Headers, now: float) -> bool:
    """Whether a device's Date can be believed."""
    value = headers.first("date")
    found = parse_date(value) if value is not None else None
    return found is not None and abs(found.at - now) <= DEVICE_CLOCK_S


def _authors(value: bytes) -> list[tuple[str, str]]:
    """Display name and address of each author."""
    found = strict_addresses(value)
    listed = [entry for entry in parse(value) if entry.is_mailbox]
    if isinstance(found, Unparsable):
        # Nobody is judged by it: whoever can be made out gets the replies.
        return [(entry.display, str(address)) for entry in listed if (address := _address(entry.spec))]
    names = [entry.display for entry in listed] if len(listed) == len(found) else [""] * len(found)
    return [(name, str(address)) for name, address in zip(names, found, strict=True)]


def _address(spec: str) -> Address | None:
    try:
        return Address.parse(spec)
    except AddressError:
        return None


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
