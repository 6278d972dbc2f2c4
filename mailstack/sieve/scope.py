"""What the extensions a script has required give it.

Standards: RFC 5228 section 2.10.5: what is not required is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Callable

from mailstack.sieve.definition import (
    ADDRESS_PART_GROUP,
    MATCH_GROUP,
    CommandDef,
    EnvelopePart,
    Extension,
    Namespace,
    Tag,
    flatten,
)
from mailstack.sieve.match import AddressPart, Comparator, MatchType
from mailstack.sieve.registry import BASE, Registry
from mailstack.sieve.variables import VARIABLES


class Scope:
    """Grows with each `require`; later extensions win over earlier ones of the same name."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.enabled: set[str] = set()
        self.commands: dict[str, CommandDef] = {}
        self.tests: dict[str, CommandDef] = {}
        self.tags: dict[str, dict[str, Tag]] = {}
        self.match_types: dict[str, MatchType] = {}
        self.comparators: dict[str, Comparator] = {}
        self.address_parts: dict[str, AddressPart] = {}
        self.envelope_parts: dict[str, EnvelopePart] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.string_filters: list[Callable[[str, Callable[[str], object]], str]] = []
        # True after an unknown extension: what only it could explain is not complained about.
        self.has_unknown = False
        self.enable(BASE)

    @property
    def expands_variables(self) -> bool:
        """True when strings hold variable references."""
        return VARIABLES in self.enabled

    def enable(self, name: str) -> list[Extension]:
        """Puts an extension into force, and those it implies.

        Returns:
            Those newly in force; [] when it was already, or is unknown (see `knows`).
        """
        new: list[Extension] = []
        wanted = [name]
        while wanted:
            extension = self._registry.find(wanted.pop())
            if extension is None or extension.name in self.enabled:
                continue
            self.enabled.add(extension.name)
            self._take(extension)
            new.append(extension)
            wanted += extension.implies
        return new

    def available(self) -> list[str]:
        """What a script may require, sorted, comparators last."""
        names = self._registry.capabilities()
        return sorted(names, key=lambda name: name.startswith("comparator-"))

    def knows(self, name: str) -> bool:
        """True when the registry has it."""
        return name in self._registry

    def _take(self, extension: Extension) -> None:
        for definition in (*extension.commands, *extension.tests):
            table = self.tests if definition.kind == "test" else self.commands
            table[definition.name] = definition
        for command, tags in extension.tags.items():
            self.tags.setdefault(command.lower(), {}).update((tag.name, tag) for tag in flatten(tags))
        self.match_types.update((one.tag, one) for one in extension.match_types)
        self.comparators.update((one.name, one) for one in extension.comparators)
        self.address_parts.update((one.tag, one) for one in extension.address_parts)
        self.envelope_parts.update((name.lower(), part) for name, part in extension.envelope_parts.items())
        self.namespaces.update((name.lower(), read) for name, read in extension.namespaces.items())
        if extension.string_filter is not None:
            self.string_filters.append(extension.string_filter)

    def who_has(self, name: str, *, test: bool) -> str | None:
        """A known extension, not in force, that would bring this command or test."""
        for extension in self._registry:
            definitions = (*extension.commands, *extension.tests)
            if extension.name not in self.enabled and any(
                one.name == name and (one.kind == "test") == test for one in definitions
            ):
                return extension.name
        return None

    def who_has_tag(self, command: str, tag: str) -> str | None:
        """A known extension, not in force, that would bring this tag to that command."""
        for extension in self._registry:
            if extension.name in self.enabled:
                continue
            more = [one.tag for one in extension.match_types]
            more += [one.tag for one in extension.address_parts]
            more += [one.name for one in flatten(extension.tags.get(command, ()))]
            if tag in more:
                return extension.name
        return None

    def tags_of(self, definition: CommandDef) -> dict[str, Tag]:
        """The tags of a command: its own, those extensions add, and members of its groups."""
        tags = {tag.name: tag for tag in definition.tags if isinstance(tag, Tag)}
        groups = {tag.group for tag in tags.values()}
        if MATCH_GROUP in groups:
            for one in self.match_types.values():
                tags[one.tag] = Tag(
                    one.tag, value=one.value, group=MATCH_GROUP, constant=True, validate=one.validate
                )
        if ADDRESS_PART_GROUP in groups:
            for part in self.address_parts.values():
                tags[part.tag] = Tag(part.tag, group=ADDRESS_PART_GROUP)
        tags.update(self.tags.get(definition.name, {}))
        return tags
