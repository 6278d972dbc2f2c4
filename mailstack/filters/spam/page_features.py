"""Body view: elements, links, punctuation, and how lines begin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from mailstack.filters.document import Document, is_ip_host

#: Characters of text, links, and lines at either end that are looked at.
_TEXT = 8_192
_LINKS = 60
_FIRST, _LAST = 3, 4

_PATH_WORD = re.compile(r"[a-z]{2,20}")
_LINE_WORD = re.compile(r"[^\W_]{1,20}")
#: Marks that are counted; `str.count` of each is faster than any pattern.  Those of every sentence
#: say little.
_MARKS = "!#$%&()*+/:;<=>?@[]_|~"
_AROUND = _MARKS + ".,-'\"“”»«"
_OTHER_MARKS = "€£¥§©®°·•…–—“”„«»¡¿、。！？：（）【】「」★✔✅⚠→"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz"
#: All digits as "0": then phone numbers, sums and shares are plain text to look for.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
#: What is written, a text that is quick to look for and must be there too, and its forms.
_WRITTEN = (
    ("phone", b"000", (b"000-0000", b"000.0000", b") 000 0000", b"000 000 0000")),
    ("money", b"$", (b"$0", b"$ 0")),
    ("money", b"0 ", (b"0 EUR", b"0 USD", b"0 CHF")),
    ("percent", b"%", (b"0%", b"0 %")),
    ("big-money", b"000", (b"00,000,000", b"00.000.000", b"00 000 000")),
    ("quote", b">", (b"\n>",)),
    ("wrote", b":", (b"wrote:", b"schrieb", b"crit :", b"scritto:")),
    ("signature", b"\n--", (b"\n-- \n", b"\n-- \r\n", b"\n--\n", b"\n--\r\n")),
)


def find(document: Document) -> list[str]:
    """Tokens that begin with "b:"."""
    text = document.text
    facts = chain(_html(document), _links(document), _writing(document, text[:_TEXT]), _lines(text))
    return ["b:" + fact for fact in facts]


def _html(document: Document) -> Iterator[str]:
    html, characters = document.html, len(document.text)
    if not html.characters:
        return
    for name, count in list(html.elements.items())[:60]:
        yield f"<{name[:16]}"
        yield f"<{name[:16]}*{min(count, 255).bit_length()}"
    for fact, count in (
        ("form", html.forms),
        ("script", html.scripts),
        ("hidden", html.hidden),
        ("link-lies", html.mismatched_links),
        ("password", html.password_fields),
        ("frame", html.frames),
        ("refresh", html.refreshes),
        ("base", html.bases),
        ("data-link", html.data_links),
        ("smuggling", len(html.smuggling)),
        ("tracking", html.tiny_images),
        ("linked-image", html.linked_images),
    ):
        if count:
            yield f"html-{fact}"
    if html.images and characters < 200 * html.images:
        yield "html-mostly-images"
    if html.characters > 20 * max(characters, 1):
        yield "html-mostly-markup"


def _links(document: Document) -> Iterator[str]:
    yield f"links{min(len(document.urls), 255).bit_length()}"
    hosts = list(dict.fromkeys(document.hosts))
    yield f"hosts{min(len(hosts), 255).bit_length()}"
    for host in hosts[:_LINKS]:
        if is_ip_host(host):
            yield "link-to-address"
            continue
        labels = host.split(".")
        for label in labels[:-1][-4:]:
            yield f"u:{label[:20]}"
        if sum(c.isdigit() for c in host) >= 4:
            yield "host-digits"
        yield f"host-labels{min(len(labels), 6)}"
        yield f"host-hyphens{min(host.count('-'), 5)}"
        if len(host) > 30:
            yield "host-long"
    for url in dict.fromkeys(document.urls[:_LINKS]):
        yield from _url(url)


def _url(url: str) -> Iterator[str]:
    start = url.find("/", 8)
    path = url[start:].lower() if start > 0 else ""
    if "%" in url[8:64] or "@" in url[8:64].split("/")[0]:
        yield "link-disguised"
    if ":" in url[8 : start if start > 0 else 80]:
        yield "link-port"
    if "?" in path:
        yield "link-query"
    if "@" in path:
        yield "link-address"
    if len(url) > 100:
        yield "link-long"
    if len(path) <= 1:
        yield "link-bare"
    for word in _PATH_WORD.findall(path[:120])[:12]:
        yield f"p:{word}"


def _writing(document: Document, text: str) -> Iterator[str]:
    for mark in _MARKS if text.isascii() else _MARKS + _OTHER_MARKS:
        count = text.count(mark)
        if count:
            yield f"{mark}{min(count, 63).bit_length()}"
            if count >= 3 and mark * 3 in text:
                yield f"run{mark}"
    yield f"length{len(document.text).bit_length()}"
    lines = text.split("\n")
    yield f"lines{len(lines).bit_length()}"
    yield f"longest{max(map(len, lines)).bit_length()}"
    for word in text[:2_048].split():
        if word.isupper() and 3 <= len(word) <= 20:
            yield f"C:{word.strip(_AROUND)}"
    octets = text.encode("ascii", "ignore")
    made = octets.translate(_DIGITS)
    for fact, needed, written in _WRITTEN:
        if needed in made and any(one in made for one in written):
            yield fact
    if "€" in text or "£" in text:
        yield "money"
    upper, lower = (len(octets) - len(octets.translate(None, letters)) for letters in _LETTERS)
    if upper + lower > 200 and upper > 0.35 * (upper + lower):
        yield "capitals"
    if document.disguise.invisible or document.disguise.mixed_words:
        yield "disguised"


def _lines(text: str) -> Iterator[str]:
    head = [line for line in text[:2_048].split("\n") if not line.isspace() and line][:_FIRST]
    tail = [line for line in text[:_TEXT][-2_048:].split("\n") if not line.isspace() and line][-_LAST:]
    for mark, lines in (("first", head), ("last", tail)):
        for line in lines:
            words = _LINE_WORD.findall(line[:80].lower())[:3]
            if words:
                yield f"{mark}-{' '.join(words)}"
