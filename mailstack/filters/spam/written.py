"""Written messages: a few lines of JSON made into mail as programs send it.

Nobody can ship other people's mail, so mailstack's training and test mail is written for
it (data/classifier/README.md has the format).  How a message is built (mail program,
encodings, style sheets, identifiers) is chosen by a hash of its words, the same choices
for wanted and unwanted mail, so that no way of building tells the label.

Pure and repeatable: the same entry gives the same octets.
"""

from __future__ import annotations

import base64
import hashlib
import quopri
import re
from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar

import msgspec

from mailstack.filters.spam import pages
from mailstack.mime import generate
from mailstack.mime.date import format_header
from mailstack.model.verdict import Class

Shape: TypeAlias = Literal["plain", "html", "both", "card", "image"]
SHAPES: tuple[Shape, ...] = ("plain", "html", "both", "card", "image")
T = TypeVar("T")


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"sender": "from"}):
    """One written message.

    Attributes:
        kind: for people and for figures by kind, such as "phishing-bank".
        sender, reply_to, to: as they stand in the header.
        body: paragraphs; `[text](url)` are links, `![alt](url)` pictures.
        attachments: file names.
        headers: further fields.
    """

    label: Class
    kind: str
    lang: str
    sender: str
    subject: str
    body: str
    shape: Shape = "plain"
    reply_to: str = ""
    to: str = ""
    attachments: tuple[str, ...] = ()
    headers: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not self.subject and not self.body:
            raise ValueError("a message needs a subject or a body")


class BadWritten(Exception):
    """The file is not what data/classifier/README.md describes; says where."""


def parse(text: str | bytes) -> list[Written]:
    """The messages of one file.

    Raises:
        BadWritten: naming the entry (`$[3]` is the fourth) and what is wrong with it.
    """
    try:
        return msgspec.json.decode(text, type=list[Written])
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise BadWritten(str(error)) from error


class Dice:
    """Choices that look random and are always the same for one seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._throws = 0

    def number(self, below: int) -> int:
        """0 to `below` - 1."""
        self._throws += 1
        octets = hashlib.sha256(f"{self._throws} {self._seed}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(octets[:8], "big") % below

    def pick(self, values: Sequence[T]) -> T:
        """One of them."""
        return values[self.number(len(values))]

    def hexadecimal(self, digits: int) -> str:
        """So many digits."""
        return f"{self.number(1 << 62):016x}{self.number(1 << 62):016x}"[-digits:]


#: Who writers address; each message is addressed to one of the readers instead.
WRITTEN_TO = "anna@example.org"
_READERS = (
    ("Anna Keller", "anna@example.org"), ("Bob Miller", "bob.miller@example.com"),
    ("Claire Dubois", "c.dubois@example.net"), ("", "info@example.org"), ("", "office@example.com"),
    ("Jan de Vries", "jan@example.net"), ("Lucia Romero", "lucia.romero@example.org"),
    ("Marta Nowak", "m.nowak@example.com"), ("", "sales@example.net"), ("Ines Costa", "ines@example.org"),
    ("Sofia Rossi", "sofia.rossi@example.com"), ("", "kontakt@example.org"), ("", "hello@example.net"),
    ("Tomas Novak", "tomas@example.net"), ("Emre Yilmaz", "emre.yilmaz@example.com"),
    ("Piotr Zielinski", "piotr@example.org"),
)  # fmt: skip
_SENDER = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^<"]*?))\s*<(?P<spec>[^<>\s]*)>\s*\Z')
_CHARSETS = {
    "de": "iso-8859-1", "fr": "iso-8859-1", "es": "iso-8859-1", "it": "windows-1252", "pt": "iso-8859-1",
    "nl": "windows-1252", "sv": "iso-8859-1", "da": "iso-8859-1", "pl": "iso-8859-2", "cs": "iso-8859-2",
    "tr": "iso-8859-9", "ru": "koi8-r", "ja": "iso-2022-jp", "zh": "gb18030", "en": "us-ascii",
}  # fmt: skip
#: Dates of messages: 2022 to 2026.
_FIRST_DATE, _DATES_S = 1_640_995_200, 150_000_000
_MAX_LINE = 900


def render(entry: Written, *, shape: Shape | None = None, variant: int = 0, is_bare: bool = False) -> bytes:
    """The message.

    Args:
        shape: another one than the entry's own.
        variant: each gives other small choices.
        is_bare: as scripts and machines send it, with hardly any header, at times without an author.
    """
    shape = shape or entry.shape
    dice = Dice(f"{variant} {shape} {entry.subject}\n{entry.body}")
    entry = _addressed(entry, dice)
    body = _with_attachments(_content(entry, shape, dice), entry, dice)
    if is_bare:
        return _bare_head(entry, dice) + _without_words(body)
    return _head(entry, dice) + body


def _bare_head(entry: Written, dice: Dice) -> bytes:
    fields = [
        _addresses("From", entry.sender) if dice.number(6) else b"",
        _addresses("To", entry.to) if dice.number(4) else b"",
        generate.text("Subject", entry.subject),
        _field("Date", _date(dice)) if dice.number(2) else b"",
    ]
    return b"".join(fields)


def _without_words(body: bytes) -> bytes:
    """A part without its own fields, where they say nothing."""
    head, _, rest = body.partition(b"\r\n\r\n")
    is_plain = head.startswith(b"Content-Type: text/plain") and head.endswith(b"7bit") and rest.isascii()
    return b"\r\n" + rest if is_plain else body


def _addressed(entry: Written, dice: Dice) -> Written:
    """The same message to another reader."""
    name, spec = dice.pick(_READERS)
    domain = WRITTEN_TO.rpartition("@")[2]
    new_domain = spec.rpartition("@")[2]

    def changed(text: str) -> str:
        return text.replace(WRITTEN_TO, spec).replace(domain, new_domain)

    to = changed(entry.to) if entry.to else (f'"{name}" <{spec}>' if name and dice.number(2) else spec)
    return msgspec.structs.replace(
        entry,
        to=to,
        sender=changed(entry.sender),
        subject=changed(entry.subject),
        body=changed(entry.body),
        reply_to=changed(entry.reply_to),
        headers={name: changed(value) for name, value in entry.headers.items()},
    )


def _head(entry: Written, dice: Dice) -> bytes:
    given = {name.lower() for name in entry.headers}
    domain = sender_address(entry.sender).rpartition("@")[2] or "localhost"
    fields = [
        ("Date", _field("Date", _date(dice))),
        ("From", _addresses("From", entry.sender)),
        ("To", _addresses("To", entry.to)),
        ("Reply-To", _addresses("Reply-To", entry.reply_to) if entry.reply_to else b""),
        ("Subject", generate.text("Subject", entry.subject)),
        ("Message-ID", _field("Message-ID", _message_id(domain, dice))),
        ("MIME-Version", b"MIME-Version: 1.0\r\n"),
    ]
    own = [field for name, field in fields if name.lower() not in given]
    return b"".join([*own, *(generate.text(name, value) for name, value in entry.headers.items())])


def _field(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("utf-8", "replace")


def _addresses(name: str, text: str) -> bytes:
    """A field as it was written, its display name encoded."""
    found = _SENDER.match(text)
    if found is None:
        return generate.text(name, text) if not text.isascii() else _field(name, generate.clean(text))
    display = found["quoted"] if found["quoted"] is not None else found["bare"]
    try:
        return generate.address_list(name, [(display, found["spec"])])
    except ValueError:
        return generate.text(name, text)


def sender_address(text: str) -> str:
    """The address in a From field as writers write it."""
    found = _SENDER.match(text)
    return (found["spec"] if found is not None else text.strip()).lower()


def _date(dice: Dice) -> str:
    zone = dice.pick((0, 0, 3_600, 7_200, -18_000, -25_200, 28_800))
    return format_header(_FIRST_DATE + dice.number(_DATES_S), zone)


def _message_id(domain: str, dice: Dice) -> str:
    """As the sender's own host, a relay or a sending service makes them."""
    hexadecimal, number = dice.hexadecimal, dice.number(10**9)
    styles = (
        f"<{hexadecimal(8)}-{hexadecimal(4)}-{hexadecimal(4)}-{hexadecimal(12)}@{domain}>",
        f"<{hexadecimal(32)}@{domain}>",
        f"<{number}.{dice.number(10**6)}.{dice.number(10**12)}@{domain}>",
        f"<{hexadecimal(16)}-{hexadecimal(8)}-{hexadecimal(4)}-000000@eu-west-1.amazonses.com>",
        f"<{hexadecimal(22)}@geopod-ismtpd-{dice.number(40)}>",
        f"<CA{hexadecimal(30)}@mail.gmail.com>",
    )
    return styles[dice.number(3)] if dice.number(3) else dice.pick(styles)


def _content(entry: Written, shape: Shape, dice: Dice) -> bytes:
    """One text part, or two alternatives."""
    plain = pages.as_text(entry.body, dice.number(3))
    if shape == "plain":
        return _part("plain", plain, entry, dice)
    style = pages.Style(
        dice.number(6), dice.number(6), dice.number(6), dice.number(6), hidden=dice.number(2) == 0
    )
    if shape in ("html", "both"):
        page = pages.as_page(entry.body, style)
    elif shape == "card":
        page = pages.as_card(entry.body, entry.subject, style)
    else:
        page = pages.as_picture(entry.body, entry.subject, style)
    if shape == "both" or (shape in ("card", "image") and dice.number(2)):
        parts = [_part("plain", plain, entry, dice), _part("html", page, entry, dice)]
        return _multipart("alternative", parts, dice)
    return _part("html", page, entry, dice)


def _part(subtype: str, text: str, entry: Written, dice: Dice) -> bytes:
    text = text.rstrip("\n") + "\n"
    charset, octets = "utf-8", text.encode("utf-8", "replace")
    if dice.number(8) == 0:
        other = _CHARSETS.get(entry.lang, "windows-1252")
        try:
            charset, octets = other, text.encode(other)
        except UnicodeError:
            pass
    quote = dice.pick(("", '"'))
    kind = f"Content-Type: text/{subtype}; charset={quote}{charset}{quote}\r\n"
    encoding, octets = _encoded(octets, dice)
    return f"{kind}Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + octets


def _encoded(octets: bytes, dice: Dice) -> tuple[str, bytes]:
    choice = dice.number(4)
    is_short = max(map(len, octets.split(b"\n"))) < _MAX_LINE
    if choice == 0:
        return "base64", base64.encodebytes(octets.replace(b"\n", b"\r\n")).replace(b"\n", b"\r\n")
    if choice == 1 or not is_short:
        return "quoted-printable", quopri.encodestring(octets).replace(b"\n", b"\r\n")
    return "7bit" if octets.isascii() else "8bit", octets.replace(b"\n", b"\r\n")


def _multipart(subtype: str, parts: Sequence[bytes], dice: Dice) -> bytes:
    boundary = dice.pick(
        (
            f"----=_Part_{dice.number(10**6)}_{dice.number(10**9)}.{dice.number(10**12)}",
            f"000000000000{dice.hexadecimal(16)}",
            f"--boundary_{dice.number(9_999)}_{dice.hexadecimal(12)}",
            f"=_{dice.hexadecimal(24)}",
            f"{dice.hexadecimal(40)}",
        )
    )
    pieces = [f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n'.encode()]
    for part in parts:
        pieces += [f"--{boundary}\r\n".encode(), part, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _with_attachments(content: bytes, entry: Written, dice: Dice) -> bytes:
    if not entry.attachments:
        return content
    return _multipart("mixed", [content, *(_attachment(name, dice) for name in entry.attachments)], dice)


_TYPES = {
    "pdf": ("application/pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"),
    "html": ("text/html", b"<!DOCTYPE html><html><body><p>Document</p></body></html>\n"),
    "htm": ("text/html", b"<!DOCTYPE html><html><body><p>Document</p></body></html>\n"),
    "shtml": ("text/html", b"<!DOCTYPE html><html><body><p>Document</p></body></html>\n"),
    "svg": ("image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'),
    "png": ("image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "jpg": ("image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
    "zip": ("application/zip", b"PK\x05\x06" + bytes(18)),
    "ics": ("text/calendar", b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n"),
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"PK\x03\x04"),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK\x03\x04"),
}


def _attachment(name: str, dice: Dice) -> bytes:
    kind, start = _TYPES.get(name.rpartition(".")[2].lower(), ("application/octet-stream", b"\0"))
    octets = start + b"\n".join(dice.hexadecimal(30).encode() for _ in range(20 + dice.number(40)))
    encoded = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    return (
        f"Content-Type: {kind}; {generate.parameter('name', name)}\r\n"
        f"Content-Disposition: attachment; {generate.parameter('filename', name)}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode() + encoded
