"""The features the classifier sees: words, where they stand, and the shape of the message.

Left out on purpose: Received, list and mail-program fields, dates, time zones and numbers
(they mark the corpus of 2002, not spam); a bare From and HTML alone (printers, shops);
charsets (languages).

Limits, section 3: 2000 tokens; T45: at most 40 octets each.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice

from mailstack.filters.document import Document, attachments, is_ip_host

MAX_TOKENS = 2_000
MAX_TOKEN_OCTETS = 40
#: Characters of text that are looked at; 2,000 different words rarely need more.
MAX_CHARACTERS = 65_536

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)?")
#: The characters of such words in lower case, blanks for all others: splitting is three times
#: faster than searching.
_ASCII_LETTERS = str.maketrans(
    {chr(n): chr(n).lower() if chr(n).isalnum() else " " for n in range(128) if n != 39}
)
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")
_MONEY = re.compile(r"[$£€]\s?\d")
_PHONE = re.compile(r"8(?:00|88|77|66)\)?[-. ]\d{3}[-. ]\d{4}")
_SERIAL = re.compile(r"\s{4,}\S+\s*\Z|\[\w{6,}\]\s*\Z|\b\d{4,}\s*\Z")
_GAPPED = re.compile(r"\b(?:[A-Za-z][ .*_-]){4,}[A-Za-z]\b")
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWER = _UPPER.lower()
_SEARCHED = 16_384
_DANGEROUS = (
    ".exe",
    ".scr",
    ".pif",
    ".com",
    ".bat",
    ".cmd",
    ".vbs",
    ".js",
    ".jse",
    ".wsf",
    ".hta",
    ".lnk",
    ".iso",
)


def words(text: str) -> list[str]:
    """Different useful words in folded form, in order; runs of CJK characters as pairs.

    Source: Unicode NFKC and case folding.
    """
    text = text[:MAX_CHARACTERS]
    if text.isascii():
        found = dict.fromkeys(text.translate(_ASCII_LETTERS).split())
        if "'" in text:
            found = dict.fromkeys(piece for word in found for piece in _unquoted(word))
        return [w for w in found if 2 <= len(w) <= MAX_TOKEN_OCTETS and not w.isdigit()]
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = dict.fromkeys(_WORD.findall(folded))
    if _CJK.search(folded) is not None:
        found = dict.fromkeys(piece for word in found for piece in _pieces(word))
    return [w for w in found if len(w) >= 2 and _octets(w) <= MAX_TOKEN_OCTETS and not w.isdigit()]


def _unquoted(word: str) -> Iterable[str]:
    return _ASCII_WORD.findall(word) if "'" in word else (word,)


def _octets(word: str) -> int:
    return len(word) if word.isascii() else len(word.encode())


def _pieces(word: str) -> Iterable[str]:
    if word.isascii() or _CJK.search(word) is None:
        return (word,)
    return (word[n : n + 2] for n in range(max(len(word) - 1, 1)))


def tokens(document: Document) -> list[str]:
    """All features of a message, without repeats, in a fixed order, at most `MAX_TOKENS`."""
    found = dict.fromkeys(shape(document))
    found.update(dict.fromkeys(["s:" + word for word in words(document.subject)]))
    found.update(dict.fromkeys(["f:" + word for word in words(document.author_name)]))
    found.update(dict.fromkeys(["u:" + site for site in _sites(document)]))
    found.update(dict.fromkeys(words(document.text)))
    return list(islice(found, MAX_TOKENS))


def _sites(document: Document) -> Iterator[str]:
    for host in dict.fromkeys(document.hosts):
        if not is_ip_host(host):
            yield ".".join(host.split(".")[-2:])[:MAX_TOKEN_OCTETS]


def shape(document: Document) -> list[str]:
    """Facts about how the message is built, as tokens beginning with "h:"."""
    facts = [*_subject_shape(document.subject), *_sender_shape(document), *_body_shape(document)]
    if document.header.has(b"in-reply-to") or document.header.has(b"references"):
        facts.append("reply")
    return ["h:" + fact for fact in facts]


def _subject_shape(subject: str) -> Iterator[str]:
    letters = [c for c in subject if c.isalpha()]
    if len(letters) >= 8 and sum(c.isupper() for c in letters) > 0.8 * len(letters):
        yield "subject-capitals"
    if subject.count("!") >= 2:
        yield "subject-shouts"
    elif "!" in subject:
        yield "subject-exclaims"
    if _MONEY.search(subject):
        yield "subject-money"
    if _SERIAL.search(subject) and len(subject) > 12:
        yield "subject-serial"
    if _GAPPED.search(subject):
        yield "subject-gapped"
    if subject.lstrip().lower().startswith(("adv:", "adv ")):
        yield "subject-adv"


def _sender_shape(document: Document) -> Iterator[str]:
    header, address = document.header, document.author_address
    local, _, domain = address.rpartition("@")
    if not address or not domain:
        yield "from-none"
    if sum(c.isdigit() for c in local) >= 4:
        yield "from-digits"
    if document.author_name and document.author_name.strip("\"' ").lower() == address:
        yield "from-twice"
    reply_to = header.first(b"reply-to").lower()
    if reply_to and domain and domain.encode("utf-8", "replace") not in reply_to:
        yield "reply-elsewhere"
    to = header.first(b"to")
    if not to or b"undisclosed" in to.lower():
        yield "to-nobody"
    if (to + header.first(b"cc")).count(b"@") > 5:
        yield "to-many"
    if local and document.subject and len(local) > 3 and local in document.subject.lower():
        yield "subject-names-sender"
    recipient = to.rpartition(b"@")[0].rpartition(b"<")[2].strip().lower().decode("utf-8", "replace")
    if len(recipient) > 2 and recipient in document.subject.lower().split():
        yield "subject-names-recipient"


def _body_shape(document: Document) -> Iterator[str]:
    html, text = document.html, document.text
    if html.characters:
        yield from _html_shape(document)
    if _PHONE.search(text, 0, _SEARCHED):
        yield "free-phone"
    if any(sign in text for sign in "$€£") and _MONEY.search(text, 0, _SEARCHED):
        yield "money"
    if _GAPPED.search(text, 0, 1_024):
        yield "gapped-words"
    head = text[:8_192]
    octets = head.encode("ascii", "ignore")
    lower = len(octets) - len(octets.translate(None, _LOWER))
    upper = len(octets) - len(octets.translate(None, _UPPER))
    if upper + lower > 200 and upper > 0.35 * (upper + lower):
        yield "capitals"
    if head.count("!") * 80 > len(head) > 200:
        yield "shouts"
    if any(is_ip_host(host) for host in document.hosts):
        yield "link-to-address"
    if any("%" in url[8:64] or "@" in url[8:64].split("/")[0] for url in document.urls[:50]):
        yield "link-disguised"
    if any(name.endswith(_DANGEROUS) for name in attachments(document)):
        yield "attachment-program"


def _html_shape(document: Document) -> Iterator[str]:
    html, characters = document.html, len(document.text)
    if html.forms:
        yield "html-form"
    if html.scripts:
        yield "html-script"
    if html.hidden:
        yield "html-hidden"
    if html.mismatched_links:
        yield "html-link-lies"
    if html.images and characters < 200 * html.images:
        yield "html-mostly-images"
    if html.characters > 20 * max(characters, 1):
        yield "html-mostly-markup"
