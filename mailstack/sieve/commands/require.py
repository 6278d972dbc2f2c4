"""`require`: puts extensions into force (RFC 5228 section 3.2)."""

from __future__ import annotations

from mailstack.sieve.check import CheckContext
from mailstack.sieve.definition import STRING_LIST, Arg, CommandDef
from mailstack.sieve.syntax import CommandNode


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    previous = node.previous
    if node.depth or (previous is not None and previous.name != "require"):
        vctx.error(node.pos, "the require command must stand at the beginning of the script")
    base: list[str] = []
    for item in node["capabilities"].strings:
        if vctx.scope.knows(item.value) and item.value:
            for extension in vctx.scope.enable(item.value):
                if extension.on_require is not None:
                    extension.on_require(vctx, item.pos)
        elif item.value in vctx.scope.commands or item.value in vctx.scope.tests:
            base.append(item.value)
        else:
            vctx.scope.has_unknown = True
            vctx.error(item.pos, f"unknown Sieve capability '{item.value[:60]}'")
    if base:
        names = ", ".join(f"'{name}'" for name in base)
        vctx.error(node.pos, f"{names} belongs to the base language and is never required")


REQUIRE = CommandDef(
    "require", "control", [Arg("capabilities", STRING_LIST, constant=True)], validate=_validate
)
