"""A compiled script: calls with their arguments ready, immutable and shared by threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from mailstack.sieve.control import LimitReached
from mailstack.sieve.diagnostic import Position
from mailstack.sieve.match import ALL, ASCII_CASEMAP, IS, AddressPart, BoundMatcher, Matcher, Want
from mailstack.sieve.variables import Template

if TYPE_CHECKING:
    from mailstack.sieve.context import Context
    from mailstack.sieve.definition import EnvelopePart, Run, Tag

#: Used by tests that have no match tags but ask for `args.match` all the same.
PLAIN = Matcher(IS, Want(ASCII_CASEMAP))
_NOTHING: Mapping[str, object] = MappingProxyType({})


def _nothing() -> Mapping[str, object]:
    return _NOTHING


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One command or test of a script.

    Attributes:
        values: arguments that never change, and defaults of tags not given.
        templates: arguments with variables: a Template, or a tuple for a list.
        modifiers: tags given that change the command's action.
        chained: runs only when the command before it gave False.
        data: what `validate` left for `run`.
        cost: steps it counts as; more than one for long lists.
        given: arguments the script gives, by name.
    """

    name: str
    run: Run
    pos: Position
    path: str | None
    values: Mapping[str, object] = field(default_factory=_nothing)
    templates: Mapping[str, Template | tuple[Template | str, ...]] = field(default_factory=dict)
    tests: tuple[Call, ...] = ()
    block: Block | None = None
    chained: bool = False
    matcher: Matcher = PLAIN
    address_part: AddressPart = ALL
    envelope_parts: Mapping[str, EnvelopePart] = field(default_factory=dict)
    modifiers: tuple[Tag, ...] = ()
    data: Mapping[str, object] = field(default_factory=_nothing)
    cost: int = 1
    given: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<{self.name} at {self.pos.line}:{self.pos.column}>"


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Commands in braces, or a whole script."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """What `compile` gives and `run` takes.

    Attributes:
        block: the commands; a command may run it with `ctx.run_block(script.block)`.
        extensions: capabilities it requires, with those implied.
        sha256: of its source, in hex.
    """

    block: Block
    extensions: frozenset[str]
    path: str | None
    sha256: str

    def __repr__(self) -> str:
        return f"<Sieve script {self.path or self.sha256[:12]}>"


class Args:
    """The arguments of one call in one run.

    `args["name"]` gives a string, a number, a tuple of strings, or for a tag without
    value a boolean; tags not given are False or None.  `args[group]` gives the tag given
    of a group, None when none was.
    """

    __slots__ = ("_call", "_context", "_values")

    def __init__(self, context: Context, call: Call) -> None:
        self._context = context
        self._call = call
        values = call.values
        if call.templates:
            # All of them now: RFC 5229 section 3 wants the values that are current when
            # control reaches the statement.
            expanded = dict(values)
            for name, template in call.templates.items():
                expanded[name] = _expand(template, context)
            values = expanded
        self._values = values

    def __getitem__(self, name: str) -> object:
        return self._values[name[1:] if name[:1] == ":" else name]

    def __contains__(self, name: str) -> bool:
        return name.removeprefix(":") in self._values

    def __getattr__(self, name: str) -> object:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"{self._call.name} has no argument '{name}'") from None

    def matches(self, values: Iterable[str], name: str) -> bool:
        """Whether any of these values matches any key of that argument."""
        keys = self._values[name]
        assert isinstance(keys, tuple)
        return self._call.matcher.match(self._context, values, keys)

    def has_none_of(self, names: frozenset[str]) -> bool:
        """True when the script gives none of these arguments."""
        return self._call.given.isdisjoint(names)

    def get(self, name: str, default: object = None) -> object:
        """As `[]`, with a default for names this command does not know."""
        return self._values.get(name[1:] if name[:1] == ":" else name, default)

    def string(self, name: str) -> str:
        """A string argument."""
        value = self[name]
        assert isinstance(value, str)
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """A string-list argument."""
        value = self._values[name]
        assert isinstance(value, tuple)
        return value

    def number(self, name: str) -> int:
        """A number argument."""
        value = self[name]
        assert isinstance(value, int)
        return value

    def source(self, name: str) -> str | tuple[str, ...]:
        """A string argument, or a list, before variables were expanded."""
        template = self._call.templates.get(name.removeprefix(":"))
        if isinstance(template, Template):
            return template.source
        if template is not None:
            return tuple(part if isinstance(part, str) else part.source for part in template)
        value = self[name]
        return value if isinstance(value, tuple) else str(value)

    def modified(self, action: object) -> object:
        """The action as the tags of extensions want it (`:copy` on `fileinto`)."""
        for tag in self._call.modifiers:
            assert tag.modify is not None
            action = tag.modify(self._context, action, self[tag.key])
        return action

    @property
    def test(self) -> Call:
        """The only test, for `ctx.eval_test`."""
        return self._call.tests[0]

    @property
    def tests(self) -> tuple[Call, ...]:
        """All tests, for `ctx.eval_test`."""
        return self._call.tests

    @property
    def match(self) -> BoundMatcher:
        """Compares as the script's match type and comparator say: `match(values, keys)`."""
        return BoundMatcher(self._call.matcher, self._context)

    @property
    def address_part(self) -> AddressPart:
        """Which part of addresses the script asked for."""
        return self._call.address_part.under(self._context.settings)

    @property
    def envelope_parts(self) -> Mapping[str, EnvelopePart]:
        """The parts of the envelope this script may test, by lower-case name."""
        return self._call.envelope_parts

    @property
    def data(self) -> Mapping[str, object]:
        """What `validate` put into `node.data`."""
        return self._call.data

    @property
    def pos(self) -> Position:
        """Where the command stands."""
        return self._call.pos

    @property
    def path(self) -> str | None:
        """Name of the script the command stands in."""
        return self._call.path


def _expand(template: Template | tuple[Template | str, ...], context: Context) -> object:
    if isinstance(template, Template):
        return template.expand(context)
    out: list[str] = []
    left = context.limits.max_argument_octets
    for part in template:
        text = part if isinstance(part, str) else part.expand(context)
        left -= len(text) if text.isascii() else 4 * len(text)
        if left < 0:
            most = context.limits.max_argument_octets
            raise LimitReached(f"the strings of a list come to more than {most} octets")
        out.append(text)
    return tuple(out)
