"""What a person would see of a message: subject, author, text, links, and how it is built.

One bounded reading for all classifiers; how each thing is read stands in `filters/reading/`.

Limits, section 3: 512 KiB of decoded text, 1 MiB of HTML, 1000 URLs, archives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mailstack.filters.fields import Header
from mailstack.filters.folding import Disguise, undisguise
from mailstack.filters.reading.attachments import find_attachments, shown_parts
from mailstack.filters.reading.charsets import decode
from mailstack.filters.reading.facts import Attachment, Html, Link
from mailstack.filters.reading.html import MAX_ALT, MAX_HIDDEN, MAX_SOURCE, Effort, Page, read_html
from mailstack.filters.reading.links import MAX_URLS, clean, find_all, make
from mailstack.filters.words import Words
from mailstack.mime.addresses import ListedAddress, parse
from mailstack.mime.encoding import decode_words
from mailstack.mime.scanner import Part, scan
from mailstack.mime.text import MAX_TEXT_OCTETS, content, parts

#: Characters of text beside which a picture says it all.
MAX_PICTURE_TEXT = 200
#: Characters of blocks that make a picture; the smallest QR code has 21 rows of 21, two to a line.
MIN_BLOCKS = 100
_BLOCKS = ("\u2588", "\u2580", "\u2584", "\u2590", "\u258c", "\u2593")
#: Only this much of a subject or a name is looked at, in characters.
MAX_LINE = 500


@dataclass(slots=True)
class Document:
    """One message, read.

    Attributes:
        subject: decoded, disguises undone (`folding.undisguise`), at most 500 characters.
        author: the first From address, leniently read; None without any.
        author_address: its `local@domain`, lower case; "" without.
        author_domain: lower case, without a dot at its end; "" without.
        author_name: the display name of the author, disguises undone.
        text: what a person sees of all text parts, HTML made text, disguises undone; bounded.
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
    """

    header: Header
    structure: Part
    subject: str
    author: ListedAddress | None
    text: str
    html: Html
    has_plain: bool
    author_address: str = ""
    author_domain: str = ""
    author_name: str = ""
    hosts: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    hidden_text: str = ""
    alt_text: str = ""
    title: str = ""
    links: list[Link] = field(default_factory=list)
    mail_addresses: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    disguise: Disguise = field(default_factory=Disguise)
    _words: Words | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def words(self) -> Words:
        """Its words, split once for all who look for some."""
        if self._words is None:
            self._words = Words(self.subject, self.author_name, self.text, self.alt_text, self.title)
        return self._words

    @property
    def is_one_picture(self) -> bool:
        """Hardly any text, but a picture: what it says, or a QR code, is in there."""
        if len(self.text) >= MAX_PICTURE_TEXT:
            return False
        if self.html.images > self.html.tiny_images:
            return True
        is_empty = not self.text.strip()
        return any(one.kind == "image" and (one.is_inline or is_empty) for one in self.attachments)

    @property
    def has_drawn_picture(self) -> bool:
        """Block characters put together, as QR codes are where pictures are looked at."""
        return sum(map(self.text.count, _BLOCKS)) >= MIN_BLOCKS

    @property
    def is_reply(self) -> bool:
        """Answers something: names another message and says so in the subject."""
        named = self.header.has(b"in-reply-to") or self.header.has(b"references")
        return named and says_reply(self.subject)


# Re: in the languages of the mail programs that translate it, also behind the name of a list.
_REPLY = re.compile(
    r"\s*(?:\[[^\]]{1,40}\]\s*)?"
    r"(?:re|aw|sv|vs|antw|odp|ynt|rv|res|ref|rif|atb|bls|回复|回覆|答复|відп|отв)\s*(?:\[\d+\]|\^\d+)?\s*[:：]",
    re.I,
)


def says_reply(subject: str) -> bool:
    """The subject says that it answers one."""
    return _REPLY.match(subject) is not None


def read(message: bytes, header: Header) -> Document:
    """Reads a message; never raises, whatever it holds."""
    structure = scan(message, known=header.mime)
    senders = [entry for entry in parse(header.first(b"from")) if entry.is_mailbox]
    document = Document(
        header,
        structure,
        "",
        senders[0] if senders else None,
        "",
        Html(),
        False,
        types=[part.content_type for part in parts(structure)],
    )
    subject = decode_words(header.first(b"subject")[: MAX_LINE * 12])[:MAX_LINE]
    document.subject = undisguise(subject, document.disguise)
    if document.author is not None:
        document.author_address = document.author.spec.lower()
        document.author_domain = document.author_address.rpartition("@")[2].rstrip(".")
        document.author_name = undisguise(document.author.display[:MAX_LINE], document.disguise)
    effort = Effort()
    cids = _read_texts(message, document, effort)
    document.attachments, found = find_attachments(
        message, structure, effort, cids=cids, room=MAX_URLS - len(document.links)
    )
    document.links += found
    return document


def _read_texts(message: bytes, document: Document, effort: Effort) -> set[str]:
    """The parts that are shown; gives the content ids they refer to."""
    pieces: list[str] = []
    cids: set[str] = set()
    room, source_room = MAX_TEXT_OCTETS, MAX_SOURCE
    for part in shown_parts(document.structure):
        is_html = part.content_type == "text/html"
        octets = content(message, part, source_room if is_html else room)
        text = decode(octets, part.parameter("charset") or "", is_html=is_html)
        if is_html:
            source_room -= len(octets)
            page = read_html(text, document.html, effort, room=room)
            _take_page(document, page)
            cids |= page.cids
            text = page.text
        text = undisguise(text, document.disguise)
        room -= len(text)
        if not is_html:
            document.has_plain = document.has_plain or bool(text.strip())
            _add_links(document, [make(clean(url), place="text") for url in find_all(text)])
        pieces.append(text)
        if room <= 0 or source_room <= 0:
            break
    document.text = "\n".join(pieces)
    return cids


def _take_page(document: Document, page: Page) -> None:
    document.title = document.title or page.title
    document.hidden_text = "\n".join(filter(None, (document.hidden_text, page.hidden)))[:MAX_HIDDEN]
    alt = undisguise(page.alt, document.disguise)
    document.alt_text = "\n".join(filter(None, (document.alt_text, alt)))[:MAX_ALT]
    addresses = dict.fromkeys((*document.mail_addresses, *page.mail_addresses))
    document.mail_addresses = list(addresses)[:MAX_URLS]
    _add_links(document, page.links)


def _add_links(document: Document, links: list[Link]) -> None:
    for link in links[: MAX_URLS - len(document.links)]:
        document.links.append(link)
        if link.host:
            document.urls.append(link.url)
            document.hosts.append(link.host)
