"""Reports about messages that could not be, or have been, delivered.

Plain words first: what the far server said, what it means, what to do.  Then the part
for programs, then the message or its header.  Never a report about a report, never to
the null sender (Q17); text from outside passes the one header writer (T44).

Standards: RFC 3464, RFC 6522, RFC 3461 section 6, RFC 6533 (UTF-8), RFC 8689 section 5, RFC 3834.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mailstack.delivery.entry import Kind, QueueMessage, QueueRecipient, RecipientKind
from mailstack.delivery.words import explain
from mailstack.mime import generate
from mailstack.mime.date import format_header
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import Headers, find_end
from mailstack.model import unitext
from mailstack.model.reply import Reply

Action = Literal["failed", "delayed", "relayed", "delivered", "expanded"]

#: Of a longer header only this much is returned.
MAX_HEADER_OCTETS = 65_536
_MAX_SUBJECT = 200
_MAX_LINES = 12
_WIDTH = 76
_GOOD = ("relayed", "delivered", "expanded")
_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>\Z")


@dataclass(frozen=True, slots=True)
class Site:
    """Who reports.

    Attributes:
        hostname: full name of this host.
        route: where a report goes: the return path's final form and whether that is
            a mailbox here; SRS addresses of ours are turned back into the sender.
        sign: DKIM fields to put in front of a message of this domain; b"" for none.
        full_octets: larger messages are returned with their header only.
    """

    hostname: str
    route: Callable[[str], tuple[str, RecipientKind]]
    sign: Callable[[bytes, str], bytes] = lambda message, domain: b""
    full_octets: int = 50_000


@dataclass(frozen=True, slots=True)
class Original:
    """The message a report is about.

    Attributes:
        id: accept or queue id, for the text.
        sender: its envelope sender; "" for the null sender.
        owner: the local address that sent or forwarded it; "" for mail from outside.
        octets: the message; its start, holding the whole header, is enough when it is
            larger than `Site.full_octets`.
        size_octets: of the whole.
        arrived_at: Unix seconds.
        ret, envid: RFC 3461, decoded.
        is_binary: it holds binary parts; its header alone is returned.
        requiretls: it may travel over TLS only; so may the report.
    """

    id: str
    kind: Kind
    sender: str
    owner: str
    octets: bytes
    size_octets: int
    arrived_at: float
    ret: str = ""
    envid: str = ""
    smtputf8: bool = False
    is_binary: bool = False
    requiretls: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """One recipient.

    Attributes:
        host: who said so, `name[ip]`; "" when it was us.
        at: of the last attempt; Unix seconds; None when there was none.
        until: for "delayed": when we give up; Unix seconds.
        shown: the address the sender wrote to; "": `address`, unless that is private.
    """

    address: str
    action: Action
    reply: Reply
    notify: frozenset[str] = frozenset()
    orcpt: str = ""
    host: str = ""
    at: float | None = None
    until: float | None = None
    shown: str = ""


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
    message = compose(original, told, site, to=to, now=now, report_id=report_id)
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
    original: Original, told: Sequence[Reported], site: Site, *, to: str, now: float, report_id: str
) -> bytes:
    """The whole report, signed; see `report`."""
    domain = original.owner.rpartition("@")[2] or site.hostname
    is_utf8 = not to.isascii()
    parts = [_human(original, told, site, domain), _machine(original, told, site, is_utf8=is_utf8)]
    parts.append(_returned(original, told, site, is_utf8=is_utf8))
    boundary = f"=_{report_id}"
    while any(boundary.encode() in part for part in parts):
        boundary += "="
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    message = b"".join(
        (
            *_header(original, told, domain, to=to, now=now, report_id=report_id),
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
    original: Original, told: Sequence[Reported], domain: str, *, to: str, now: float, report_id: str
) -> list[bytes]:
    fields = [
        generate.address_list("From", [("Mail Delivery System", f"postmaster@{domain}")]),
        generate.address_list("To", [("", to)]),
        generate.header("Subject", _subject(original, told)),
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


def _subject(original: Original, told: Sequence[Reported]) -> str:
    actions = {one.action for one in told}
    begin = (
        "Not delivered"
        if "failed" in actions
        else "Delayed, still trying"
        if "delayed" in actions
        else "Delivered"
        if actions == {"delivered"}
        else "Passed on"
    )
    more = f" and {len(told) - 1} more" if len(told) > 1 else ""
    return f"{begin}: your message to {_shown(original, told[0])}{more}"


def _shown(original: Original, one: Reported) -> str:
    """The address the sender knows: not the private target of a redirection (RFC 3461 section 5.2.7.4)."""
    if one.shown:
        return one.shown
    return original.owner if original.kind == "forward" and original.owner else one.address


# -- for people


def _human(original: Original, told: Sequence[Reported], site: Site, domain: str) -> bytes:
    lines = [f"This is the mail server {site.hostname}.", ""]
    for action, opening in _OPENINGS.items():
        group = [one for one in told if one.action == action]
        if group:
            lines += [*_wrap(opening), ""]
            for one in group:
                lines += [*_about(original, one), ""]
    lines += [*_wrap(_which(original, told, site)), "", f"Questions go to postmaster@{domain}.", ""]
    return _text_part("\n".join(lines))


_OPENINGS: dict[Action, str] = {
    "failed": "Your message could not be delivered to:",
    "delayed": "Your message is late for the recipients below.  It is still being tried; there is nothing"
    " for you to do.  You will hear from us again only if it fails for good.",
    "relayed": "Your message was passed on to the recipients' mail server.  That server sends no"
    " confirmations, so nothing more is known:",
    "delivered": "Your message was delivered to:",
    "expanded": "Your message was passed on to everybody behind the addresses below.  Nothing more will be"
    " reported about them, unless it fails:",
}


def _about(original: Original, one: Reported) -> list[str]:
    lines = [f"  {generate.clean(_shown(original, one))}"]
    if one.action in _GOOD:
        return lines
    who = f"The mail server {generate.clean(one.host)} answered:" if one.host else "This server says:"
    lines += _wrap(who, "    ")
    lines += [part for said in _said(original, one) for part in _wrap(said, "      ")]
    if one.action == "delayed":
        if one.until is not None:
            lines += _wrap(f"Still trying until {format_header(one.until)}.", "    ")
        return lines
    words = explain(one.reply)
    lines += _wrap(f"That means: {words.means}", "    ")
    lines += _wrap(f"What you can do: {words.todo}", "    ")
    return lines


def _said(original: Original, one: Reported) -> list[str]:
    """The far server's sentence, line by line, each with its codes."""
    codes = f"{one.reply.code} {_status(one)} " if one.reply.status else f"{one.reply.code} "
    lines = _masked(original, one).split("\n")[:_MAX_LINES]
    return [generate.clean(codes + line) for line in lines]


def _masked(original: Original, one: Reported) -> str:
    """The reply, with the private target of a redirection replaced."""
    shown = _shown(original, one)
    if shown == one.address:
        return one.reply.text
    return re.sub(re.escape(one.address), lambda _: shown, one.reply.text, flags=re.IGNORECASE)


def _which(original: Original, told: Sequence[Reported], site: Site) -> str:
    headers = Headers.parse(original.octets[:MAX_HEADER_OCTETS])
    subject = generate.clean(decode_words(headers.first("subject") or b""))[:_MAX_SUBJECT]
    about = f' with the subject "{subject}"' if subject else ""
    attached = "message" if _is_full(original, told, site) else "header of the message"
    return (
        f"The message arrived here on {format_header(original.arrived_at)}{about}; its id is {original.id}."
        f"  The {attached} is attached."
    )


def _wrap(text: str, indent: str = "") -> list[str]:
    """Lines of at most _WIDTH characters; a longer word stands on a line of its own."""
    lines: list[str] = []
    line = indent
    for word in text.split(" "):
        if line.strip() and len(line) + 1 + len(word) > _WIDTH:
            lines.append(line.rstrip())
            line = indent
        line += word if line == indent else f" {word}"
    return [*lines, line.rstrip()]


def _text_part(text: str) -> bytes:
    if text.isascii() and all(len(line) < generate.MAX_LINE_OCTETS for line in text.split("\n")):
        head, body = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n", text.encode("ascii")
    else:
        head = (
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        )
        body = _quoted_printable(text.encode("utf-8", "replace"))
    return head + body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _quoted_printable(octets: bytes) -> bytes:
    """Lines of at most 76 characters, with CRLF."""
    encoded = binascii.b2a_qp(octets.replace(b"\r\n", b"\n"), istext=True)
    return encoded.replace(b"\n", b"\r\n")


# -- for programs


def _machine(original: Original, told: Sequence[Reported], site: Site, *, is_utf8: bool) -> bytes:
    """message/delivery-status: RFC 3464 section 2; of internationalized mail as RFC 6533 section 4.1.

    Args:
        is_utf8: the report itself goes to an internationalized address.
    """
    is_global = is_utf8 or original.smtputf8 or any(not _shown(original, one).isascii() for one in told)
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
        _quoted_printable(octets),
    )


def _fields(original: Original, one: Reported, *, is_global: bool) -> list[bytes]:
    """The fields of one recipient: RFC 3464 section 2.3."""
    text = generate.clean if is_global else _ascii
    shown = _shown(original, one)
    final = f"utf-8; {shown}" if is_global and not shown.isascii() else typed_address(shown)
    fields = [
        generate.structured("Final-Recipient", final),
        generate.structured("Action", one.action),
        generate.structured("Status", _status(one)),
    ]
    if one.orcpt:
        fields.insert(0, generate.structured("Original-Recipient", _original(one.orcpt, is_global=is_global)))
    if one.host and not (one.action in _GOOD and shown != one.address):
        fields.append(generate.structured("Remote-MTA", f"dns; {_ascii(one.host.partition('[')[0])}"))
    if one.action in ("failed", "delayed"):
        said = text(" ".join(_said(original, one)))
        fields.append(generate.structured("Diagnostic-Code", f"smtp; {said}"))
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


def _status(one: Reported) -> str:
    # RFC 3464 section 2.3.4: a failure after days of temporary refusals keeps its 4.
    if one.action in _GOOD:
        return "2.0.0"
    status = one.reply.status if re.match(r"\d{1,3}\.\d{1,3}\Z", one.reply.status) else "0.0"
    return f"{4 if one.reply.is_temporary else 5}.{status}"


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


def _returned(original: Original, told: Sequence[Reported], site: Site, *, is_utf8: bool) -> bytes:
    """The third part: the message as it was, or its header."""
    is_full = _is_full(original, told, site)
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
