"""What the signs know about the world: brands, hosts, phrases, intents, weights.

It comes with the package (data/*.toml, each says its format) and is read once; operators add
files of the same formats.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from mailstack.filters import folding
from mailstack.filters.phrases import Phrases
from mailstack.filters.words import split

#: Octets of an operator's file.
MAX_FILE_OCTETS = 1_048_576
#: Hosts of which it is remembered whose they are: most links lead to hosts seen before.
REMEMBERED_HOSTS = 4_096
#: Kinds no phrase tells: the message has a link, an attachment, an address for coins.
_FACTS = frozenset({"link", "attached", "coin"})
_FILES = ("brands", "hosts", "phrases", "intents", "weights")


class BadKnowledge(Exception):
    """A file is not what the shipped one of that name describes."""


@dataclass(frozen=True, slots=True, eq=False)
class Brand:
    """A name that fraud borrows; compared by identity.

    Attributes:
        name: as people write it.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Intent:
    """What a message may want; see data/intents.toml.

    Attributes:
        begins: the kinds one of which its first need asks for.
    """

    name: str
    begins: frozenset[str]
    needs: tuple[tuple[tuple[str, int], ...], ...]
    more: tuple[tuple[str, int], ...]
    why: str
    for_strangers: bool


@dataclass(frozen=True, slots=True)
class Sign:
    """How much a sign weighs, in log-odds, and what it says to a person."""

    weight: float
    why: str


class Knowledge:
    """All of it, ready to be asked.

    Attributes:
        ordinary: their names that are ordinary words too, folded.
        skeletons: brands by the skeleton of a name (filters/folding.py).
        labels: brands by a domain label, and by its skeleton.
        phrases: what brands are called wherever they stand, and the phrases of each kind.
    """

    def __init__(self, brands: Mapping[str, Any], hosts: Mapping[str, Any], phrases: Mapping[str, Any],
                 intents: Mapping[str, Any], weights: Mapping[str, Any]) -> None:  # fmt: skip
        self._owners: dict[str, list[Brand]] = {}
        self._wild: dict[str, list[tuple[str, Brand]]] = {}
        self.ordinary: dict[str, Brand] = {}
        self.skeletons: dict[str, Brand] = {}
        self.labels: dict[str, Brand] = {}
        self.label_skeletons: dict[str, Brand] = {}
        names = list(self._read_brands(brands))
        self._hosts: dict[str, list[tuple[str, str]]] = {}
        self._sets: dict[str, frozenset[str]] = {}
        self._read_hosts(hosts)
        kinds = (
            (one, kind)
            for kind, languages in phrases.items()
            for listed in languages.values()
            for one in listed.split(",")
        )
        self.phrases: Phrases[str | Brand] = Phrases([*names, *kinds])
        self.intents = tuple(
            _intent(name, entry, _FACTS | frozenset(phrases)) for name, entry in intents.items()
        )
        self._begun: dict[str, set[int]] = {}
        for number, intent in enumerate(self.intents):
            for kind in intent.begins:
                self._begun.setdefault(kind, set()).add(number)
        self.signs = {name: Sign(float(entry["weight"]), entry["why"]) for name, entry in weights.items()}
        #: The brands a host belongs to, or may: companies have their name in most countries.
        self.owners = functools.lru_cache(REMEMBERED_HOSTS)(self._find_owners)
        #: The name somebody registered: `shop.example.co.uk` is `example.co.uk`.
        self.registered = functools.lru_cache(REMEMBERED_HOSTS)(self._find_registered)

    def begun_by(self, kinds: Iterable[str]) -> list[Intent]:
        """The intents one of whose first kinds is among these, in their order."""
        numbers = set().union(*(self._begun[kind] for kind in kinds if kind in self._begun))
        return [self.intents[number] for number in sorted(numbers)]

    # -- brands ----------------------------------------------------------------------

    def _read_brands(self, brands: Mapping[str, Any]) -> Iterator[tuple[str, Brand]]:
        for entries in brands.values():
            for names, domains in entries.items():
                yield from self._brand([n.strip() for n in names.split("|")], domains.split())

    def _brand(self, names: list[str], domains: list[str]) -> Iterator[tuple[str, Brand]]:
        joined = {"".join(split(name.lstrip("~"))) for name in names}
        brand = Brand(names[0].lstrip("~"))
        for domain in domains:
            if "*" in domain:
                begin, _, end = domain.partition("*")
                self._wild.setdefault(begin.rstrip("."), []).append((end.lstrip("."), brand))
            else:
                self._owners.setdefault(domain, []).append(brand)
        # First labels of its domains that say its name, for look-alikes.
        labels = {label for d in domains if (label := d.partition(".")[0]) in joined and len(label) >= 5}
        for label in labels:
            self.labels.setdefault(label, brand)
            self.label_skeletons.setdefault(folding.skeleton(label), brand)
        for name in names:
            words = split(name.lstrip("~"))
            if name.startswith("~"):
                self.ordinary[" ".join(words)] = brand
                continue
            yield name, brand
            if len("".join(words)) >= 5 and "".join(words).isascii():
                self.skeletons.setdefault(folding.skeleton("".join(words)), brand)

    def _find_owners(self, host: str) -> list[Brand]:
        found: list[Brand] = []
        labels = host.split(".")
        for at in range(len(labels)):
            found += self._owners.get(".".join(labels[at:]), ())
        for at in range(max(len(labels) - 3, 0), len(labels)):
            # `amazon.*`: the label, and behind it nothing but a country, or com and a country.
            behind = labels[at + 1 :]
            if behind and self._is_public(behind):
                stem, hyphen, _ = labels[at].partition("-")
                end = ".".join(behind)
                for key in dict.fromkeys((stem + hyphen, labels[at])):
                    found += [b for suffix, b in self._wild.get(key, ()) if suffix in ("", end)]
                if labels[at] in self.labels:
                    found.append(self.labels[labels[at]])
        return found

    def _is_public(self, labels: list[str]) -> bool:
        """Domains under which a name is registered: a country, com, net, org, co.uk, com.br."""
        if len(labels) == 1:
            return len(labels[0]) == 2 or labels[0] in ("com", "net", "org")
        return len(labels) == 2 and len(labels[1]) == 2 and labels[0] in self._sets["second"]

    # -- hosts -----------------------------------------------------------------------

    def _read_hosts(self, hosts: Mapping[str, Any]) -> None:
        for kind, listed in hosts.get("shared", {}).items():
            for entry in listed.split():
                domain, _, path = entry.partition("/")
                self._hosts.setdefault(domain, []).append((path, kind))
        for entries in self._hosts.values():
            entries.sort(key=lambda entry: -len(entry[0]))
        for table in ("services", "names"):
            for kind, listed in hosts.get(table, {}).items():
                self._sets[kind] = self._sets.get(kind, frozenset()) | frozenset(listed.split())

    def shared_kind(self, host: str, path: str = "") -> str:
        """The kind of a host under which anybody may be: "site", "short" …; "" for none."""
        at = host
        while "." in at:
            for wanted, kind in self._hosts.get(at, ()):
                if path.startswith(wanted):
                    return kind
            at = at.partition(".")[2]
        return ""

    def covers(self, kind: str, host: str) -> bool:
        """True when a host or a domain above it is in a list of [services] or [names]."""
        listed = self._sets[kind]
        while host:
            if host in listed:
                return True
            host = host.partition(".")[2]
        return False

    def words_of(self, kind: str) -> frozenset[str]:
        """A list of [services] or [names]."""
        return self._sets[kind]

    def _find_registered(self, host: str) -> str:
        labels = host.split(".")
        if len(labels) <= 2:
            return host
        many = 3 if len(labels[-1]) == 2 and labels[-2] in self._sets["second"] else 2
        found = ".".join(labels[-many:])
        if len(labels) > many and any(not path for path, _ in self._hosts.get(found, ())):
            found = ".".join(labels[-many - 1 :])
        return found


def _intent(name: str, entry: Mapping[str, Any], kinds: frozenset[str]) -> Intent:
    needs = tuple(tuple(_part(one, kinds) for one in need.split("|")) for need in entry["needs"])
    more = tuple(_part(one, kinds) for one in entry.get("more", ()))
    begins = frozenset(kind for kind, _ in needs[0])
    return Intent(name, begins, needs, more, entry["why"], bool(entry.get("for_strangers", False)))


def _part(text: str, kinds: frozenset[str]) -> tuple[str, int]:
    kind, _, count = text.partition(":")
    if kind not in kinds:
        raise ValueError(f"{kind!r} is no kind of phrases")
    return kind, int(count or 1)


def read(texts: Mapping[str, str], extra: Iterable[tuple[str, str]] = ()) -> Knowledge:
    """Knowledge from the text of its files.

    Args:
        texts: by name, without `.toml`.
        extra: name ("brands" or "hosts") and text of an operator's files.

    Raises:
        BadKnowledge: an operator's file cannot be read.
    """
    tables = {name: tomllib.loads(texts[name]) for name in _FILES}
    try:
        for name, text in extra:
            _merge(tables[name], tomllib.loads(text))
        return Knowledge(**tables)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadKnowledge(str(error)) from None


def _merge(table: dict[str, Any], more: Mapping[str, Any]) -> None:
    for section, entries in more.items():
        own = table.setdefault(section, {})
        for key, value in entries.items():
            if not isinstance(value, str):
                raise TypeError(f"{section}.{key} is no text")
            own[key] = f"{own[key]} {value}" if key in own else value


@functools.cache
def shipped() -> Knowledge:
    """What comes with the package: read once, as a module is."""
    return read(_shipped_texts())


@functools.cache
def _shipped_texts() -> Mapping[str, str]:
    folder = resources.files("mailstack.filters.signs") / "data"
    return {name: (folder / f"{name}.toml").read_text("utf-8") for name in _FILES}


def extended(extra: Iterable[tuple[str, str]]) -> Knowledge:
    """What comes with the package and an operator's files; as `read`."""
    extra = tuple(extra)
    return read(_shipped_texts(), extra) if extra else shipped()
