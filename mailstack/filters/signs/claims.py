"""Whose name a message uses, and whether it may.

Strongest in the author's name, then the subject; in the text only beside a wish.  A brand that
owns the author's domain, or that the links lead to, claims nothing that is not so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from mailstack.filters import folding
from mailstack.filters.once import once
from mailstack.filters.signs.knowledge import REMEMBERED_HOSTS, Brand, Knowledge
from mailstack.filters.signs.look import Found, Look
from mailstack.filters.words import Text, prepare

#: Names of brands in a text that are looked at.
MAX_BRANDS = 6
#: Words of authors' names, of at most 500 characters, of which it is remembered what they are taken for.
REMEMBERED_WORDS = 1_024
#: What a foreign domain that is proven to be the author's counts.
PROVEN_SHARE = 0.7
#: Links that are compared with brands.
MAX_WAYS = 20
#: Shorter labels look like too many others.
MIN_LOOKALIKE = 5
#: What a name was before it was taken apart: "N e t f l i x".
_GAPPED = re.compile(r"(?:\b\w\b[\s.*_-]*){4,}")
#: Words that companies put to their name for a domain of their mailings, and where.
_MAILINGS = (
    "mail",
    "email",
    "mails",
    "emails",
    "mailing",
    "mailings",
    "emailing",
    "news",
    "newsletter",
    "club",
)
_COMMON = frozenset({"com", "net", "org", "eu"})
_ADDRESS = re.compile(r"\S+@\S+")
_SPLIT = re.compile(r"[-_.]")


def _brands(said: Iterable[str | Brand]) -> list[Brand]:
    """The brands among what was said, the first few by name."""
    found = {one for one in said if isinstance(one, Brand)}
    return sorted(found, key=lambda brand: brand.name)[:MAX_BRANDS]


class Claims:
    """The brands a message names, where, and which of them it comes from."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._knowledge = look.knowledge

    @once
    def own(self) -> list[Brand]:
        """The brands that own the author's domain."""
        return self._knowledge.owners(self._look.domain)

    @once
    def in_name(self) -> list[Brand]:
        """Named by the author's display name, the address in it left out."""
        look = self._look
        name = _ADDRESS.sub(" ", look.name)
        if not name.strip():
            return []
        said = look.document.words.name if name == look.name else prepare(name)
        found = _brands(look.said_in_name) if name == look.name else self._named_in(said)
        words = said.sequence
        joined = " ".join(words)
        if joined in self._knowledge.ordinary:
            found.append(self._knowledge.ordinary[joined])
        elif words and words[0] in self._knowledge.ordinary:
            behind = self._knowledge.words_of("official") | self._knowledge.words_of("countries")
            if any(word in behind for word in words[1:]):
                found.append(self._knowledge.ordinary[words[0]])
        return found

    @once
    def disguised(self) -> Brand | None:
        """A brand's name written so that only people can read it: `PayPaI`, `N e t f l i x`."""
        name = self._look.name
        if not name or self.in_name:
            return None
        squeezed = re.sub(r"[\W_]+", "", folding.without_unseen(name)) if _GAPPED.search(name) else ""
        for word in (*self._look.name_words[:6], "".join(self._look.name_words), squeezed):
            brand = _read_as(self._knowledge, word) if len(word) >= MIN_LOOKALIKE else None
            if brand is not None:
                return brand
        return None

    @once
    def in_subject(self) -> list[Brand]:
        """Named by the subject."""
        if not any(isinstance(one, Brand) for one in self._look.said):
            return []  # nor by anything else
        return self._named_in(self._look.document.words.subject)

    @once
    def in_text(self) -> list[Brand]:
        """Named anywhere in it."""
        return _brands(self._look.said)

    @once
    def kin(self) -> Brand | None:
        """The brand whose name and a word for mailings are the author's domain: `telekom-mail.de`."""
        look = self._look
        label, _, tail = look.site.partition(".")
        if not (tail in _COMMON or len(tail.rpartition(".")[2]) == 2):
            return None
        label = label.replace("-", "")
        for word in _MAILINGS:
            for rest in (label.removesuffix(word), label.removeprefix(word)):
                if rest != label and rest in self._knowledge.labels:
                    return self._knowledge.labels[rest]
        return None

    def _named_in(self, text: Text) -> list[Brand]:
        return _brands(self._knowledge.phrases.find(text))

    def is_owned(self, brands: Iterable[Brand], host: str) -> bool:
        """One of them owns a host."""
        return not set(self._knowledge.owners(host)).isdisjoint(brands)

    @once
    def foreign(self) -> list[Brand]:
        """The brands its name or subject uses though the author's domain is not theirs."""
        claimed = [*self.in_name, *([self.disguised] if self.disguised else [])]
        if not self._look.document.is_reply:
            claimed += self.in_subject
        return [brand for brand in dict.fromkeys(claimed) if brand not in self.own and brand is not self.kin]

    @once
    def leads_home(self) -> bool:
        """A third of the links or more lead to brands the message names; one or two true ones are bait.

        Who names one as author or subject is not excused by links to another of its text.
        """
        brands = [*self.in_name, *self.in_subject] or self.in_text
        ways = self._look.ways[:MAX_WAYS]
        return bool(ways) and 3 * sum(self.is_owned(brands, way.host) for way in ways) >= len(ways)


def find(look: Look, claims: Claims) -> Iterator[Found]:
    """The signs of names that are not the sender's."""
    own = claims.own
    named = [brand for brand in claims.in_name if brand not in own]
    if own:
        yield from _own(look, claims, own)
    if claims.disguised is not None and claims.disguised not in own:
        yield Found("brand_disguised", claims.disguised.name)
    if named and len(named) == len(claims.in_name):
        kind = "brand_name_free" if look.is_free_mail else "brand_name"
        if kind == "brand_name" and (claims.leads_home or named[0] is claims.kin):
            kind = "brand_name_home" if claims.leads_home else "brand_name_kin"
        yield Found(kind, f"{named[0].name}, but {look.domain or 'no domain'}", _doubt(look))
    elif not look.document.is_reply and not own and claims.in_subject:
        yield Found("brand_subject", f"{claims.in_subject[0].name}, but {look.domain or 'no domain'}")
    if claims.foreign and look.ways and not claims.leads_home:
        yield Found("brand_leads_elsewhere", look.ways[0].host, _doubt(look))
    if not own:
        yield from _borrowed_picture(look, claims)
    yield from _lookalikes(look, claims)
    local = look.address.partition("@")[0]
    if not (own or claims.leads_home) and any(
        part in look.knowledge.labels for part in _SPLIT.split(local) if len(part) >= MIN_LOOKALIKE
    ):
        yield Found("brand_local", local)


@lru_cache(REMEMBERED_WORDS)
def _read_as(knowledge: Knowledge, word: str) -> Brand | None:
    """The brand a word of a name is taken for."""
    return knowledge.skeletons.get(folding.skeleton(word))


def _borrowed_picture(look: Look, claims: Claims) -> Iterator[Found]:
    """A logo fetched from the company the message names, though nothing else leads there."""
    for host in look.document.html.image_hosts[:MAX_WAYS]:
        for brand in look.knowledge.owners(host):
            if brand in claims.in_text and not any(
                claims.is_owned([brand], way.host) for way in look.ways[:MAX_WAYS]
            ):
                yield Found("brand_picture", f"{brand.name}: {host}")
                return


def _doubt(look: Look) -> float:
    """A domain that is answered for may be one of the brand's that nobody told us."""
    return PROVEN_SHARE if look.is_proven else 1.0


def _own(look: Look, claims: Claims, own: list[Brand]) -> Iterator[Found]:
    if look.is_proven:
        if not look.is_free_mail:  # of its readers' mail a company is no author
            yield Found("brand_proven", own[0].name)
    elif look.found.dmarc.result == "fail":
        yield Found("brand_forged", own[0].name)
    elif look.ways and not look.is_free_mail:
        hosts = [way.host for way in look.ways[:MAX_WAYS]]
        if not any(claims.is_owned(own, host) or look.knowledge.covers("mailer", host) for host in hosts):
            yield Found("brand_own_leads_elsewhere", f"{own[0].name}, but {look.ways[0].host}")


def _lookalikes(look: Look, claims: Claims) -> Iterator[Found]:
    found = lookalike(look.knowledge, look.domain)
    if found is not None and found is not claims.kin and not look.is_free_mail:
        yield Found("lookalike_sender", f"{look.domain} for {found.name}")
    for way in look.ways[:MAX_WAYS]:
        found = lookalike(look.knowledge, way.host)
        if found is not None and not (found is claims.kin and way.site == look.site):
            yield Found("lookalike_link", f"{way.host} for {found.name}")
            return


@lru_cache(REMEMBERED_HOSTS)
def lookalike(knowledge: Knowledge, host: str) -> Brand | None:
    """The brand a host pretends to be, by letters, or by its name in a foreign domain."""
    if not host or knowledge.owners(host):
        return None
    for label in host.split(".")[:-1]:
        if len(label) < MIN_LOOKALIKE:
            continue
        if label.startswith("xn--"):
            label = _decoded(label)
        parts = [label, *(_SPLIT.split(label) if "-" in label else ())]
        for part in parts:
            if len(part) < MIN_LOOKALIKE:
                continue
            brand = knowledge.labels.get(part) or knowledge.label_skeletons.get(folding.skeleton(part))
            if brand is not None and not _is_word(knowledge, brand, part, parts):
                return brand
        brand = _one_letter_off(label, knowledge.labels)
        if brand is not None:
            return brand
    return None


def _is_word(knowledge: Knowledge, brand: Brand, part: str, parts: list[str]) -> bool:
    """A name that is a word of a language too, among others that belong to no company's desk."""
    if part == parts[0] or brand not in knowledge.ordinary.values():
        return False
    return knowledge.words_of("official").isdisjoint(parts)


def _decoded(label: str) -> str:
    """A label as browsers show it."""
    try:
        return label[4:].encode("ascii").decode("punycode")
    except ValueError:
        return label


def _one_letter_off(label: str, known: dict[str, Brand]) -> Brand | None:
    """A known label with two letters swapped, one left out, or one doubled."""
    if not 6 <= len(label) <= 14:
        return None
    for at in range(1, len(label)):
        brand = known.get(label[:at] + label[at + 1 :])
        if brand is not None and len(label) > 7:
            return brand
        if at + 1 < len(label):
            brand = known.get(label[:at] + label[at + 1] + label[at] + label[at + 2 :])
            if brand is not None:
                return brand
    return None
