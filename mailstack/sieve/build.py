"""A checked syntax tree into calls that can run.

Everything that does not change from run to run is worked out here: constant arguments,
defaults, matchers.  Only sound trees come here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from mailstack.sieve import variables
from mailstack.sieve.definition import (
    ADDRESS_PART_GROUP,
    COMPARATOR_GROUP,
    MATCH_GROUP,
    CommandDef,
    Tag,
)
from mailstack.sieve.match import (
    ALL,
    ASCII_CASEMAP,
    IS,
    OCTETS_PER_STEP,
    AddressPart,
    Matcher,
    Want,
)
from mailstack.sieve.program import PLAIN, Args, Block, Call
from mailstack.sieve.scope import Scope
from mailstack.sieve.syntax import Bound, CommandNode, StringNode
from mailstack.sieve.variables import Template

if TYPE_CHECKING:
    from mailstack.sieve.context import Context


class Builder:
    """Builds the calls of one script."""

    def __init__(self, scope: Scope, path: str | None) -> None:
        self._scope = scope
        self._path = path
        self._tags: dict[tuple[str, str], Mapping[str, Tag]] = {}
        self._defaults: dict[tuple[str, str], dict[str, object]] = {}
        self._envelope_parts = MappingProxyType(dict(scope.envelope_parts))

    def block(self, nodes: list[CommandNode]) -> Block:
        """Commands in order."""
        return Block(tuple(self._call(node) for node in nodes))

    def _call(self, node: CommandNode) -> Call:
        definition = node.definition
        assert definition is not None
        tags = self._tags_of(definition)
        values, templates = self._arguments(node, definition, tags)
        return Call(
            name=definition.name,
            run=definition.run or _nothing,
            pos=node.pos,
            path=self._path,
            values=MappingProxyType(values),
            templates=templates,
            tests=tuple(self._call(test) for test in node.tests),
            block=None if node.block is None else self.block(node.block),
            chained=bool(definition.after),
            matcher=self._matcher(node),
            address_part=self._address_part(node),
            envelope_parts=self._envelope_parts,
            modifiers=tuple(tag for tag in tags.values() if tag.modify and tag.key in node.bound),
            data=MappingProxyType(dict(node.data)),
            cost=_cost(node),
            given=frozenset(node.bound),
        )

    def _tags_of(self, definition: CommandDef) -> Mapping[str, Tag]:
        key = (definition.kind, definition.name)
        tags = self._tags.get(key)
        if tags is None:
            tags = self._tags[key] = self._scope.tags_of(definition)
        return tags

    def _arguments(
        self, node: CommandNode, definition: CommandDef, tags: Mapping[str, Tag]
    ) -> tuple[dict[str, object], dict[str, Template | tuple[Template | str, ...]]]:
        values = self._defaults_of(definition, tags).copy()
        # Should a group be called as an argument is, the argument wins: it is set last.
        values.update((group, tag) for group, tag in node.groups.items() if group not in node.bound)
        templates: dict[str, Template | tuple[Template | str, ...]] = {}
        for name, bound in node.bound.items():
            value = self._value(bound)
            if isinstance(value, Template) or (isinstance(value, tuple) and not bound.is_constant):
                templates[name] = value
            else:
                values[name] = value
        return values, templates

    def _defaults_of(self, definition: CommandDef, tags: Mapping[str, Tag]) -> dict[str, object]:
        key = (definition.kind, definition.name)
        defaults = self._defaults.get(key)
        if defaults is None:
            defaults = self._defaults[key] = {tag.group: None for tag in tags.values() if tag.group}
            defaults.update((tag.key, False if tag.value is None else None) for tag in tags.values())
            defaults.update((arg.name, None) for arg in definition.positional)
        return defaults

    def _value(self, bound: Bound) -> bool | int | str | Template | tuple[Template | str, ...]:
        if bound.is_flag:
            return True
        if bound.number is not None:
            return bound.number
        strings = tuple(self._string(item) for item in bound.strings)
        return strings if bound.is_list else strings[0]

    def _string(self, item: StringNode) -> str | Template:
        if self._scope.expands_variables and variables.has_references(item.value):
            return variables.parse(item.value, self._scope.namespaces)
        return item.value

    def _matcher(self, node: CommandNode) -> Matcher:
        default = node.definition.comparator if node.definition is not None else None
        if not (node.groups or self._scope.expands_variables or default):
            return PLAIN
        match_type = self._scope.match_types.get(node.groups.get(MATCH_GROUP, ":is"), IS)
        bound = node.get(COMPARATOR_GROUP)
        comparator = default or ASCII_CASEMAP
        if bound is not None:
            comparator = self._scope.comparators.get(bound.text, comparator)
        argument = node.get(match_type.tag)
        return Matcher(
            match_type,
            Want(comparator, argument.text if argument else "", captures=self._scope.expands_variables),
        )

    def _address_part(self, node: CommandNode) -> AddressPart:
        return self._scope.address_parts.get(node.groups.get(ADDRESS_PART_GROUP, ":all"), ALL)


def _cost(node: CommandNode) -> int:
    """One step, and more for long lists and strings: each is looked at in every run."""
    strings = [item for bound in node.bound.values() for item in bound.strings]
    return 1 + len(strings) // 16 + sum(len(item.value) for item in strings) // OCTETS_PER_STEP


def _nothing(ctx: Context, args: Args, block: Block | None) -> None:
    """A command without `run`, such as `require`."""
