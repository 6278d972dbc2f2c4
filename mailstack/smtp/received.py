"""Our Received field: who gave us the message, how, for whom, when.

What a client calls itself is shown, never trusted: whatever is not a host name or an
address literal is escaped, so that it can neither end the field nor forge another (T92).

Standards: RFC 5321 section 4.4, RFC 3848 and 6531 section 4.3 (`with`), RFC 8314 section 4.3 (`tls`).
"""

from __future__ import annotations

import re
from typing import Final

from mailstack.mime.date import format_header
from mailstack.model.envelope import Envelope

#: A client's name is cut here, in characters.
MAX_HELO: Final = 255

_NAME = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[A-Za-z0-9:.]+\])\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9!#$%&*+,./:=?@^_`{|}~ \-\[\]]")


def build(envelope: Envelope, hostname: str, *, show_client: bool | None = None) -> bytes:
    """The field with name, folding and CRLF.

    Args:
        hostname: ours.
        show_client: whether the client's name and address stand in it; by default not
            those of a user who logged in.
    """
    client = envelope.client
    lines = []
    if (not client.login) if show_client is None else show_client:
        lines.append(f"from {_client(client.helo, client.ip)}")
    lines.append(f"by {hostname} with {envelope.protocol} id {envelope.accept_id}")
    if client.tls:
        lines.append(f"(tls {_UNSAFE.sub('?', client.tls)[:80]})")
    # With several recipients the field would show blind copies (RFC 5321 section 7.6).
    if len(envelope.recipients) == 1:
        address = str(envelope.recipients[0].address)
        if address.isascii() or envelope.smtputf8:
            lines.append(f"for <{address}>")
    lines[-1] += ";"
    lines.append(format_header(envelope.received_at))
    return ("Received: " + "\r\n\t".join(lines) + "\r\n").encode("utf-8", "replace")


def _client(helo: str, ip: str) -> str:
    literal = f"IPv6:{ip}" if ":" in ip else ip
    name = helo[:MAX_HELO]
    if _NAME.match(name):
        return f"{name} ([{literal}])" if ip else f"{name} (Unix socket)"
    escaped = _UNSAFE.sub("?", name)
    return f"[{literal}] (helo={escaped})" if ip else f"localhost (Unix socket, helo={escaped})"
