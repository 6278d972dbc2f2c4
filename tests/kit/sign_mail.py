"""Messages for the tests of signs, and which signs are found in them."""

from __future__ import annotations

from email.message import EmailMessage

from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.signs import find
from mailstack.filters.signs.knowledge import Knowledge, shipped
from mailstack.model.verdict import Authentication


def signs(
    message: bytes, found: Authentication | None = None, knowledge: Knowledge | None = None
) -> find.Signs:
    header = Header(message)
    return find.find(
        read(message, header), found or Authentication(), find_author(header), knowledge or shipped()
    )


def weight(message: bytes) -> float:
    return sum(reason.weight for reason in signs(message).reasons)


def mail(
    sender: str = "Ann Lee <ann.lee@brook.example>",
    subject: str = "lunch",
    text: str = "",
    *,
    page: str = "",
    to: str = "bob.b@home.example",
    **fields: str,
) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
    message["Message-ID"] = f"<1@{sender.rpartition('@')[2].rstrip('>')}>"
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content(page or text, subtype="html" if page else "plain", charset="utf-8", cte="8bit")
    return message.as_bytes().replace(b"\n", b"\r\n")


def names(message: bytes, found: Authentication | None = None) -> set[str]:
    return {reason.name for reason in signs(message, found).reasons}


def link(url: str, text: str = "here") -> str:
    said = f"Look <a href='{url}'>{text}</a> please, there is more to say about it."
    return f"<html><body><p>{said}</p></body></html>"
