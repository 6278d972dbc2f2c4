"""Fuzz targets of what the filter reads of a message: HTML, charsets, archives, documents, letters.

Each takes any octets; see fuzz_targets.
"""

from __future__ import annotations

from mailstack.filters.document import MAX_LINE, read
from mailstack.filters.fields import Header
from mailstack.filters.folding import Disguise, skeleton, undisguise
from mailstack.filters.reading import documents
from mailstack.filters.reading.archives import MAX_MEMBERS, MAX_OUT, Listing, look
from mailstack.filters.reading.charsets import decode
from mailstack.filters.reading.facts import Html
from mailstack.filters.reading.html import MAX_HIDDEN, Effort, read_html
from mailstack.filters.reading.links import MAX_SHOWN, MAX_URL_CHARACTERS, MAX_URLS
from mailstack.mime.text import MAX_TEXT_OCTETS

_CHARSETS = (
    *("", "utf-8", "utf-16", "utf-16le", "utf-7", "iso-2022-jp", "shift_jis", "gb2312", "big5", "euc-kr"),
    *("windows-1251", "koi8-r", "us-ascii", "iso-8859-1", "utf-32", "hz", "base64", "no such", "idna"),
)
_FORMS = ("zip", "gzip", "bzip2", "xz", "tar", "7z", "rar")
_ROOM = 10_000
_NAMES = ("x.html", "x.zip", "x.pdf", "x.docx", "x.doc", "x.ics", "x.svg", "x", "x.pdf.exe")


def html(octets: bytes) -> None:
    """HTML: bounded text that can be written, links a browser could follow, the same each time."""
    source = octets.decode("utf-8", "replace")
    found, again = Html(), Html()
    page = read_html(source, found, Effort(), room=_ROOM)
    assert read_html(source, again, Effort(), room=_ROOM) == page
    assert again == found
    assert len(page.text) <= _ROOM + source.count("<") * 2
    assert len(page.hidden) <= MAX_HIDDEN + source.count("<")
    assert len(page.links) <= MAX_URLS
    for link in page.links:
        assert 0 < len(link.url) <= MAX_URL_CHARACTERS
        assert not set(link.url) & {"\r", "\n", "\t"}
        assert link.host == link.host.lower()
        assert link.host.isascii()
        assert len(link.shown) <= MAX_SHOWN
    (page.text + page.hidden + page.alt + page.title).encode()
    assert bool(found.hidden) == bool(found.hidden_how)


def charset(octets: bytes) -> None:
    """Text of any charset: never more characters than octets, none that cannot be written."""
    declared = _CHARSETS[octets[0] % len(_CHARSETS)] if octets else ""
    for is_html in (False, True):
        text = decode(octets[1:], declared, is_html=is_html)
        assert "\0" not in text
        # Some characters of East Asian charsets are written as two.
        assert len(text) <= 2 * len(octets)
        text.encode()


def archive(octets: bytes) -> None:
    """Archives: within the caps, whatever they are taken for."""
    for form in _FORMS:
        listing = Listing()
        look(octets, form, listing, name="a.gz")
        assert 0 <= listing.out <= MAX_OUT
        assert len(listing.members) <= MAX_MEMBERS
        assert len(set(listing.tricks)) == len(listing.tricks)
        for member in listing.members:
            assert len(member) <= 200


def attachment(octets: bytes) -> None:
    """A whole message with one attachment: read, never refused, and its parts told once."""
    name = _NAMES[octets[0] % len(_NAMES)] if octets else "x"
    head = (
        "Content-Type: multipart/mixed; boundary=bOuNd\r\n\r\n--bOuNd\r\n\r\nhello\r\n--bOuNd\r\n"
        f'Content-Type: application/octet-stream; name="{name}"\r\n\r\n'
    )
    _whole(head.encode() + octets[1:] + b"\r\n--bOuNd--\r\n")
    _whole(octets)
    assert len(documents.read_pdf(octets, [], documents.Room())) <= documents.MAX_LINKS
    assert len(documents.read_relations(octets, [])) <= documents.MAX_LINKS


def _whole(message: bytes) -> None:
    document = read(message, Header(message))
    assert len(document.links) <= MAX_URLS
    assert len(document.urls) == len(document.hosts) <= MAX_URLS
    assert len(document.subject) <= MAX_LINE
    assert len(document.text) <= MAX_TEXT_OCTETS + 2_000
    for found in document.attachments:
        assert len(set(found.tricks)) == len(found.tricks), found
        assert not set(found.name) & {"/", "\\", "\0", "\r", "\n"}
    (document.text + document.subject + document.author_name + document.hidden_text).encode()


def letters(octets: bytes) -> None:
    """Disguised letters: undone once and for all."""
    text = octets.decode("utf-8", "replace")
    found = Disguise()
    folded = undisguise(text, found)
    assert undisguise(folded) == folded
    assert len(found.words) <= 20
    skeleton(text).encode()
