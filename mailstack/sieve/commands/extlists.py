"""Extension "extlists": lists kept outside the script, such as an address book (RFC 6134)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from mailstack.sieve.addresses import parse_script_address
from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import STEPS_PER_LOOK_UP, Context, ExternalLists
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import STRING_LIST, Arg, CommandDef, Extension, Tag
from mailstack.sieve.match import Captures, Matching, MatchType, Want
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode

#: RFC 6134 section 2.6: ":addrbook:default" is short for this.
URN = "urn:ietf:params:sieve"
_NAME = re.compile(r"(?:urn:[a-z0-9][a-z0-9-]*:|tag:[^\s:]+:)[!-~]+\Z", re.IGNORECASE)
#: Members one `redirect :list` may reach.
MAX_MEMBERS = 50


def full_name(name: str) -> str:
    """The name of a list with its short form written out."""
    return URN + name if name.startswith(":") else name


def _wrong_name(name: str) -> str | None:
    if _NAME.match(full_name(name)) is None:
        return f"'{name[:60]}' is not the name of a list; want a urn: or tag: URI, or \":addrbook:default\""
    return None


def _knows(lists: ExternalLists, name: str) -> bool:
    knows = getattr(lists, "knows", None)
    return bool(knows(name)) if callable(knows) else True


def _prepare(keys: Sequence[str], want: Want) -> Matching:
    names = [full_name(key) for key in keys]

    def matching(values: Iterable[str], context: Context) -> Captures:
        lists = context.ext_lists
        if lists is None:
            return None
        for value in values:
            for name in names:
                context.charge(STEPS_PER_LOOK_UP)
                if _wrong_name(name) is None and lists.lookup(name, value):
                    return (value,)
        return None

    return matching


def _check(keys: Sequence[str], argument: str) -> str | None:
    return next((wrong for key in keys if (wrong := _wrong_name(key))), None)


def _valid(ctx: Context, args: Args, block: Block | None) -> bool:
    lists = ctx.ext_lists
    names = [full_name(name) for name in args.strings("ext_list_names")]
    return lists is not None and all(_wrong_name(name) is None and _knows(lists, name) for name in names)


def members(ctx: Context, name: str) -> list[str]:
    """The addresses on a list.

    Raises:
        SieveError: there is no such list, or it is too long.
    """
    look_up = getattr(ctx.ext_lists, "members", None)
    found = look_up(full_name(name)) if callable(look_up) and _wrong_name(name) is None else None
    if found is None:
        raise SieveError(f"redirect: there is no list '{name[:60]}' whose members could be read")
    texts = [str(one) for one in islice(found, MAX_MEMBERS + 1)]
    if len(texts) > MAX_MEMBERS:
        raise SieveError(f"redirect: the list '{name[:60]}' has more than {MAX_MEMBERS} members")
    return [address for text in texts if (address := parse_script_address(text)) is not None]


def _check_redirect(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("address"):
        wrong = _wrong_name(item.value)
        if wrong is not None:
            vctx.error(item.pos, f"redirect: {wrong}")


EXTLISTS = Extension(
    "extlists",
    tests=[CommandDef("valid_ext_list", "test", [Arg("ext_list_names", STRING_LIST)], run=_valid)],
    match_types=[MatchType(":list", _prepare, check=_check)],
    tags={"redirect": [Tag(":list", validate=_check_redirect)]},
)
