"""Header view: how subject, names, identifiers and addresses are made and fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, pairwise

from mailstack.filters.document import Document
from mailstack.filters.reading.links import site

_SERIAL = re.compile(r"\s{4,}\S+\s*\Z|\[\w{6,}\]\s*\Z|\b\d{4,}\s*\Z")
_GAPPED = re.compile(r"\b(?:[A-Za-z][ .*_-]){4,}[A-Za-z]\b")
_MONEY = re.compile(r"[$£€]\s?\d")
_MARKS = re.compile(r"[^\w\s]")
_REPLY = re.compile(r"\s*(?:\[[^\]]{1,40}\]\s*)?(?:re|aw|fwd?|sv|antw|odp|tr|rv)\s*:", re.I)
_TAG = re.compile(r"\[[^\]]{2,30}\]")
_ADDRESS = re.compile(rb"([\w.+-]{1,64})@([\w.-]{1,255})")
_PARAMETER = re.compile(r";\s*([\w-]{1,20})\s*=")
_BOUNDARY = re.compile(r'boundary\s*=\s*"?([^";]{1,80})', re.I)
_LETTERS = re.compile(r"[^\W\d_]{3,30}")
#: Fields whose order tells the program that wrote the header.
_ORDERED = (b"from", b"to", b"cc", b"subject", b"message-id", b"mime-version", b"content-type",
            b"content-transfer-encoding", b"reply-to")  # fmt: skip
_FREE = frozenset(
    [
        *("gmail.com", "googlemail.com", "hotmail.com", "outlook.com", "live.com", "msn.com", "yahoo.com"),
        *(
            "aol.com",
            "icloud.com",
            "gmx.de",
            "gmx.net",
            "web.de",
            "mail.ru",
            "yandex.ru",
            "qq.com",
            "163.com",
        ),
        *("126.com", "proton.me", "protonmail.com", "mail.com", "excite.com", "juno.com", "netscape.net"),
        *("lycos.com", "hotmail.fr", "yahoo.fr", "yahoo.co.uk", "orange.fr", "free.fr", "libero.it", "wp.pl"),
        *("o2.pl", "seznam.cz", "naver.com", "daum.net", "uol.com.br", "bol.com.br", "zoho.com"),
    ]
)
_QUOTE = b'"'
#: Characters of subject and name that are looked at in pieces.
_PIECED = 120
_TEXT = 16_384


def find(document: Document) -> list[str]:
    """Tokens that begin with "h:"."""
    recipient = _recipient(document)
    text, subject = document.text[:_TEXT].lower(), document.subject.lower()
    facts = chain(
        _subject(document.subject),
        _sender(document, recipient),
        _message_id(document),
        _mime(document),
        _agreement(document, text, subject),
        _reader(document, recipient, text, subject),
        _pieces("sc", document.subject),
        _pieces("fc", document.author_name),
    )
    return ["h:" + fact for fact in facts]


def outline(text: str) -> str:
    """Runs of letters and digits as one character each: how something is made up."""
    kinds = ["A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in text[:60]]
    runs = [c for n, c in enumerate(kinds) if n == 0 or c != kinds[n - 1]]
    return _MIXED.sub("x", "".join(runs))[:30]


_MIXED = re.compile(r"(?:A0|0A|a0|0a|aA|Aa)+")


def _text(value: bytes) -> str:
    return value[:2_000].decode("utf-8", "replace")


def _recipient(document: Document) -> tuple[str, str]:
    """Local part and domain the message is addressed to first, lower case; "" without."""
    found = _ADDRESS.search(document.header.first(b"to")[:2_000].lower())
    return (_text(found[1]), _text(found[2])) if found is not None else ("", "")


def _subject(subject: str) -> Iterator[str]:
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
    if _TAG.search(subject):
        yield "subject-tag"
    yield f"subject-length{len(subject) // 10}"
    made = outline(subject)
    yield f"subject-begins{made[:8]}"
    yield f"subject-ends{outline(subject[-8:])[-5:]}"
    for mark in _MARKS.findall(subject[:_PIECED]):
        yield f"sp:{mark}"


def _pieces(mark: str, text: str) -> list[str]:
    """Four characters each, digits alike."""
    if not text:
        return []
    text = "^" + "".join("0" if c.isdigit() else c for c in text[:_PIECED].lower()) + "$"
    return [f"{mark}:{text[n : n + 4]}" for n in range(max(len(text) - 3, 1))]


def _sender(document: Document, recipient: tuple[str, str]) -> Iterator[str]:
    header, address = document.header, document.author_address
    local, _, domain = address.rpartition("@")
    if not address or not domain:
        yield "from-none"
    yield f"from-made{outline(local)}"
    yield f"from-length{len(local) // 3}"
    yield f"from-dots{min(domain.count('.'), 5)}"
    if sum(c.isdigit() for c in local) >= 4:
        yield "from-digits"
    if any(c.isdigit() for c in domain):
        yield "from-domain-digits"
    yield f"from-hyphens{min(domain.count('-'), 4)}"
    yield f"from-domain-length{len(domain) // 5}"
    if domain in _FREE:
        yield "from-free"
    yield from _name(document.author_name, address, local)
    reply_to = header.first(b"reply-to").lower()
    if reply_to:
        is_same = address and address.encode("utf-8", "replace") in reply_to
        is_near = domain and site(domain).encode("utf-8", "replace") in reply_to
        yield "reply-to-same" if is_same else "reply-to-near" if is_near else "reply-elsewhere"
        if any(reply_to.rstrip(b"> ").endswith(b"@" + one.encode()) for one in _FREE):
            yield "reply-to-free"
    to = header.first(b"to")
    if not to or b"undisclosed" in to.lower():
        yield "to-nobody"
    yield f"to{min(to.count(b'@'), 5)}{to.count(b'<') > 0:d}{to.count(_QUOTE) > 1:d}"
    yield f"cc{min(header.first(b'cc').count(b'@'), 5) if header.has(b'cc') else '-'}"
    if recipient[1] and domain and site(recipient[1]) == site(domain):
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
    yield f"type{declared.partition(';')[0].strip().lower()[:30]}"
    found = _BOUNDARY.search(declared)
    if found is not None:
        yield f"boundary-made{outline(found[1])}"
        yield f"boundary-begins{found[1][:8]}"
    for name in _PARAMETER.findall(declared)[:6]:
        yield f"type-has-{name}"
    for kind in sorted(set(document.types[:50])):
        yield f"part-{kind[:40]}"
    yield f"parts{min(len(document.types), 6)}"
    yield f"mime{_text(header.first(b'mime-version'))[:20]}"
    yield f"encoding{_text(header.first(b'content-transfer-encoding'))[:20].lower()}"
    for name in (b"importance", b"priority"):
        if header.has(name):
            yield f"{name.decode()}-{_text(header.first(name))[:10].lower()}"
    order = [field.name for field in header.fields if field.name in _ORDERED]
    for one, other in pairwise(order[:20]):
        yield f"order-{one.decode()}-{other.decode()}"


def _agreement(document: Document, text: str, subject: str) -> Iterator[str]:
    """Whether those named in From, links, subject and text are the same; both in small letters."""
    own = site(document.author_domain)
    main = own.partition(".")[0]
    sites = {site(host) for host in document.hosts[:200]}
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
        yield "signed" if any(name in text[-1_500:] for name in names) else "not-signed"
    named = document.header.has(b"in-reply-to") or document.header.has(b"references")
    says = _REPLY.match(document.subject) is not None
    yield f"reply{says:d}{named:d}"


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
