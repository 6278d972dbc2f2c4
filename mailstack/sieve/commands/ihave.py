"""Extension "ihave": asks for extensions before using them; and `error` (RFC 5463)."""

from __future__ import annotations

from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.require import enable
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import STRING, STRING_LIST, Arg, CommandDef, Extension
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode
from mailstack.sieve.variables import VARIABLES


def _truth(node: CommandNode, vctx: CheckContext) -> bool:
    """All or nothing: with one unknown name none of the others comes into force."""
    wanted = node["capabilities"].strings
    has_all = all(item.value and _can_come_late(vctx, item.value) for item in wanted)
    if has_all:
        for item in wanted:
            enable(item, vctx)
    node.data["truth"] = has_all
    return has_all


def _can_come_late(vctx: CheckContext, name: str) -> bool:
    """Known, and not one that changes what strings mean: those before it would be misread."""
    extension = vctx.registry.find(name)
    return extension is not None and extension.string_filter is None and name != VARIABLES


def _ihave(ctx: Context, args: Args, block: Block | None) -> bool:
    return args.data["truth"] is True


def _error(ctx: Context, args: Args, block: Block | None) -> None:
    raise SieveError(args.string("message"))


IHAVE = Extension(
    "ihave",
    commands=[CommandDef("error", "control", [Arg("message", STRING)], run=_error)],
    tests=[
        CommandDef(
            "ihave", "test", [Arg("capabilities", STRING_LIST, constant=True)], run=_ihave, truth=_truth
        )
    ],
)
