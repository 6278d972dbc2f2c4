"""`require`: puts extensions into force (RFC 5228 section 3.2)."""

from __future__ import annotations

from mailstack.sieve.check import CheckContext
from mailstack.sieve.definition import STRING_LIST, Arg, CommandDef
from mailstack.sieve.syntax import CommandNode, StringNode


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    previous = node.previous
    is_first = node.depth == 0 and (previous is None or previous.name == "require")
    if not is_first:
        vctx.error(node.pos, "the require command must stand at the beginning of the script")
    base: list[str] = []
    for item in node["capabilities"].strings:
        if item.value and vctx.scope.knows(item.value):
            for extension in vctx.scope.enable(item.value):
                if extension.on_require is not None:
                    extension.on_require(vctx, item.pos)
        elif item.value in vctx.scope.commands or item.value in vctx.scope.tests:
            base.append(f"'{item.value}'")
        else:
            _unknown(item, vctx, complain=is_first)
    if base:
        vctx.error(node.pos, f"always there and never required: {', '.join(base)}")


def _unknown(item: StringNode, vctx: CheckContext, *, complain: bool) -> None:
    """One error for each name, however often it is required."""
    vctx.scope.has_unknown = True
    if complain and item.value not in vctx.scope.unknown:
        vctx.scope.unknown.add(item.value)
        available = ", ".join(vctx.scope.available())
        vctx.error(item.pos, f"unknown Sieve capability '{item.value[:60]}'; available: {available}")


REQUIRE = CommandDef(
    "require", "control", [Arg("capabilities", STRING_LIST, constant=True)], validate=_validate
)
