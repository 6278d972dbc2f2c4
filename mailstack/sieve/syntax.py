"""The syntax tree: what the parser saw, not yet checked against any definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from mailstack.sieve.diagnostic import Position

if TYPE_CHECKING:
    from mailstack.sieve.definition import CommandDef


@dataclass(slots=True)
class StringNode:
    """A string literal; `value` has its escapes resolved."""

    value: str
    pos: Position


@dataclass(slots=True)
class ListNode:
    """A string list in brackets."""

    items: list[StringNode]
    pos: Position


@dataclass(slots=True)
class NumberNode:
    """A number, its quantifier applied."""

    value: int
    pos: Position


@dataclass(slots=True)
class TagNode:
    """A tag; `name` is in lower case, with its colon."""

    name: str
    pos: Position


ArgumentNode: TypeAlias = StringNode | ListNode | NumberNode | TagNode


@dataclass(slots=True)
class Bound:
    """An argument that found its place in the definition.

    Attributes:
        strings: the string or the strings; empty for numbers and flags.
        number: value of a number, else 0.
        is_list: a string list was asked for, so a command gets a tuple.
        is_flag: a tag without value.
        is_constant: holds no variable reference.
    """

    pos: Position
    strings: list[StringNode] = field(default_factory=list)
    number: int | None = None
    is_list: bool = False
    is_flag: bool = False
    is_constant: bool = True

    @property
    def text(self) -> str:
        """The string, or the first of the list; "" when there is none."""
        return self.strings[0].value if self.strings else ""


@dataclass(slots=True)
class CommandNode:
    """A command or a test with all that follows its name.

    Attributes:
        end: just behind its last argument, where a semicolon was due.
        tests_listed: the tests stood in parentheses.
        block: None when there was none.
        broken: the parser gave up on its arguments; they are not checked.
        depth: 0 at the outermost level.
        previous: the command before it in the same block.
        bound: arguments by name, filled in by the checker.
        definition: what it means, filled in by the checker.
        data: for `validate`, to hand things to `run` (as `args.data`).
        truth: of a test, or of what heads a chain: its outcome where it is known already.
        settled: a link of its chain, up to here, is known to be taken.
    """

    name: str
    pos: Position
    end: Position
    depth: int = 0
    arguments: list[ArgumentNode] = field(default_factory=list)
    tests: list[CommandNode] = field(default_factory=list)
    tests_listed: bool = False
    block: list[CommandNode] | None = None
    broken: bool = False
    previous: CommandNode | None = None
    bound: dict[str, Bound] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    definition: CommandDef | None = None
    data: dict[str, object] = field(default_factory=dict)
    truth: bool | None = None
    settled: bool = False

    def __getitem__(self, name: str) -> Bound:
        """An argument by its name, a tag with or without colon; KeyError when not given."""
        return self.bound[name.removeprefix(":")]

    def get(self, name: str) -> Bound | None:
        """As `[]`, but None when the argument was not given."""
        return self.bound.get(name.removeprefix(":"))

    def constants(self, name: str) -> Iterator[StringNode]:
        """The strings of an argument that hold no variable, for checks at compile time."""
        bound = self.get(name)
        if bound is not None:
            yield from (item for item in bound.strings if bound.is_constant or "${" not in item.value)
