"""What a person would see of a message: subject, author, text, links, and how it is built.

One bounded reading for all classifiers.  HTML goes through lexbor, which needs quadratic
time for deep nesting, so documents that nest suspiciously are read crudely instead.

Limits, section 3: 512 KiB of decoded text, 1 MiB of HTML, 1000 URLs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser

from mailstack.filters.fields import Header
from mailstack.filters.folding import Disguise
from mailstack.filters.reading.facts import Attachment, Charsets, Html, Link
from mailstack.mime.addresses import ListedAddress, parse
from mailstack.mime.encoding import decode_words
from mailstack.mime.html import to_text
from mailstack.mime.scanner import Part, scan
from mailstack.mime.text import MAX_TEXT_OCTETS, parts, texts

MAX_URLS = 1_000
MAX_URL_CHARACTERS = 2_048
#: Elements that may stay open before lexbor is not asked: 5,000 nested cost 30 ms, 30,000 a second.
MAX_OPEN_ELEMENTS = 5_000
#: Characters of text beside which a picture says it all.
MAX_PICTURE_TEXT = 200
#: Only this much of a subject or a name is looked at, in characters.
MAX_LINE = 500

_SCHEME = re.compile(r"https?\Z", re.IGNORECASE)
_URL_REST = re.compile(r"[^\s<>\"')\]]{1,2048}")
_HOST = re.compile(r"(?:https?:)?//(?:[^/?#@\s]*@)?(\[[0-9a-f:.]+\]|[^/?#:\s@]+)", re.IGNORECASE)
_IP_HOST = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]|\d{6,10}|0x[0-9a-f]+)\Z")
_INVISIBLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*[01](?:px|pt)?\s*(?:;|\Z)", re.I
)
_TINY = frozenset({"0", "1"})


@dataclass(slots=True)
class Document:
    """One message, read.

    Attributes:
        subject: decoded, disguises undone (`folding.undisguise`), at most 500 characters.
        author: the first From address, leniently read; None without any.
        text: what a person sees of all text parts, HTML made text, disguises undone; bounded.
        plain_text, html_text: the same of the text/plain and of the text/html parts alone.
        hidden_text: what stands in the HTML and no reader sees; at most 64 KiB.
        alt_text: what stands in for pictures, one to a line; not in `text`.
        title: of the HTML.
        links: all ways out, in order: HTML, forms, frames, plain text, attachments.
        urls, hosts: of `links` to the web that the text itself holds (no attachments): host names
            lower case, in order, with repeats.
        mail_addresses: of mailto: links, lower case, in order, without repeats.
        types: content types of all parts, in order.
        attachments: the parts that are not its text, in order.
        disguise: letters that were not what they looked like.
        charsets: what the text parts claim to be written in.
    """

    header: Header
    structure: Part
    subject: str
    author: ListedAddress | None
    text: str
    html: Html
    has_plain: bool
    hosts: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    plain_text: str = ""
    html_text: str = ""
    hidden_text: str = ""
    alt_text: str = ""
    title: str = ""
    links: list[Link] = field(default_factory=list)
    mail_addresses: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    disguise: Disguise = field(default_factory=Disguise)
    charsets: Charsets = field(default_factory=Charsets)

    @property
    def is_one_picture(self) -> bool:
        """Hardly any text, but a picture: what it says, or a QR code, is in there."""
        pictures = self.html.images - self.html.tiny_images
        has_attached = any(attachment.kind == "image" for attachment in self.attachments)
        return bool(pictures or has_attached) and len(self.text) < MAX_PICTURE_TEXT

    @property
    def author_name(self) -> str:
        """The display name of the author."""
        return self.author.display[:MAX_LINE] if self.author is not None else ""

    @property
    def author_address(self) -> str:
        """`local@domain` of the author, lower case; "" without."""
        return self.author.spec.lower() if self.author is not None else ""

    @property
    def author_domain(self) -> str:
        """Lower case; "" without."""
        return self.author_address.rpartition("@")[2].rstrip(".")

    @property
    def is_reply(self) -> bool:
        """Answers something: names another message and says so in the subject."""
        named = self.header.has(b"in-reply-to") or self.header.has(b"references")
        return named and _REPLY.match(self.subject) is not None


# Re: in the languages of the mail programs that translate it.
_REPLY = re.compile(
    r"\s*(?:re|aw|sv|vs|antw|odp|ynt|rv|res|ref|rif|atb|bls|回复|回覆|答复|відп|отв)\s*(?:\[\d+\]|\^\d+)?\s*[:：]",
    re.I,
)


def read(message: bytes, header: Header) -> Document:
    """Reads a message; never raises, whatever it holds."""
    structure = scan(message)
    senders = [entry for entry in parse(header.first(b"from")) if entry.is_mailbox]
    document = Document(
        header,
        structure,
        decode_words(header.first(b"subject")[: MAX_LINE * 12])[:MAX_LINE],
        senders[0] if senders else None,
        "",
        Html(),
        False,
        types=[part.content_type for part in parts(structure)],
    )
    pieces: list[str] = []
    for part in texts(message, structure, limit=MAX_TEXT_OCTETS):
        if part.kind == "html":
            pieces.append(_read_html(part.text, document))
        else:
            document.has_plain = document.has_plain or bool(part.text.strip())
            pieces.append(part.text)
            _add_urls(document, find_urls(part.text))
    document.text = "\n".join(pieces)
    return document


def find_urls(text: str) -> list[str]:
    """The web addresses in plain text.

    Looking for "://" first is a hundred times faster than one pattern that ignores case.
    """
    found: list[str] = []
    last = 0
    at = text.find("://")
    while at >= 0 and len(found) < MAX_URLS:
        scheme = _SCHEME.search(text[max(last, at - 5) : at])
        rest = _URL_REST.match(text, at + 3) if scheme is not None else None
        if scheme is None or rest is None:
            at = text.find("://", at + 1)
            continue
        last = rest.end()
        found.append(f"{scheme[0]}://{rest[0]}")
        at = text.find("://", last)
    return found


def _add_urls(document: Document, urls: list[str]) -> None:
    for url in urls[: MAX_URLS - len(document.urls)]:
        document.urls.append(url)
        found = _HOST.match(url)
        if found is not None:
            document.hosts.append(found[1].lower().rstrip("."))


def _read_html(source: str, document: Document) -> str:
    html = document.html
    html.characters += len(source)
    if source.count("<") - 2 * source.count("</") > MAX_OPEN_ELEMENTS:
        _add_urls(document, find_urls(source))
        return to_text(source)
    try:
        tree = LexborHTMLParser(source)
    except Exception:  # named adapter: selectolax documents nothing about what it may raise
        return to_text(source)
    _count(tree, html)
    if _INVISIBLE.search(source):
        html.hidden += sum(
            1 for node in tree.css("[style]") if _INVISIBLE.search(node.attributes.get("style") or "")
        )
    _add_links(tree, document)
    for node in tree.css("style, script, head, title, noscript"):
        node.decompose()
    return tree.body.text(separator=" ") if tree.body is not None else ""


def _count(tree: LexborHTMLParser, html: Html) -> None:
    for node in tree.css("img"):
        html.images += 1
        attributes = node.attributes
        if attributes.get("width") in _TINY and attributes.get("height") in _TINY:
            html.tiny_images += 1
    html.forms += len(tree.css("form"))
    html.scripts += len(tree.css("script"))


def _add_links(tree: LexborHTMLParser, document: Document) -> None:
    urls = []
    for node in tree.css("a[href], area[href]")[:MAX_URLS]:
        url = (node.attributes.get("href") or "").strip()[:MAX_URL_CHARACTERS]
        if not url.lower().startswith(("http:", "https:", "//")):
            continue
        urls.append(url)
        document.html.links += 1
        shown = _HOST.match((node.text() or "").strip()[:200])
        target = _HOST.match(url)
        if shown is not None and target is not None and not _same_site(shown[1], target[1]):
            document.html.mismatched_links += 1
    _add_urls(document, urls)


def _same_site(one: str, other: str) -> bool:
    return one.lower().split(".")[-2:] == other.lower().split(".")[-2:]


def is_ip_host(host: str) -> bool:
    """A link that names no host: an address, plain or in disguise."""
    return _IP_HOST.match(host) is not None


def attachments(document: Document) -> Iterator[str]:
    """Lower-case file names of the parts that have one."""
    for part in parts(document.structure):
        name = part.filename
        if name:
            yield name.lower()[-200:]
