"""What mailstack itself writes to somebody with a mailbox here.

Standards: RFC 5322, RFC 3834 section 5 (Auto-Submitted).
"""

from __future__ import annotations

import base64

from mailstack.mime import generate
from mailstack.mime.date import format_header


def letter(to: str, subject: str, text: str, *, message_id: str, at: float) -> bytes:
    """The whole message, from the system of the address's own domain.

    Args:
        text: lines end in CRLF; base64 unless it is ASCII.
        message_id: without angle brackets.
        at: Unix seconds.
    """
    plain = text.isascii()
    head = [
        generate.address_list("From", [("Mail Delivery System", f"postmaster@{to.rpartition('@')[2]}")]),
        generate.address_list("To", [("", to)]),
        generate.header("Subject", subject),
        generate.structured("Date", format_header(at)),
        generate.structured("Message-ID", f"<{message_id}>"),
        generate.structured("Auto-Submitted", "auto-generated"),
        generate.structured("MIME-Version", "1.0"),
        generate.structured("Content-Type", f"text/plain; charset={'us-ascii' if plain else 'utf-8'}"),
    ]
    if plain:
        return b"".join(head) + b"\r\n" + text.encode("ascii")
    head.append(generate.structured("Content-Transfer-Encoding", "base64"))
    octets = base64.encodebytes(text.encode("utf-8", "replace")).replace(b"\n", b"\r\n")
    return b"".join(head) + b"\r\n" + octets
