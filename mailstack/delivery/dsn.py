"""Reports about messages that could not be, or have been, delivered.

Plain words first: what the far server said, what it means, what to do.  Then the part
for programs, then the message or its header.  Never a report about a report, never to
the null sender (Q17); text from outside passes the one header writer (T44).

Standards: RFC 3464, RFC 6522, RFC 3461 section 6, RFC 6533 (UTF-8), RFC 8689 section 5, RFC 3834.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mailstack.delivery import dsn_text
from mailstack.delivery.dsn_facts import (
    GOOD,
    MAX_HEADER_OCTETS,
    Action,
    Original,
    Reported,
    Site,
    said,
    shown_address,
    status_of,
)
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.mime import generate
from mailstack.mime.date import format_header
from mailstack.mime.header import Headers, find_end
from mailstack.model import unitext
from mailstack.model.language import Language

__all__ = ["Action", "Original", "Reported", "Site", "compose", "is_wanted", "report", "typed_address"]

_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>\Z")


def is_wanted(action: Action, notify: frozenset[str]) -> bool:
    """True when the sender wants to hear of this.

    Source: RFC 3461 sections 4.1, 5.2.2, 5.2.3, 5.2.5 and 5.2.6.
    """
    match action:
        case "failed":
            return not notify or "FAILURE" in notify
        case "delayed":
            return not notify or "DELAY" in notify
        case "relayed" | "delivered" | "expanded":
            return "SUCCESS" in notify


def report(
    original: Original, recipients: Sequence[Reported], site: Site, *, now: float, report_id: str
) -> QueueMessage | None:
    """The report as a message for the queue.

    Args:
        recipients: those without a wish for this news are left out.
        now: Unix seconds.
        report_id: the report's queue id; random, so that nobody can guess the boundary.

    Returns:
        None when nobody is to be told: null sender, a report of ours, NOTIFY.
    """
    told = [one for one in recipients if is_wanted(one.action, one.notify)]
    if not told or not original.sender or original.kind == "dsn":
        return None
    to, kind = site.route(original.sender)
    if not to:
        return None
    language = dsn_text.language_of(original, site, to, is_here=kind == "local")
    message = compose(original, told, site, language, to=to, now=now, report_id=report_id)
    return QueueMessage(
        queue_id=report_id,
        accept_id=original.id,
        sender="",
        # RFC 3461 section 6.1: no report may cause another.
        recipients=(
            QueueRecipient(to, notify=frozenset({"NEVER"}), kind=kind, owner=to if kind == "local" else ""),
        ),
        data=message,
        kind="dsn",
        smtputf8=not to.isascii(),
        body="7BIT" if message.isascii() else "8BITMIME",
        requiretls=original.requiretls,
        owner=to if kind == "local" else original.owner,
    )


def compose(
    original: Original,
    told: Sequence[Reported],
    site: Site,
    language: Language,
    *,
    to: str,
    now: float,
    report_id: str,
) -> bytes:
    """The whole report, signed; see `report`."""
    domain = original.owner.rpartition("@")[2] or site.hostname
    is_utf8 = not to.isascii()
    is_full = _is_full(original, told, site)
    parts = [
        dsn_text.text_part(
            original, told, site, language, postmaster=f"postmaster@{domain}", is_full=is_full, now=now
        ),
        _machine(original, told, site, is_utf8=is_utf8),
        _returned(original, is_full=is_full, is_utf8=is_utf8),
    ]
    boundary = f"=_{report_id}"
    while any(boundary.encode() in part for part in parts):
        boundary += "="
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    message = b"".join(
        (
            *_header(
                original,
                domain,
                to=to,
                subject=dsn_text.subject(original, told, language),
                now=now,
                report_id=report_id,
            ),
            generate.structured(
                "Content-Type", f'multipart/report; report-type=delivery-status; boundary="{boundary}"'
            ),
            b"\r\nThis is a report in MIME format.\r\n\r\n",
            body,
            b"--%s--\r\n" % boundary.encode(),
        )
    )
    return site.sign(message, domain) + message


def _header(
    original: Original, domain: str, *, to: str, subject: str, now: float, report_id: str
) -> list[bytes]:
    fields = [
        generate.address_list("From", [("Mail Delivery System", f"postmaster@{domain}")]),
        generate.address_list("To", [("", to)]),
        generate.header("Subject", subject),
        generate.structured("Date", format_header(now)),
        generate.structured("Message-ID", f"<{report_id}@{domain}>"),
        generate.structured("Auto-Submitted", "auto-replied"),
        generate.structured("MIME-Version", "1.0"),
    ]
    message_id = Headers.parse(original.octets[:MAX_HEADER_OCTETS]).first("message-id") or b""
    if _MESSAGE_ID.match(message_id):
        fields.append(generate.structured("In-Reply-To", message_id.decode("ascii")))
        fields.append(generate.structured("References", message_id.decode("ascii")))
    return fields


# -- for programs


def _machine(original: Original, told: Sequence[Reported], site: Site, *, is_utf8: bool) -> bytes:
    """message/delivery-status: RFC 3464 section 2; of internationalized mail as RFC 6533 section 4.1.

    Args:
        is_utf8: the report itself goes to an internationalized address.
    """
    is_global = (
        is_utf8 or original.smtputf8 or any(not shown_address(original, one).isascii() for one in told)
    )
    envid = _ascii(original.envid)
    blocks = [
        [
            *([generate.structured("Original-Envelope-Id", envid)] if envid else []),
            generate.structured("Reporting-MTA", f"dns; {site.hostname}"),
            generate.structured("Arrival-Date", format_header(original.arrived_at)),
        ],
        *(_fields(original, one, is_global=is_global) for one in told),
    ]
    octets = b"\r\n".join(b"".join(block) for block in blocks)
    if octets.isascii():
        return b"Content-Type: message/delivery-status\r\n\r\n" + octets
    return _encoded(b"message/global-delivery-status", octets, is_8bit=is_utf8)


def _encoded(kind: bytes, octets: bytes, *, is_8bit: bool) -> bytes:
    """A part whose type allows for an encoding, so that every server takes the report."""
    if is_8bit:
        return b"Content-Type: %s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n%s" % (kind, octets)
    return b"Content-Type: %s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n%s" % (
        kind,
        dsn_text.quoted_printable(octets),
    )


def _fields(original: Original, one: Reported, *, is_global: bool) -> list[bytes]:
    """The fields of one recipient: RFC 3464 section 2.3."""
    text = generate.clean if is_global else _ascii
    shown = shown_address(original, one)
    final = f"utf-8; {shown}" if is_global and not shown.isascii() else typed_address(shown)
    fields = [
        generate.structured("Final-Recipient", final),
        generate.structured("Action", one.action),
        generate.structured("Status", status_of(one)),
    ]
    if one.orcpt:
        fields.insert(0, generate.structured("Original-Recipient", _original(one.orcpt, is_global=is_global)))
    if one.host and not (one.action in GOOD and shown != one.address):
        fields.append(generate.structured("Remote-MTA", f"dns; {_ascii(one.host.partition('[')[0])}"))
    if one.action in ("failed", "delayed"):
        sentence = text(" ".join(said(original, one)))
        kind = "smtp" if one.host and not one.is_ours else "X-mailstack"
        fields.append(generate.structured("Diagnostic-Code", f"{kind}; {sentence}"))
    elif one.host and shown == one.address:
        # RFC 3461 section 6.3 (i); the reply of a delivery has its codes in the text.
        fields.append(generate.structured("Diagnostic-Code", f"smtp; {text(one.reply.text)}"))
    if one.at is not None:
        fields.append(generate.structured("Last-Attempt-Date", format_header(one.at)))
    if one.action == "delayed" and one.until is not None:
        fields.append(generate.structured("Will-Retry-Until", format_header(one.until)))
    return fields


def _original(orcpt: str, *, is_global: bool) -> str:
    """Original-Recipient: as given; of type "utf-8" in the form the part allows."""
    kind, _, address = orcpt.partition(";")
    if orcpt.isascii() and kind.lower() != "utf-8":
        return orcpt
    plain = unitext.decode(address.strip())
    return f"utf-8;{plain if is_global else unitext.encode(plain)}"


def typed_address(address: str) -> str:
    """`rfc822; a@b`, or the 7-bit form of RFC 6533 section 3 for other letters."""
    if address.isascii():
        return f"rfc822; {address}"
    return f"utf-8; {unitext.encode(address)}"


def _ascii(text: str) -> str:
    # RFC 3464 section 2.1: this part is 7-bit.
    return text.encode("ascii", "replace").decode("ascii")


# -- the message


def _is_full(original: Original, told: Sequence[Reported], site: Site) -> bool:
    # RFC 3461 section 6.2: without news of a failure the header is enough.
    return (
        original.ret != "HDRS"
        # RFC 8689 section 5; and binary octets have no place in a report.
        and not original.requiretls
        and not original.is_binary
        and original.size_octets <= site.full_octets
        and len(original.octets) >= original.size_octets
        and any(one.action == "failed" for one in told)
    )


def _returned(original: Original, *, is_full: bool, is_utf8: bool) -> bytes:
    """The third part: the message as it was, or its header."""
    octets = original.octets if is_full else _header_of(original.octets)
    is_global = original.smtputf8 and not _header_of(original.octets).isascii()
    if is_full:
        kind = b"message/global" if is_global else b"message/rfc822"
    else:
        kind = b"message/global-headers" if is_global else b"text/rfc822-headers"
    if octets.isascii():
        return b"Content-Type: %s\r\n\r\n%s" % (kind, octets)
    # RFC 2046 section 5.2.1: message/rfc822 is never encoded; RFC 6533 section 4.5: the others are
    # where the way back may not be internationalized.
    return _encoded(kind, octets, is_8bit=is_utf8 or (is_full and not is_global))


def _header_of(octets: bytes) -> bytes:
    """The header block with its last CRLF, cut at MAX_HEADER_OCTETS."""
    end, _ = find_end(octets[:MAX_HEADER_OCTETS])
    return octets[:end]
