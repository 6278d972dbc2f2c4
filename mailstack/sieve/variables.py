"""Variable references in strings, and the store behind them.

Strings are looked through only in scripts that enabled an extension named "variables";
the engine brings the references and the store, that extension the commands.

Standards: RFC 5229 sections 3 and 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mailstack.sieve.control import LimitReached
from mailstack.sieve.limits import Limits

if TYPE_CHECKING:
    from mailstack.sieve.context import Context
    from mailstack.sieve.definition import Namespace

#: Name of the extension that turns expansion on.
VARIABLES = "variables"

_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*+"
# RFC 5229 section 3: a namespace begins with an identifier; "${0.s}" is no reference.
_REFERENCE = re.compile(
    rf"\$\{{(?:({_IDENTIFIER}(?:\.(?:[0-9]++|{_IDENTIFIER}))*)\.)?([0-9]++|{_IDENTIFIER})\}}"
)


class VariableStore(Protocol):
    """What `ctx.variables` must offer."""

    def get(self, name: str) -> str:
        """The value, "" when it is not set; the name is in lower case."""
        ...

    def set(self, name: str, value: str) -> None:
        """Sets a value, cutting what is too long."""
        ...

    def match(self, index: int) -> str:
        """What the wildcard of that number stood for; "" when out of range."""
        ...

    def set_match(self, values: Sequence[str]) -> None:
        """Remembers the parts of the last successful match."""
        ...


class Variables:
    """The variables of one run, in memory."""

    def __init__(self, values: Mapping[str, str] | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.values: dict[str, str] = {name.lower(): value for name, value in (values or {}).items()}
        self.match_values: tuple[str, ...] = ()

    def get(self, name: str) -> str:
        """The value, "" when it is not set; names are not case-sensitive."""
        return self.values.get(name.lower(), "")

    def set(self, name: str, value: str) -> None:
        """Sets a value; what is too long is cut between characters.

        Raises:
            LimitReached: too many variables.
        """
        name = name.lower()
        if name not in self.values and len(self.values) >= self.limits.max_variables:
            raise LimitReached(f"more than {self.limits.max_variables} variables are set")
        self.values[name] = cut(value, self.limits.max_value_octets)

    def match(self, index: int) -> str:
        """What the wildcard of that number stood for; 0 is the whole value."""
        return self.match_values[index] if index < len(self.match_values) else ""

    def set_match(self, values: Sequence[str]) -> None:
        """Remembers the parts of the last successful match."""
        self.match_values = tuple(cut(value, self.limits.max_value_octets) for value in values)


class LinkedVariables:
    """The variables of one script, of which some are the global ones (RFC 6609 section 3.4)."""

    def __init__(self, own: VariableStore, shared: VariableStore) -> None:
        self.own = own
        self.shared = shared
        self.names: set[str] = set()

    def get(self, name: str) -> str:
        """The value, of the global variable where the script said so."""
        return (self.shared if name.lower() in self.names else self.own).get(name)

    def set(self, name: str, value: str) -> None:
        """Sets the value, of the global variable where the script said so."""
        (self.shared if name.lower() in self.names else self.own).set(name, value)

    def match(self, index: int) -> str:
        """As in the script's own variables."""
        return self.own.match(index)

    def set_match(self, values: Sequence[str]) -> None:
        """As in the script's own variables."""
        self.own.set_match(values)


def cut(text: str, max_octets: int) -> str:
    """The longest beginning of a text that fits, cut between characters."""
    if len(text) * 4 <= max_octets:
        return text
    octets = text.encode("utf-8", "surrogateescape")
    if len(octets) <= max_octets:
        return text
    while max_octets > 0 and octets[max_octets] & 0xC0 == 0x80:
        max_octets -= 1
    return octets[:max_octets].decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Reference:
    """`${namespace.name}`, both in lower case; `read` for a namespace."""

    name: str
    namespace: str = ""
    read: Namespace | None = None

    def value(self, context: Context) -> str:
        """What it stands for now."""
        if self.read is not None:
            return self.read(context, self.name) or ""
        if self.name[0].isdigit():
            return context.variables.match(int(self.name.lstrip("0")[:9] or "0"))
        return context.variables.get(self.name)


@dataclass(frozen=True, slots=True)
class Template:
    """A string with variable references.

    Attributes:
        source: the string before expansion, for tests that do their own.
    """

    source: str
    parts: tuple[str | Reference, ...] = ()

    def expand(self, context: Context) -> str:
        """The string with the values variables have now; one pass (RFC 5229 section 3)."""
        text = "".join(part if isinstance(part, str) else part.value(context) for part in self.parts)
        limit = context.limits.max_string_octets
        context.charge(len(text) // 4096)
        return text if len(text) * 4 <= limit else cut(text, limit)


def references(text: str) -> Iterator[tuple[str, str]]:
    """Namespace ("" for none) and name of each reference, in lower case."""
    for found in _REFERENCE.finditer(text):
        yield (found[1] or "").lower(), found[2].lower()


def has_references(text: str) -> bool:
    """True when expansion would change something."""
    return "${" in text and _REFERENCE.search(text) is not None


def parse(text: str, namespaces: Mapping[str, Namespace]) -> Template:
    """A string with references as a template; unknown namespaces are the checker's business."""
    parts: list[str | Reference] = []
    end = 0
    for found in _REFERENCE.finditer(text):
        if found.start() > end:
            parts.append(text[end : found.start()])
        namespace, name = (found[1] or "").lower(), found[2].lower()
        read, name = find_namespace(namespace, name, namespaces)
        parts.append(Reference(name, namespace, read))
        end = found.end()
    if end < len(text):
        parts.append(text[end:])
    return Template(text, tuple(parts))


def find_namespace(
    namespace: str, name: str, namespaces: Mapping[str, Namespace]
) -> tuple[Namespace | None, str]:
    """Who answers for `a.b.name`: the longest registered beginning; the rest joins the name."""
    if not namespace:
        return None, name
    head, rest = namespace, name
    while True:
        if head in namespaces:
            return namespaces[head], rest
        head, dot, last = head.rpartition(".")
        if not dot:
            return None, name
        rest = f"{last}.{rest}"
