"""Arguments of one command against its table: tags first, then positional ones.

Standards: RFC 5228 sections 2.6.1 to 2.6.3, 2.7.1 and 2.7.3.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from mailstack.sieve.definition import (
    COMPARATOR_GROUP,
    MATCH_GROUP,
    STRING,
    STRING_LIST,
    ArgType,
    CommandDef,
    Tag,
)
from mailstack.sieve.diagnostic import Position
from mailstack.sieve.syntax import ArgumentNode, Bound, CommandNode, ListNode, NumberNode, StringNode, TagNode

if TYPE_CHECKING:
    from mailstack.sieve.check import Checker


def bind(checker: Checker, node: CommandNode, definition: CommandDef) -> bool:
    """Fills `node.bound` and `node.groups`; reports what does not fit.

    Returns:
        True when every argument the table wants is bound.
    """
    rest = deque(node.arguments)
    if not _Tags(checker, node, definition).bind(rest):
        return False
    if not _positional(checker, node, definition, list(rest)):
        return False
    _comparison(checker, node, definition)
    return True


def found_words(argument: ArgumentNode) -> str:
    """An argument in words, for "but ... was found"."""
    match argument:
        case StringNode():
            return "a string"
        case ListNode():
            return "a string list"
        case NumberNode():
            return "a number"
        case TagNode():
            return f"the tag '{argument.name[:60]}'"


def fits(argument: ArgumentNode, type_: ArgType) -> bool:
    """True when the argument can be given for that type."""
    if type_ is STRING_LIST:
        # RFC 5228 section 2.4.2.1: a single string is a list of one.
        return isinstance(argument, StringNode | ListNode)
    return isinstance(argument, StringNode if type_ is STRING else NumberNode)


def _bound(checker: Checker, argument: ArgumentNode, type_: ArgType, *, constant: bool, words: str) -> Bound:
    if isinstance(argument, NumberNode):
        return Bound(argument.pos, number=argument.value)
    strings: list[StringNode] = []
    if isinstance(argument, ListNode):
        strings = argument.items
    elif isinstance(argument, StringNode):
        strings = [argument]
    # All of them, not only up to the first with a variable: filters must see each.
    is_constant = all([checker.read_string(item) for item in strings])
    if constant and not is_constant:
        checker.context.error(argument.pos, f"{words} must not contain variables")
    return Bound(argument.pos, strings, is_list=type_ is STRING_LIST, is_constant=is_constant)


class _Tags:
    """The tagged arguments in front."""

    def __init__(self, checker: Checker, node: CommandNode, definition: CommandDef) -> None:
        self._checker = checker
        self._node = node
        self._definition = definition
        self._known = checker.tags_of(definition)

    def bind(self, rest: deque[ArgumentNode]) -> bool:
        """Takes the tags off; False when what follows can no longer be told apart."""
        certain = True
        while rest:
            argument = rest[0]
            if not isinstance(argument, TagNode):
                if certain:
                    break
                # It may be the value of a tag nobody knows: only tags are looked at.
                rest.popleft()
                continue
            rest.popleft()
            tag = self._known.get(argument.name)
            if tag is None:
                self._checker.unknown_tag(argument.pos, argument.name, self._definition)
                certain = False
            else:
                certain = self._one(tag, argument.pos, rest) and certain
        return certain and self._requirements()

    def _one(self, tag: Tag, pos: Position, rest: deque[ArgumentNode]) -> bool:
        node, context, words = self._node, self._checker.context, self._definition.words
        value: Bound = Bound(pos, is_flag=True)
        if tag.value is not None:
            if not rest or not fits(rest[0], tag.value):
                found = found_words(rest[0]) if rest else "nothing"
                if rest and isinstance(rest[0], TagNode):
                    # Meant as the value: it is no mistake of its own.
                    rest.popleft()
                context.error(
                    pos,
                    f"the tag '{tag.name}' of the {words} requires {tag.value.words} as its value,"
                    f" but {found} was found",
                )
                return False
            value = _bound(
                self._checker,
                rest.popleft(),
                tag.value,
                constant=tag.constant,
                words=f"the value of the tag '{tag.name}' of the {words}",
            )
        if tag.key in node.bound:
            context.error(pos, f"the tag '{tag.name}' is specified more than once for the {words}")
        elif tag.group and tag.group in node.groups:
            other = node.groups[tag.group]
            context.error(pos, f"the tags '{other}' and '{tag.name}' of the {words} exclude each other")
        else:
            node.bound[tag.key] = value
            if tag.group:
                node.groups[tag.group] = tag.name
        return True

    def _requirements(self) -> bool:
        for name, tag in self._known.items():
            bound = self._node.get(name)
            if bound is not None and tag.requires and self._node.get(tag.requires) is None:
                self._checker.context.error(
                    bound.pos,
                    f"the tag '{name}' of the {self._definition.words} requires the tag '{tag.requires}' too",
                )
        return True


def _positional(
    checker: Checker, node: CommandNode, definition: CommandDef, given: list[ArgumentNode]
) -> bool:
    wanted = definition.positional
    spare = len(given) - sum(1 for arg in wanted if not arg.optional)
    places = []
    for arg in wanted:
        if arg.optional:
            if spare <= 0:
                continue
            spare -= 1
        places.append(arg)
    for number, (argument, arg) in enumerate(zip(given, places, strict=False), 1):
        where = f"argument {number} ({arg.words})"
        if isinstance(argument, TagNode):
            if argument.name not in checker.tags_of(definition):
                checker.unknown_tag(argument.pos, argument.name, definition)
                return False
            checker.context.error(
                argument.pos,
                f"found an unexpected tagged argument '{argument.name[:60]}' while {where}"
                f" of the {definition.words} was expected",
            )
            return False
        if not fits(argument, arg.type):
            checker.context.error(
                argument.pos,
                f"the {definition.words} expects {arg.type.words} as {where},"
                f" but {found_words(argument)} was found",
            )
            return False
        node.bound[arg.name] = _bound(
            checker,
            argument,
            arg.type,
            constant=arg.constant,
            words=f"{where} of the {definition.words}",
        )
    if len(given) == len(places):
        return True
    _wrong_number(checker, node, definition, given)
    return False


def _wrong_number(
    checker: Checker, node: CommandNode, definition: CommandDef, given: list[ArgumentNode]
) -> None:
    wanted = definition.positional
    surplus = given[len(wanted)] if len(given) > len(wanted) else None
    if isinstance(surplus, TagNode):
        checker.context.error(
            surplus.pos,
            f"found an unexpected tagged argument '{surplus.name[:60]}' behind the positional arguments"
            f" of the {definition.words}",
        )
        return
    least = sum(1 for arg in wanted if not arg.optional)
    number = str(len(wanted)) if least == len(wanted) else f"{least} to {len(wanted)}"
    need = f"requires {number} positional argument{'' if number == '1' else 's'}"
    checker.context.error(
        node.pos if surplus is None else surplus.pos,
        f"the {definition.words} {need if wanted else 'accepts no positional arguments'},"
        f" but {len(given)} {'is' if len(given) == 1 else 'are'} specified",
    )


def _comparison(checker: Checker, node: CommandNode, definition: CommandDef) -> None:
    """Comparator and match type must know each other (RFC 5228 section 2.7.3)."""
    scope, context = checker.scope, checker.context
    match_type = scope.match_types.get(node.groups.get(MATCH_GROUP, ":is"))
    bound = node.get(COMPARATOR_GROUP) if COMPARATOR_GROUP in node.groups else None
    if bound is not None and bound.is_constant:
        comparator = scope.comparators.get(bound.text)
        if comparator is None:
            if not scope.has_unknown:
                known = f"comparator-{bound.text}" in checker.context.registry
                why = f'; the script must require "comparator-{bound.text}"' if known else ""
                context.error(bound.pos, f"unknown comparator '{bound.text[:60]}'{why}")
        elif match_type is not None and match_type.substring and not comparator.substring:
            context.error(
                bound.pos, f"the comparator '{comparator.name}' cannot be used with {match_type.tag}"
            )
    if match_type is None or match_type.check is None or MATCH_GROUP not in node.groups:
        return
    keys = list(node.constants(definition.positional[-1].name)) if definition.positional else []
    argument = node.get(match_type.tag)
    wrong = match_type.check([key.value for key in keys], argument.text if argument is not None else "")
    if wrong:
        context.error(keys[0].pos if keys else node.pos, wrong)
