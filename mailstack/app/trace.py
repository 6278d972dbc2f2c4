"""What mailstack writes on top of a message, and reading a body wherever it lies.

From the top of a stored copy: Return-Path, Delivered-To, X-Original-To, Received-SPF (option), Received,
DKIM-Signature (submissions), Authentication-Results, X-Mailstack-Verdict, X-Mailstack-Outside, X-Spam-*,
X-Mailstack-Loop (app/loops.py).
Only values of ours and checked addresses go in; nothing is decoded on the way.

Standards: RFC 5321 section 4.4, RFC 8601.
"""

from __future__ import annotations

import contextlib
import mmap
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mailstack.app import loops
from mailstack.filters import explain
from mailstack.filters.authentication import results
from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.fields import Header
from mailstack.mime.header import MAX_BLOCK_OCTETS, Headers
from mailstack.model.envelope import Body, Envelope
from mailstack.smtp import received as received_field

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.app.mail import Mail
    from mailstack.delivery.decide import Store

_MESSAGE_ID = re.compile(rb"<[^<>\s]{1,900}>")
_NAME = re.compile(rb"^message-id", re.IGNORECASE | re.MULTILINE)
# As nearly all of them look: the first field of the name, on one line; others are parsed.
_USUAL = re.compile(rb"message-id: ?(<[!-;=?-~]{1,900}>)\r\n", re.IGNORECASE)


def read(body: Body) -> bytes:
    """All octets; blocking when they lie in a file."""
    return body.data if body.data is not None else Path(body.path).read_bytes()


@contextlib.contextmanager
def opened(body: Body) -> Iterator[bytes | mmap.mmap]:
    """All octets, without reading those of a file into memory; blocking."""
    if body.data is not None:
        yield body.data
        return
    with open(body.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        yield octets


def head(body: Body) -> bytes:
    """As many octets as a header block may have."""
    return beginning(body, MAX_BLOCK_OCTETS)


def beginning(body: Body, octets: int) -> bytes:
    """The first octets; blocking when they lie in a file."""
    if body.data is not None:
        return body.data[:octets]
    with Path(body.path).open("rb") as stream:
        return stream.read(octets)


def without(message: bytes, cuts: Sequence[tuple[int, int]]) -> bytes:
    """The message less the ranges [start, end), which are ascending."""
    if not cuts:
        return message
    pieces, position = [], 0
    for start, end in cuts:
        pieces.append(message[position:start])
        position = end
    return b"".join([*pieces, message[position:]])


def find_cuts(body: Body, config: Config) -> tuple[tuple[int, int], ...]:
    """Fields that would speak in our name, when no filter looked for them; blocking for files."""
    names = {config.hostname, config.filter.authserv_id.lower() or config.hostname}
    return results.find_cuts(Header(head(body)), frozenset(names))


def message_id(message: bytes) -> str:
    """The Message-ID with its angle brackets, for the log; "" without a usable one."""
    block_end = message.find(b"\r\n\r\n", 0, MAX_BLOCK_OCTETS)
    named = _NAME.search(message, 0, max(0, block_end))
    usual = _USUAL.match(message, named.start()) if named is not None else None
    if usual is not None:
        return usual[1].decode("ascii")
    value = Headers.parse(message[:MAX_BLOCK_OCTETS]).first("message-id")
    found = _MESSAGE_ID.search(value or b"")
    return found.group().decode("utf-8", "replace") if found else ""


def author(body: Body) -> str:
    """The key of the only address in From; "" without one; blocking for files."""
    return find_author(Header(head(body))).address


def received(envelope: Envelope, hostname: str, *, show_client: bool = False) -> bytes:
    """Our Received field.

    Args:
        show_client: also of a client that logged in.
    """
    return received_field.build(envelope, hostname, show_client=show_client or None)


def stored_prefix(mail: Mail, store: Store, *, key: bytes, required: float) -> bytes:
    """The header lines on top of one account's copy.

    Args:
        key: makes the loop token.
        required: the score from which mail is spam.
    """
    target, envelope = store.target, mail.envelope
    lines = [
        f"Return-Path: <{envelope.sender}>\r\n",
        f"Delivered-To: {target.account.address}\r\n",
        f"X-Original-To: {target.original}\r\n",
    ]
    if store.note:
        lines.append(f"X-Mailstack-Note: {' '.join(store.note.split())[:900]}\r\n")
    if mail.answer.received_spf:
        # RFC 7208 section 9.1: above our Received field.
        lines.append(f"Received-SPF: {mail.answer.received_spf}\r\n")
    results = mail.answer.results_header
    authentication = f"Authentication-Results: {results}\r\n" if results else ""
    return b"".join(
        (
            "".join(lines).encode(),
            mail.received,
            mail.signature,
            authentication.encode(),
            explain.headers(mail.answer.verdict, store.verdict, required=required),
            loops.lines(key, (target.account.address,)),
        )
    )
