"""Extensions "foreverypart", "mime" and "extracttext": the parts of a message (RFC 5703)."""

from __future__ import annotations

from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.variables import MODIFIER_TAGS, check_name, modified
from mailstack.sieve.context import Context
from mailstack.sieve.control import ControlFlow, LimitReached
from mailstack.sieve.definition import NUMBER, STRING, STRING_LIST, Arg, CommandDef, Extension, Tag
from mailstack.sieve.diagnostic import Position
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode
from mailstack.sieve.variables import VARIABLES

MAX_LOOPS = 4
_FOREVERYPART = "foreverypart"


class _Break(ControlFlow):
    """`break`, until the loop it means catches it."""

    def __init__(self, name: str | None) -> None:
        super().__init__(name)
        self.name = name


def _loops(vctx: CheckContext) -> list[CommandNode]:
    return [node for node in vctx.enclosing if node.name == _FOREVERYPART]


def _check_loop(node: CommandNode, vctx: CheckContext) -> None:
    if len(_loops(vctx)) >= MAX_LOOPS:
        vctx.error(node.pos, f"foreverypart commands are nested more than {MAX_LOOPS} deep")


def _foreverypart(ctx: Context, args: Args, block: Block | None) -> None:
    outer = ctx.part
    if ctx.loops >= MAX_LOOPS:
        raise LimitReached(f"foreverypart commands are nested more than {MAX_LOOPS} deep")
    ctx.loops += 1
    if outer is not None:
        # RFC 5703 section 3: a nested loop is over the parts inside this one.
        work = outer.children[::-1]
    else:
        if ctx.message.has_replaced_parts:
            ctx.charge_edit(rewrites=1)
        work = [ctx.message.settled_root()]
    try:
        while work:
            part = ctx.part = work.pop()
            ctx.charge(1)
            ctx.run_block(block)
            # RFC 5703 section 5: what is inside a part that has been replaced is gone.
            if not ctx.message.has_replaced(part):
                work += reversed(part.children)
    except _Break as flow:
        if flow.name is not None and flow.name != args["name"]:
            raise
    finally:
        ctx.part = outer
        ctx.loops -= 1


def _check_break(node: CommandNode, vctx: CheckContext) -> None:
    name, loops = node.get("name"), _loops(vctx)
    if name is None:
        if not loops:
            vctx.error(node.pos, "the break command must stand inside a foreverypart")
    elif name.text not in [loop["name"].text for loop in loops if loop.get("name") is not None]:
        vctx.error(name.pos, f"break: there is no foreverypart named '{name.text[:60]}' around it")


def _break(ctx: Context, args: Args, block: Block | None) -> None:
    name = args["name"]
    raise _Break(name if isinstance(name, str) else None)


_NAME = Tag(":name", value=STRING, constant=True)
FOREVERYPART = Extension(
    _FOREVERYPART,
    commands=[
        CommandDef(
            _FOREVERYPART, "control", tags=[_NAME], block="required", validate=_check_loop, run=_foreverypart
        ),
        CommandDef("break", "control", tags=[_NAME], validate=_check_break, run=_break),
    ],
)

_MIME = Tag(":mime")
_ANYCHILD = Tag(":anychild", requires=":mime")
MIME = Extension(
    "mime",
    tags={
        "header": [
            _MIME,
            _ANYCHILD,
            Tag(":type", group="mimeopts", requires=":mime"),
            Tag(":subtype", group="mimeopts", requires=":mime"),
            Tag(":contenttype", group="mimeopts", requires=":mime"),
            Tag(":param", value=STRING_LIST, group="mimeopts", requires=":mime"),
        ],
        "address": [_MIME, _ANYCHILD],
        "exists": [_MIME, _ANYCHILD],
    },
)


def _needs(vctx: CheckContext, pos: Position) -> None:
    def check() -> None:
        for name in (_FOREVERYPART, VARIABLES):
            if not vctx.is_enabled(name):
                vctx.error(pos, f'extracttext is there only when the script requires "{name}" too')

    vctx.at_end.append(check)


def _check_extract(node: CommandNode, vctx: CheckContext) -> None:
    if not _loops(vctx) and vctx.is_enabled(_FOREVERYPART):
        vctx.error(node.pos, "the extracttext command must stand inside a foreverypart")
    for item in node.constants("variable"):
        wrong = check_name(item.value)
        if wrong is not None:
            vctx.error(item.pos, f"extracttext: {wrong}")
    vctx.own_names.update(item.value.lower() for item in node.constants("variable"))


def _extracttext(ctx: Context, args: Args, block: Block | None) -> None:
    part = ctx.part
    text = part.text if part is not None and part.found.content_type.startswith("text/") else ""
    first = args["first"]
    if isinstance(first, int) and not isinstance(first, bool):
        text = text[:first]
    ctx.charge(len(text) // 4_096)
    ctx.variables.set(args.string("variable"), modified(args, text, ctx.limits.max_value_octets))


EXTRACTTEXT = Extension(
    "extracttext",
    commands=[
        CommandDef(
            "extracttext",
            "action",
            [Arg("variable", STRING, constant=True)],
            [*MODIFIER_TAGS, Tag(":first", value=NUMBER)],
            validate=_check_extract,
            run=_extracttext,
        )
    ],
    on_require=_needs,
)
