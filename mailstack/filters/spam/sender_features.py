"""Header view: how subject, names, identifiers and addresses are made and fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from mailstack.filters.document import Document, says_reply
from mailstack.filters.reading.links import site
from mailstack.filters.signs.knowledge import shipped

_SERIAL = re.compile(r"\s{4,}\S+\s*\Z|\[\w{6,}\]\s*\Z|\b\d{4,}\s*\Z")
_GAPPED = re.compile(r"\b(?:[A-Za-z][ .*_-]){4,}[A-Za-z]\b")
_MONEY = re.compile(r"[$£€]\s?\d")
_TAG = re.compile(r"\[[^\]]{2,30}\]")
_ADDRESS = re.compile(rb"([\w.+-]{1,64})@([\w.-]{1,255})")
_PARAMETER = re.compile(r";\s*([\w-]{1,20})\s*=")
_LETTERS = re.compile(r"[^\W\d_]{3,30}")
#: Fields whose order tells the program that wrote the header.
_ORDERED = {
    name: name.decode()
    for name in (b"from", b"to", b"cc", b"subject", b"message-id", b"mime-version", b"content-type",
                 b"content-transfer-encoding", b"reply-to")
}  # fmt: skip
#: Characters of subject and name that are looked at in pieces.
_PIECED = 120
_TEXT = 16_384
#: Letters of a subject that is loud if four of five are capitals.
_LOUD_LETTERS = 8
#: Characters of which something is told how it is made.
_OUTLINED = 60
#: Letters and digits by their kind.
_KINDS = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "A" * 26 + "a" * 26 + "0" * 10
)
_DIGITS = str.maketrans("123456789", "000000000")
_NO_DIGITS = str.maketrans("", "", "0123456789")
#: What is one character of an outline, however often it stands there: many, two, one.
_RUNS = tuple((4 * one, 2 * one, one) for one in "aA0 -=")
_MIXED = re.compile(r"(?:A0|0A|a0|0a|aA|Aa)+")
_QUOTE = b'"'
#: Of an outline, whatever it is made of.
_MAX_OUTLINE = 30


def find(document: Document) -> list[str]:
    """Tokens that begin with "h:"."""
    recipient = _recipient(document)
    text, subject = document.text[:_TEXT].lower(), document.subject.lower()
    facts = [*_subject(document.subject), *_sender(document, recipient)]
    facts += _message_id(document)
    facts += _mime(document)
    facts += _agreement(document, text, subject)
    facts += _reader(document, recipient, text, subject)
    return [
        *["h:" + fact for fact in facts],
        *_pieces("h:sc:", subject),
        *_pieces("h:fc:", document.author_name.lower()),
    ]


def outline(text: str) -> str:
    """Runs of letters and digits as one character each: how something is made up."""
    text = text[:_OUTLINED]
    if text.isascii():
        kinds = text.translate(_KINDS)
    else:
        kinds = "".join(
            ["A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in text]
        )
    for runs, run, one in _RUNS:
        if run in kinds:
            kinds = kinds.replace(runs, one)
            while run in kinds:
                kinds = kinds.replace(run, one)
    return _MIXED.sub("x", kinds)[:_MAX_OUTLINE]


def _text(value: bytes) -> str:
    return value[:2_000].decode("utf-8", "replace")


def _recipient(document: Document) -> tuple[str, str]:
    """Local part and domain the message is addressed to first, lower case; "" without."""
    found = _ADDRESS.search(document.header.first(b"to")[:2_000].lower())
    return (_text(found[1]), _text(found[2])) if found is not None else ("", "")


def _digits(text: str) -> int:
    return len(text) - len(text.translate(_NO_DIGITS)) if text.isascii() else sum(map(str.isdigit, text))


def _subject(subject: str) -> Iterator[str]:
    if _is_loud(subject):
        yield "subject-capitals"
    shouts = subject.count("!")
    if shouts:
        yield "subject-shouts" if shouts > 1 else "subject-exclaims"
    if _MONEY.search(subject):
        yield "subject-money"
    if len(subject) > 12 and _SERIAL.search(subject):
        yield "subject-serial"
    if _GAPPED.search(subject):
        yield "subject-gapped"
    if "[" in subject and _TAG.search(subject):
        yield "subject-tag"
    yield f"subject-length{len(subject) // 10}"
    yield f"subject-begins{outline(subject)[:8]}"
    yield f"subject-ends{outline(subject[-8:])[-5:]}"


def _is_loud(subject: str) -> bool:
    """Four of five letters are capitals."""
    capitals = sum(map(str.isupper, subject))
    return capitals > 0.8 * _LOUD_LETTERS and capitals > 0.8 * max(
        sum(map(str.isalpha, subject)), _LOUD_LETTERS
    )


def _pieces(mark: str, text: str) -> list[str]:
    """Four characters each of small letters, digits alike."""
    if not text:
        return []
    text = f"^{text[:_PIECED].translate(_DIGITS)}$"
    return [mark + text[n : n + 4] for n in range(max(len(text) - 3, 1))]


def _sender(document: Document, recipient: tuple[str, str]) -> Iterator[str]:
    header, address = document.header, document.author_address
    local, _, domain = address.rpartition("@")
    if not address or not domain:
        yield "from-none"
    yield f"from-made{outline(local)}"
    yield f"from-length{len(local) // 3}"
    yield f"from-dots{min(domain.count('.'), 5)}"
    if _digits(local) >= 4:
        yield "from-digits"
    if _digits(domain):
        yield "from-domain-digits"
    yield f"from-hyphens{min(domain.count('-'), 4)}"
    yield f"from-domain-length{len(domain) // 5}"
    free = shipped().words_of("free_mail")
    if domain in free:
        yield "from-free"
    yield from _name(document.author_name, address, local)
    own = site(domain)
    reply_to = _text(header.first(b"reply-to")).lower()
    if reply_to:
        is_same, is_near = address and address in reply_to, own and own in reply_to
        yield "reply-to-same" if is_same else "reply-to-near" if is_near else "reply-elsewhere"
        if reply_to.rstrip("> ").rpartition("@")[2] in free:
            yield "reply-to-free"
    to = header.first(b"to")
    if not to or b"undisclosed" in to.lower():
        yield "to-nobody"
    yield f"to{min(to.count(b'@'), 5)}{b'<' in to:d}{to.count(_QUOTE) > 1:d}"
    yield f"cc{min(header.first(b'cc').count(b'@'), 5) if header.has(b'cc') else '-'}"
    if recipient[1] and domain and site(recipient[1]) == own:
        yield "from-own-domain"
    if address and f"{recipient[0]}@{recipient[1]}" == address:
        yield "to-self"


def _name(name: str, address: str, local: str) -> Iterator[str]:
    if not name:
        yield "name-none"
        return
    yield f"name-words{min(len(name.split()), 6)}"
    yield f"name-made{outline(name)[:16]}"
    if "@" in name:
        yield "from-twice" if name.strip("\"' ").lower() == address else "name-address"
    words = _LETTERS.findall(name.lower())
    yield "name-in-address" if any(word in local for word in words) else "name-not-in-address"


def _message_id(document: Document) -> Iterator[str]:
    if not document.header.has(b"message-id"):
        yield "id-none"
        return
    value = _text(document.header.first(b"message-id"))[:300].strip()
    local, at, host = value.strip("<>").partition("@")
    yield f"id-made{outline(local)}"
    yield f"id-length{len(local) // 4}"
    if not at or "." not in host or not (value.startswith("<") and value.endswith(">")):
        yield "id-odd"
    if "$" in local:
        yield f"id-dollars{min(local.count('$'), 4)}"
    if host and document.author_domain:
        yield "id-same" if site(host.lower()) == site(document.author_domain) else "id-other"


def _mime(document: Document) -> Iterator[str]:
    header = document.header
    declared = _text(header.first(b"content-type"))
    kind, more, _ = declared.partition(";")
    yield f"type{kind.strip().lower()[:30]}"
    if more:
        for name in _PARAMETER.findall(declared)[:6]:
            yield f"type-has-{name}"
    for kind in sorted(set(document.types[:50])):
        yield f"part-{kind[:40]}"
    yield f"parts{min(len(document.types), 6)}"
    yield f"mime{_text(header.first(b'mime-version'))[:20]}"
    yield f"encoding{_text(header.first(b'content-transfer-encoding'))[:20].lower()}"
    for field in (b"importance", b"priority"):
        if header.has(field):
            yield f"{field.decode()}-{_text(header.first(field))[:10].lower()}"
    order = [_ORDERED[field.name] for field in header.fields if field.name in _ORDERED]
    for one, other in pairwise(order[:20]):
        yield f"order-{one}-{other}"


def _agreement(document: Document, text: str, subject: str) -> Iterator[str]:
    """Whether those named in From, links, subject and text are the same; both in small letters."""
    own = site(document.author_domain)
    main = own.partition(".")[0]
    sites = set(map(site, document.hosts[:200]))
    if not sites:
        yield "links-none"
    else:
        yield "links-all" if sites == {own} else "links-some" if own in sites else "links-elsewhere"
        yield f"sites{min(len(sites), 6)}"
        if len(main) > 3 and own not in sites and any(main in one for one in sites):
            yield "links-alike"
    if len(main) > 3:
        yield "text-names-sender" if main in text else "text-not-sender"
        if main in subject:
            yield "subject-names-sender"
        if main in document.author_name.lower().replace(" ", ""):
            yield "name-is-domain"
    names = _LETTERS.findall(document.author_name.lower())
    if names:
        end = text[-1_500:]
        yield "signed" if any(name in end for name in names) else "not-signed"
    named = document.header.has(b"in-reply-to") or document.header.has(b"references")
    yield f"reply{says_reply(document.subject):d}{named:d}"


def _reader(document: Document, recipient: tuple[str, str], text: str, subject: str) -> Iterator[str]:
    """Where the reader's own address turns up; text and subject in small letters."""
    local, domain = recipient
    if len(local) < 3:
        return
    address = f"{local}@{domain}"
    if local in subject:
        yield "subject-names-reader"
    if address in text:
        yield "text-holds-address"
    if local in text[:300]:
        yield "greets-address"
    urls = " ".join(document.urls[:50]).lower()
    if address in urls or f"{local}%40" in urls:
        yield "link-holds-address"
    if domain.partition(".")[0] in document.author_name.lower():
        yield "name-is-readers-domain"
