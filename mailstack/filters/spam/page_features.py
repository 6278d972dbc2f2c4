"""Body view: elements, links, punctuation, and how lines begin."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mailstack.filters.document import Document
from mailstack.filters.reading.links import is_ip_host

#: Characters of text, links, and lines at either end that are looked at.
_TEXT = 8_192
_LINKS = 60
_FIRST, _LAST = 3, 4
_BEGIN = 2_048
#: Lines at either end among which these are, empty ones too.
_LOOKED_AT = 16
#: Characters whose words in capitals are looked at.
_CAPITALS = 1_024
#: Of a line, in which its first three words stand.
_LINE = 40

_PATH_WORD = re.compile(r"[a-z]{2,20}")
_LINE_WORD = re.compile(r"[^\W_]{1,20}")
#: Marks that are counted; those of every sentence say little.
_MARKS = "!#$%&()*+/:;<=>?@[]_|~"
_AROUND = _MARKS + ".,-'\"“”»«"
_OTHER_MARKS = "€£¥§©®°·•…–—“”„«»¡¿、。！？：（）【】「」★✔✅⚠→"
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: All octets but those of marks.
_UNMARKED = bytes(set(range(256)) - set(_MARKS.encode()))
#: All digits as "0": then phone numbers, sums and shares are plain text to look for.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")


def find(document: Document) -> list[str]:
    """Tokens that begin with "b:"."""
    text = document.text
    facts = [*_html(document), *_links(document), *_writing(document, text[:_TEXT])]
    facts += _lines(text)
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
    octets = text.encode("ascii", "ignore")
    marks = octets.translate(None, _UNMARKED)
    for n in sorted(set(marks)):
        mark, count = chr(n), marks.count(n)
        yield f"{mark}{min(count, 63).bit_length()}"
        if count >= 3 and mark * 3 in text:
            yield f"run{mark}"
    if len(octets) < len(text):
        for mark in _OTHER_MARKS:
            if mark in text:
                yield f"{mark}{min(text.count(mark), 63).bit_length()}"
    yield f"length{len(document.text).bit_length()}"
    lines = text.split("\n")
    yield f"lines{len(lines).bit_length()}"
    yield f"longest{max(map(len, lines)).bit_length()}"
    for word in filter(str.isupper, text[:_CAPITALS].split()):
        if 3 <= len(word) <= 20:
            yield f"C:{word.strip(_AROUND)}"
    yield from _figures(octets.translate(_DIGITS), text)
    capitals = len(octets) - len(octets.translate(None, _UPPER))
    if capitals > 80 and capitals > 0.25 * len(octets):
        yield "capitals"
    if document.disguise.invisible or document.disguise.mixed_words:
        yield "disguised"


def _figures(made: bytes, text: str) -> Iterator[str]:
    """Numbers by what stands around them, and what mail programs write; all digits are "0"."""
    if b"000" in made:
        if b"000-0000" in made or b"000.0000" in made or b") 000 0000" in made or b"000 000 0000" in made:
            yield "phone"
        if b"00,000,000" in made or b"00.000.000" in made or b"00 000 000" in made:
            yield "big-money"
    if (
        (b"$" in made and (b"$0" in made or b"$ 0" in made))
        or (b"0 " in made and (b"0 EUR" in made or b"0 USD" in made or b"0 CHF" in made))
        or "€" in text
        or "£" in text
    ):
        yield "money"
    if b"%" in made and (b"0%" in made or b"0 %" in made):
        yield "percent"
    if b"\n>" in made:
        yield "quote"
    if b"wrote:" in made or b"schrieb" in made or b"crit :" in made or b"scritto:" in made:
        yield "wrote"
    if b"\n--" in made and (
        b"\n-- \n" in made or b"\n-- \r" in made or b"\n--\n" in made or b"\n--\r" in made
    ):
        yield "signature"


def _lines(text: str) -> Iterator[str]:
    """How the first lines and the last ones begin; none is both."""
    if len(text) <= _BEGIN:
        lines = _written(text.split("\n"))
        head, tail = lines[:_FIRST], lines[_FIRST:]
    else:
        head = _written(text[:_BEGIN].split("\n", _LOOKED_AT))[:_FIRST]
        tail = _written(text[:_TEXT][-_BEGIN:].rsplit("\n", _LOOKED_AT)[-_LOOKED_AT:])
    for line in head:
        words = _LINE_WORD.findall(line[:_LINE].lower())
        if words:
            yield f"first-{' '.join(words[:3])}"
    for line in tail[-_LAST:]:
        words = _LINE_WORD.findall(line[:_LINE].lower())
        if words:
            yield f"last-{' '.join(words[:3])}"


def _written(lines: list[str]) -> list[str]:
    return [line for line in lines if line and not line.isspace()]
