"""What commands, tests, tags and extensions are: the words a registry is made of.

The built-in commands use exactly these classes, and so does an embedder's own.

Standards: RFC 5228 sections 2.6 (arguments), 2.9 (commands) and 6 (extensions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from mailstack.sieve.check import CheckContext
    from mailstack.sieve.context import Context
    from mailstack.sieve.diagnostic import Position
    from mailstack.sieve.match import AddressPart, Comparator, MatchType
    from mailstack.sieve.program import Args, Block
    from mailstack.sieve.syntax import CommandNode


class ArgType(StrEnum):
    """Type of an argument or of a tag's value."""

    STRING = "string"
    STRING_LIST = "string-list"
    NUMBER = "number"
    TEST = "test"

    @property
    def words(self) -> str:
        """For messages: "a string list"."""
        return f"a {self.value.replace('-', ' ')}"


STRING = ArgType.STRING
STRING_LIST = ArgType.STRING_LIST
NUMBER = ArgType.NUMBER
TEST = ArgType.TEST

#: run(ctx, args, block): a test gives a boolean; a control that heads a chain (`if`)
#: gives False when the next link (`elsif`) is to be tried; others give None.
Run: TypeAlias = "Callable[[Context, Args, Block | None], object]"
Validate: TypeAlias = "Callable[[CommandNode, CheckContext], object]"


@dataclass(frozen=True, slots=True)
class Arg:
    """A positional argument.

    Attributes:
        name: how `run` finds it (`args["name"]`); with blanks for underscores in messages.
        optional: may be left out; those given fill optional ones from the left.
        constant: variable references in it are refused.
    """

    name: str
    type: ArgType
    optional: bool = False
    constant: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", ArgType(self.type))

    @property
    def words(self) -> str:
        """For messages."""
        return self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged argument.

    Attributes:
        name: with its colon, e.g. ":index".
        value: type of the argument that follows; None for a bare tag.
        group: tags of one group exclude each other; `args[group]` names the one given.
        constant: variable references in the value are refused.
        modify: `modify(ctx, action, value) -> action`: what an extension's tag does to the
            action of a command it was added to (such as `:copy` on `fileinto`).
        requires: another tag that must be given too, e.g. ":index" for ":last".
        validate: `validate(node, vctx)` where this tag is given, as that of a command.
    """

    name: str
    value: ArgType | None = None
    group: str = ""
    constant: bool = False
    modify: Callable[[Context, object, object], object] | None = None
    requires: str = ""
    validate: Validate | None = None

    def __post_init__(self) -> None:
        if not self.name.startswith(":") or len(self.name) < 2:
            raise ValueError(f"a tag begins with a colon: {self.name!r}")
        object.__setattr__(self, "name", self.name.lower())
        if self.value is not None:
            object.__setattr__(self, "value", ArgType(self.value))

    @property
    def key(self) -> str:
        """Its name without the colon, as in `args["index"]`."""
        return self.name[1:]


class TagGroup(tuple["Tag", ...]):
    """Tags that belong together; joins with lists and tuples of tags by `+`."""

    __slots__ = ()

    def __add__(self, other: Iterable[TagLike]) -> TagGroup:  # type: ignore[override]
        return TagGroup((*self, *flatten(other)))

    def __radd__(self, other: Iterable[TagLike]) -> TagGroup:
        return TagGroup((*flatten(other), *self))


#: Groups the engine knows: their members grow with the extensions a script requires.
MATCH_GROUP = "match-type"
COMPARATOR_GROUP = "comparator"
ADDRESS_PART_GROUP = "address-part"

#: Put these into `tags` of a test; `args.match` is then an object with
#: `match(values, keys)`, which obeys whatever match type and comparator the script gave.
MATCH_TAGS = TagGroup(Tag(name, group=MATCH_GROUP) for name in (":is", ":contains", ":matches"))
COMPARATOR_TAG = Tag(":comparator", value=STRING, group=COMPARATOR_GROUP, constant=True)
#: With these in `tags`, `args.address_part` turns addresses into the part asked for.
ADDRESS_PART_TAGS = TagGroup(
    Tag(name, group=ADDRESS_PART_GROUP) for name in (":localpart", ":domain", ":all")
)

TagLike: TypeAlias = "Tag | Iterable[Tag]"


@dataclass(frozen=True, slots=True)
class CommandDef:
    """A command or test: its syntax as a table, and what it does.

    Attributes:
        name: lower case.
        kind: "action", "control" or "test".
        positional: in order.
        tags: in any order before the positional ones; groups such as MATCH_TAGS may stand
            among them as they are.
        block: whether a block in braces follows.
        subtests: 0, 1, or "many" for a list in parentheses.
        after: names of which one must stand directly before it; it then runs only when
            that one's `run` gave False.
        validate: `validate(node, vctx)`, after the table has been checked; reports through
            `vctx.error(pos, text)`.
        run: `run(ctx, args, block)`.
        comparator: used where the script gives none; None: i;ascii-casemap.
        truth: for tests whose outcome is known when the script is compiled, as `ihave`'s is:
            `truth(node, vctx)`; what such a test keeps from running is not checked.
        settled_by: for tests of many: the truth of one of them that makes the rest idle.
    """

    name: str
    kind: Literal["action", "control", "test"]
    positional: Sequence[Arg] = ()
    tags: Sequence[TagLike] = ()
    block: Literal["forbidden", "required"] = "forbidden"
    subtests: Literal[0, 1, "many"] = 0
    after: frozenset[str] | set[str] | Sequence[str] = frozenset()
    validate: Validate | None = None
    run: Run | None = None
    comparator: Comparator | None = None
    truth: Callable[[CommandNode, CheckContext], bool | None] | None = None
    settled_by: bool | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.kind not in ("action", "control", "test"):
            raise ValueError(f"{self.name}: kind is action, control or test, not {self.kind!r}")
        if self.block not in ("forbidden", "required") or self.subtests not in (0, 1, "many"):
            raise ValueError(f"{self.name}: block or subtests has a value it cannot have")
        put(self, "name", self.name.lower())
        put(self, "tags", tuple(flatten(self.tags)))
        put(self, "after", frozenset(self.after))
        tests = [arg for arg in self.positional if arg.type is TEST]
        if tests and self.subtests == 0:
            put(self, "subtests", 1)
        put(self, "positional", tuple(arg for arg in self.positional if arg.type is not TEST))

    @property
    def words(self) -> str:
        """For messages: "header test", "keep command"."""
        return f"{self.name} {'test' if self.kind == 'test' else 'command'}"


def flatten(tags: Iterable[TagLike]) -> Iterable[Tag]:
    """Tags, with groups of them laid out flat."""
    for tag in tags:
        if isinstance(tag, Tag):
            yield tag
        else:
            yield from tag


#: namespaces={"env": callable}: `${env.host}` calls callable(ctx, "host").
Namespace: TypeAlias = "Callable[[Context, str], str | None]"
#: envelope parts: callable(ctx) gives the address, or a tuple of texts that are none; None when
#: it is not known.
EnvelopePart: TypeAlias = "Callable[[Context], str | tuple[str, ...] | None]"
#: string filters: callable(text, error) gives the new text; error(message) reports.
StringFilter: TypeAlias = "Callable[[str, Callable[[str], object]], str]"


@dataclass(frozen=True, slots=True)
class Extension:
    """What one capability string of `require` brings.

    Attributes:
        name: the capability, case-sensitive; "" is the base language.
        commands, tests: definitions; a test may stand in either.
        namespaces: for variables such as `${env.host}`.
        implies: other extensions enabled with it.
        tags: more tags for existing commands, by command name.
        match_types, comparators, address_parts: more of these for every test that takes them.
        envelope_parts: more parts for the `envelope` test.
        string_filter: rewrites string literals at compile time (`encoded-character`).
        on_require: called when a script requires it, with the check context and the place;
            may report errors, e.g. two extensions that exclude each other.
    """

    name: str
    commands: Sequence[CommandDef] = ()
    tests: Sequence[CommandDef] = ()
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    implies: Sequence[str] = ()
    tags: Mapping[str, Sequence[TagLike]] = field(default_factory=dict)
    match_types: Sequence[MatchType] = ()
    comparators: Sequence[Comparator] = ()
    address_parts: Sequence[AddressPart] = ()
    envelope_parts: Mapping[str, EnvelopePart] = field(default_factory=dict)
    string_filter: StringFilter | None = None
    on_require: Callable[[CheckContext, Position], object] | None = None

    def __post_init__(self) -> None:
        for definition in self.tests:
            if definition.kind != "test":
                raise ValueError(f"{self.name}: {definition.name} is no test")
