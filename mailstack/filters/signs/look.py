"""One message as the signs see it: what several of them need, worked out once.

No I/O.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple

from mailstack.filters.document import Document
from mailstack.filters.once import once
from mailstack.filters.reading.links import behind_host
from mailstack.filters.signs import abroad
from mailstack.filters.signs.knowledge import Brand, Knowledge
from mailstack.filters.words import HEAD, Text
from mailstack.model.verdict import Authentication

#: Different web addresses that are looked at.
MAX_LINKS = 60
#: Characters of the text in which wishes and brands are looked for.
MAX_TEXT = HEAD
#: Recipients that are compared with what stands in the message.
MAX_RECIPIENTS = 3
#: Characters of a host name the DNS knows (RFC 1035 section 2.3.4); longer ones lead nowhere.
MAX_HOST = 253

#: Kinds of words that are a trade where they stand in the author's name.
TRADES = frozenset({"esoteric", "gambling", "loan", "seo", "replica"})

#: Addresses for payments in cryptocurrencies, and what is said beside them.
_COIN = re.compile(
    r"\b(?:bc1[a-z0-9]{25,60}|[13][a-km-zA-HJ-NP-Z1-9]{25,34}|0x[0-9a-fA-F]{40}"
    r"|[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}|[LMT][a-km-zA-HJ-NP-Z1-9]{26,33})\b"
)
_ABOUT_COINS = frozenset({"crypto", "sextortion"})
#: Addresses only a network's own people reach: what its printers and servers link to.
_INTERNAL = re.compile(r"(?:10|127|169\.254|172\.(?:1[6-9]|2\d|3[01])|192\.168)(?:\.\d{1,3}){2,3}\Z")
_ADDRESS = re.compile(r"[^\s<>,;:\"'()]+@[^\s<>,;:\"'()]+")


class Way(NamedTuple):
    """One web address: where it leads."""

    url: str
    host: str
    port: str
    path: str
    site: str


class Found(NamedTuple):
    """One sign that was found.

    Attributes:
        name: as in data/weights.toml.
        detail: what exactly, for a person; "" for nothing.
        share: of its weight.
    """

    name: str
    detail: str = ""
    share: float = 1.0


class Look:
    """A document, with what follows from it."""

    def __init__(self, document: Document, found: Authentication, knowledge: Knowledge) -> None:
        self.document = document
        self.found = found
        self.knowledge = knowledge
        self.name = document.author_name
        self.address = document.author_address
        self.domain = document.author_domain[-MAX_HOST:]
        self.site = knowledge.registered(self.domain)

    @property
    def text(self) -> Text:
        """Subject, the beginning of the text, the title and the pictures' words."""
        return self.document.words.seen

    @once
    def said(self) -> list[str | Brand]:
        """The kinds of phrases and the brands that stand in it; one as often as different words say it."""
        return self.knowledge.phrases.find(self.text)

    @once
    def said_in_name(self) -> list[str | Brand]:
        """The same of the author's name."""
        return self.knowledge.phrases.find(self.document.words.name)

    @once
    def kinds(self) -> dict[str, int]:
        """How many different phrases of each kind stand in it."""
        counts: dict[str, int] = {}
        for kind in self.said:
            if isinstance(kind, str):
                counts[kind] = counts.get(kind, 0) + 1
        for kind in self.said_in_name:
            if kind in TRADES:
                counts[kind] = counts.get(kind, 0) + 1
        if self.ways:
            counts["link"] = 1
        if any(not one.is_inline for one in self.document.attachments):
            counts["attached"] = 1
        if not _ABOUT_COINS.isdisjoint(counts) and _COIN.search(self.document.text[:MAX_TEXT]) is not None:
            counts["coin"] = 1
        return counts

    @once
    def ways(self) -> list[Way]:
        """The first different web addresses, without those of somebody's own network."""
        document, registered = self.document, self.knowledge.registered
        hosts = dict(zip(document.urls[: MAX_LINKS * 4], document.hosts, strict=False))
        cut = ((url, host[-MAX_HOST:]) for url, host in islice(hosts.items(), MAX_LINKS))
        return [
            Way(url, host, *behind_host(url), registered(host))
            for url, host in cut
            if not _INTERNAL.match(host)
        ]

    @once
    def recipients(self) -> list[str]:
        """Whom it is addressed to, lower case."""
        header = self.document.header
        text = (header.first(b"to")[:400] + b" " + header.first(b"delivered-to")[:200]).decode(
            "utf-8", "replace"
        )
        return [one.lower() for one in _ADDRESS.findall(text)[:MAX_RECIPIENTS]]

    @once
    def reader_site(self) -> str:
        """The site of the first of them; "" when nobody is addressed."""
        return self.knowledge.registered(self.recipients[0].rpartition("@")[2]) if self.recipients else ""

    @once
    def homes(self) -> frozenset[str]:
        """The countries its language is at home in; none when that is not known."""
        return abroad.homes(self.document.text[:MAX_TEXT], self.text.words)

    @once
    def is_free_mail(self) -> bool:
        """Written from an address anybody gets."""
        return self.domain in self.knowledge.words_of("free_mail")

    @once
    def reply_to(self) -> str:
        """Where answers go, lower case; "" when nowhere else."""
        text = self.document.header.first(b"reply-to")[:400].decode("utf-8", "replace")
        found = _ADDRESS.search(text)
        return found[0].lower() if found is not None and found[0].lower() != self.address else ""

    @once
    def is_proven(self) -> bool:
        """Its author's domain stands behind it."""
        return self.found.dmarc.result == "pass"

    @property
    def name_words(self) -> list[str]:
        """The words of the author's name."""
        return self.document.words.name.sequence
