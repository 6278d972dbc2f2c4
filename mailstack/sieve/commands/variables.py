"""Extension "variables": `set`, the test `string`, and what turns `${...}` on (RFC 5229)."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable

from mailstack.sieve import variables
from mailstack.sieve.check import CheckContext
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
    Tag,
)
from mailstack.sieve.match import OCTET, ascii_lower, ascii_upper
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import Bound, CommandNode

#: RFC 5229 section 6 asks for at least 32.
MAX_NAME_CHARACTERS = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_WILDCARDS = re.compile(r"[*?\\]")
_REGEX_SPECIALS = re.compile(r"[\\*+?.\[\]^${}()|-]")


def _encode_url(text: str) -> str:
    # RFC 5435 section 6: all but the unreserved characters of RFC 3986.
    return urllib.parse.quote(text.encode("utf-8", "surrogateescape"), safe="-_.~")


#: Modifiers of `set` by precedence, highest first (RFC 5229 section 4.1); the last two come
#: with the extensions "regex" and "enotify".
_MODIFIERS: tuple[tuple[int, str, Callable[[str], str]], ...] = (
    (40, "lower", ascii_lower),
    (40, "upper", ascii_upper),
    (30, "lowerfirst", lambda text: ascii_lower(text[:1]) + text[1:]),
    (30, "upperfirst", lambda text: ascii_upper(text[:1]) + text[1:]),
    (20, "quotewildcard", lambda text: _WILDCARDS.sub(r"\\\g<0>", text)),
    (20, "quoteregex", lambda text: _REGEX_SPECIALS.sub(r"\\\g<0>", text)),
    (15, "encodeurl", _encode_url),
    (10, "length", lambda text: str(len(text))),
)


#: Commands that take modifiers (RFC 5229 section 4.1, RFC 5703 section 7).
MODIFIED = ("set", "extracttext")

#: Those that make escapes of single characters.
_WIDENING = frozenset({"quotewildcard", "quoteregex", "encodeurl"})


def modifier_tag(name: str) -> Tag:
    """The tag of a modifier; two of the same precedence exclude each other."""
    (precedence,) = (one[0] for one in _MODIFIERS if one[1] == name)
    return Tag(f":{name}", group=f"modifier-{precedence}")


#: Those every script with variables has.
MODIFIER_TAGS = [
    modifier_tag(name) for name in ("lower", "upper", "lowerfirst", "upperfirst", "quotewildcard", "length")
]


def check_name(text: str) -> str | None:
    """Why a variable cannot have that name; None when it can."""
    if _NAME.match(text) is None:
        return f"'{text[:60]}' is not the name of a variable"
    if len(text) > MAX_NAME_CHARACTERS:
        return f"the name of a variable has at most {MAX_NAME_CHARACTERS} characters"
    return None


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    item = node["name"]
    namespace, dot, name = item.text.rpartition(".")
    if not dot or not namespace:
        _own(item, vctx)
        return
    read, rest = variables.find_namespace(namespace.lower(), name.lower(), vctx.scope.namespaces)
    if read is None:
        if not vctx.scope.has_unknown:
            vctx.error(item.pos, f"set: unknown variable namespace '{namespace[:60]}'")
        return
    write = getattr(read, "write", None)
    if write is None:
        vctx.error(item.pos, f"set: variables in the namespace '{namespace[:60]}' cannot be set")
    elif (wrong := check_name(rest)) is not None:
        vctx.error(item.pos, f"set: {wrong}")
    else:
        node.data["write"], node.data["name"] = write, rest


def _own(item: Bound, vctx: CheckContext) -> None:
    wrong = check_name(item.text)
    if wrong is not None:
        vctx.error(item.pos, f"set: {wrong}")
        return
    names, most = vctx.own_names, vctx.limits.max_variables
    if item.text.lower() not in names and len(names) == most:
        vctx.error(item.pos, f"set: more than {most} variables (only reported once)")
    names.add(item.text.lower())


def _set(ctx: Context, args: Args, block: Block | None) -> None:
    value = modified(args, args.string("value"), ctx.limits.max_value_octets)
    write = args.data.get("write")
    if write is None:
        ctx.variables.set(args.string("name"), value)
    elif callable(write):
        write(ctx, str(args.data["name"]), value)
    else:
        raise SieveError("the namespace cannot be written to")


def modified(args: Args, value: str, max_octets: int) -> str:
    """A value with the modifiers a command was given, in the order of their precedence."""
    for _, name, change in _MODIFIERS:
        if args.get(name):
            value = _fitting(change, value, max_octets) if name in _WIDENING else change(value)
    return value


def _fitting(change: Callable[[str], str], text: str, max_octets: int) -> str:
    """The changed text; of one too long for a variable what fits, without half of an escape."""
    changed = change(text)
    if len(changed) * 4 <= max_octets or len(changed.encode("utf-8", "surrogateescape")) <= max_octets:
        return changed
    out: list[str] = []
    for character in text:
        piece = change(character)
        max_octets -= len(piece.encode("utf-8", "surrogateescape"))
        if max_octets < 0:
            break
        out.append(piece)
    return "".join(out)


def _string(ctx: Context, args: Args, block: Block | None) -> bool:
    values = args.strings("source")
    if args.match.match_type == ":count":
        # RFC 5229 section 5: the count of an empty string is 0.
        values = tuple(filter(None, values))
    return args.match.match(values, args.strings("key_list"))


VARIABLES = Extension(
    variables.VARIABLES,
    commands=[
        CommandDef(
            "set",
            "action",
            [Arg("name", STRING, constant=True), Arg("value", STRING)],
            MODIFIER_TAGS,
            validate=_validate,
            run=_set,
        ),
    ],
    tests=[
        CommandDef(
            "string",
            "test",
            [Arg("source", STRING_LIST), Arg("key_list", STRING_LIST)],
            [MATCH_TAGS, COMPARATOR_TAG],
            run=_string,
            # As Pigeonhole has it: what a script has put together itself is compared as it is.
            comparator=OCTET,
        ),
    ],
)
