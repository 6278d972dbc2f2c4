"""Extension "imap4flags": flags of stored messages (RFC 5232)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from mailstack.sieve.actions import FileInto, Keep
from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.variables import check_name
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import (
    COMPARATOR_TAG,
    MATCH_TAGS,
    STRING,
    STRING_LIST,
    Arg,
    CommandDef,
    Extension,
    Run,
    Tag,
)
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode
from mailstack.sieve.variables import VARIABLES

_SYSTEM = frozenset({"\\answered", "\\flagged", "\\deleted", "\\seen", "\\draft"})
#: All flags of one list, with a space behind each.
MAX_OCTETS = 4_096
#: RFC 3501 section 9: an atom.
_KEYWORD = re.compile(r"[!#$&'+-Z\[^-z|}~]+\Z")


def is_flag(text: str) -> bool:
    """True for a flag that can be stored; \\Recent cannot (RFC 5232 section 2)."""
    return text.lower() in _SYSTEM if text.startswith("\\") else _KEYWORD.match(text) is not None


def split(texts: Iterable[str]) -> list[str]:
    """The flags in lists of flags separated by spaces: each once, what is none left out.

    Those that do not fit into MAX_OCTETS are left out too, as the end of a long variable is.
    """
    found: dict[str, str] = {}
    left = MAX_OCTETS
    for text in texts:
        for word in text[: 4 * MAX_OCTETS].split():
            if is_flag(word) and word.lower() not in found:
                left -= len(word) + 1
                if left < 0:
                    return list(found.values())
                found[word.lower()] = word
    return list(found.values())


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    variable = node.get("variable")
    if variable is not None:
        if not vctx.is_enabled(VARIABLES):
            vctx.error(
                variable.pos,
                f'{node.name}: the name of a variable may stand here when the script requires "{VARIABLES}"',
            )
        for item in variable.strings if variable.is_constant else ():
            wrong = check_name(item.value)
            if wrong is not None:
                vctx.error(item.pos, f"{node.name}: {wrong}")
    if node.name == "hasflag":
        return
    _warn(node, vctx, "flags")


def _warn(node: CommandNode, vctx: CheckContext, name: str) -> None:
    for item in node.constants(name):
        for word in item.value.split():
            if not is_flag(word):
                vctx.warning(item.pos, f"the IMAP flag '{word[:60]}' cannot be stored and is ignored")


def _current(ctx: Context, variable: object) -> list[str]:
    if isinstance(variable, str):
        return split([ctx.variables.get(variable)])
    return list(ctx.flags)


def _store(ctx: Context, variable: object, flags: list[str]) -> None:
    if not isinstance(variable, str):
        ctx.flags = flags
        return
    wrong = check_name(variable)
    if wrong is not None:
        raise SieveError(wrong)
    ctx.variables.set(variable, " ".join(flags))


def _set(ctx: Context, args: Args, block: Block | None) -> None:
    _store(ctx, args["variable"], split(args.strings("flags")))


def _add(ctx: Context, args: Args, block: Block | None) -> None:
    variable = args["variable"]
    _store(ctx, variable, split([*_current(ctx, variable), *args.strings("flags")]))


def _remove(ctx: Context, args: Args, block: Block | None) -> None:
    variable = args["variable"]
    gone = {flag.lower() for flag in split(args.strings("flags"))}
    _store(ctx, variable, [flag for flag in _current(ctx, variable) if flag.lower() not in gone])


def _hasflag(ctx: Context, args: Args, block: Block | None) -> bool:
    variables = args["variable"]
    flags = list(ctx.flags)
    if isinstance(variables, tuple):
        flags = [flag for name in variables for flag in split([ctx.variables.get(name)])]
    keys = args.strings("flags")
    if args.match.match_type not in (":count", ":value"):
        # "\Seen Junk" asks for either, as the list of both does.
        keys = tuple(word for key in keys for word in key.split() or [key])
    return args.match.match(flags, keys)


def _modify(ctx: Context, action: object, value: object) -> object:
    if not isinstance(action, Keep | FileInto):
        return action
    texts = value if isinstance(value, tuple) else (str(value),)
    return replace(action, flags=tuple(split(texts)))


_TAG = Tag(":flags", value=STRING_LIST, modify=_modify)
#: RFC 8580 section 3: of the copy of what is sent.
_COPY = Tag(":flags", value=STRING_LIST, requires=":fcc")


def _command(name: str, run: Run) -> CommandDef:
    return CommandDef(
        name,
        "action",
        [Arg("variable", STRING, optional=True), Arg("flags", STRING_LIST)],
        validate=_validate,
        run=run,
    )


IMAP4FLAGS = Extension(
    "imap4flags",
    commands=[_command("setflag", _set), _command("addflag", _add), _command("removeflag", _remove)],
    tests=[
        CommandDef(
            "hasflag",
            "test",
            [Arg("variable", STRING_LIST, optional=True), Arg("flags", STRING_LIST)],
            [MATCH_TAGS, COMPARATOR_TAG],
            validate=_validate,
            run=_hasflag,
        )
    ],
    tags={"keep": [_TAG], "fileinto": [_TAG], "vacation": [_COPY], "notify": [_COPY]},
)
