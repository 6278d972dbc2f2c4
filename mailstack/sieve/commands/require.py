"""`require`: puts extensions into force (RFC 5228 section 3.2)."""

from __future__ import annotations

import difflib

from mailstack.sieve.check import CheckContext
from mailstack.sieve.definition import STRING_LIST, Arg, CommandDef
from mailstack.sieve.syntax import CommandNode, StringNode


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    previous = node.previous
    is_first = node.depth == 0 and (previous is None or previous.name == "require")
    if not is_first:
        vctx.error(node.pos, "the require command must stand at the beginning of the script")
    for item in node["capabilities"].strings:
        if item.value and vctx.scope.knows(item.value):
            enable(item, vctx)
        elif item.value in vctx.scope.commands or item.value in vctx.scope.tests:
            vctx.error(item.pos, f"'{item.value}' is always there and never required")
        else:
            _unknown(item, vctx, complain=is_first)


def enable(item: StringNode, vctx: CheckContext) -> None:
    """Puts a known extension into force."""
    for extension in vctx.scope.enable(item.value):
        if extension.on_require is not None:
            extension.on_require(vctx, item.pos)


def _unknown(item: StringNode, vctx: CheckContext, *, complain: bool) -> None:
    vctx.scope.has_unknown = True
    if complain:
        available = vctx.scope.available()
        near = difflib.get_close_matches(item.value[:60], available, 1, 0.75)
        hint = f"did you mean '{near[0]}'?" if near else f"available: {', '.join(available)}"
        vctx.error(item.pos, f"unknown Sieve capability '{item.value[:60]}'; {hint}")


REQUIRE = CommandDef(
    "require", "control", [Arg("capabilities", STRING_LIST, constant=True)], validate=_validate
)
