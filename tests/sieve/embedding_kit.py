"""What tests of embedding share: a message, two extensions, and how to run."""

from __future__ import annotations

from mailstack import sieve
from mailstack.sieve import (
    COMPARATOR_TAG,
    MATCH_TAGS,
    NUMBER,
    STRING,
    STRING_LIST,
    Arg,
    Args,
    Block,
    CheckContext,
    CommandDef,
    Context,
    ControlFlow,
    Envelope,
    Extension,
    Message,
    Registry,
    RunOutcome,
    SieveError,
    Tag,
    Vacation,
)
from mailstack.sieve.syntax import CommandNode

MAIL = b"From: Tim <tim@example.com>\r\nSubject: [acme] hello\r\nX-N: 1\r\nX-N: 2\r\n\r\nBody\r\n"


def run(source: str, registry: Registry, context: Context | None = None, **options: object) -> RunOutcome:
    result = sieve.compile(source, registry=registry, **options)  # type: ignore[arg-type]
    assert result.script is not None, [str(error) for error in result.errors]
    return sieve.run(result.script, context or Context(Message.from_bytes(MAIL), Envelope("a@b.example", "")))


def errors(source: str, registry: Registry, **options: object) -> list[str]:
    result = sieve.compile(source, registry=registry, **options)  # type: ignore[arg-type]
    return [f"{error.line}:{error.column} {error.message}" for error in result.errors]


def variables_extension() -> Extension:
    def set_(ctx: Context, args: Args, block: Block | None) -> None:
        value = args.string("value")
        ctx.variables.set(args.string("name"), value.lower() if args["lower"] else value)

    def string(ctx: Context, args: Args, block: Block | None) -> bool:
        return args.match.match(args.strings("source"), args.strings("key_list"))

    return Extension(
        "variables",
        commands=[
            CommandDef(
                "set",
                "action",
                [Arg("name", STRING, constant=True), Arg("value", STRING)],
                [Tag(":lower", group="case")],
                run=set_,
            )
        ],
        tests=[
            CommandDef(
                "string",
                "test",
                [Arg("source", STRING_LIST), Arg("key_list", STRING_LIST)],
                [MATCH_TAGS, COMPARATOR_TAG],
                run=string,
            )
        ],
    )


def with_variables(*more: Extension) -> Registry:
    registry = Registry.standard()
    for extension in (variables_extension(), *more):
        registry.register(extension)
    return registry


def vacation_extension() -> Extension:
    def validate(node: CommandNode, vctx: CheckContext) -> None:
        # Several errors from one check.
        days = node.get("days")
        if days is not None and days.number == 0:
            vctx.error(days.pos, "vacation: :days must not be 0")
        for item in node.constants("addresses"):
            if "@" not in item.value:
                vctx.error(item.pos, f"vacation: '{item.value}' is no address")

    def run_vacation(ctx: Context, args: Args, block: Block | None) -> None:
        addresses = args["addresses"]
        assert addresses is None or isinstance(addresses, tuple)
        days, subject = args["days"], args["subject"]
        assert (days is None or isinstance(days, int)) and (subject is None or isinstance(subject, str))
        ctx.add_action(
            Vacation(
                args.string("reason"), subject, addresses=addresses or (), mime=bool(args["mime"]), days=days
            )
        )

    return Extension(
        "vacation",
        commands=[
            CommandDef(
                "vacation",
                "action",
                positional=[Arg("reason", STRING)],
                tags=[
                    Tag(":days", value=NUMBER),
                    Tag(":subject", value=STRING),
                    Tag(":addresses", value=STRING_LIST),
                    Tag(":mime"),
                ],
                validate=validate,
                run=run_vacation,
            )
        ],
    )


class Failed(ControlFlow):
    pass


def suite_extension(log: list[str]) -> Extension:
    """As a conformance runner has it: `test "name" { ... }`, `fail "why";`, `set_message`."""

    def test(ctx: Context, args: Args, block: Block | None) -> None:
        try:
            ctx.run_block(block)
        except Failed as why:
            log.append(f"{args.string('name')}: {why}")
        except SieveError as error:
            assert error.diagnostic is not None
            log.append(f"{args.string('name')}: error at {error.diagnostic.line}")
        else:
            log.append(f"{args.string('name')}: ok")

    def fail(ctx: Context, args: Args, block: Block | None) -> None:
        raise Failed(args.string("why"))

    def set_message(ctx: Context, args: Args, block: Block | None) -> None:
        match args.string("what"):
            case "message":
                ctx.message = Message.from_bytes(args.string("value").encode())
            case "envelope.from":
                ctx.envelope = Envelope(args.string("value"), ctx.envelope.to)
            case "settings":
                ctx.settings = {"x": args.string("value")}
            case "max_actions":
                ctx.max_actions = int(args.string("value"))

    text = Arg("value", STRING)
    return Extension(
        "suite",
        commands=[
            CommandDef("test", "control", [Arg("name", STRING)], block="required", run=test),
            CommandDef("fail", "action", [Arg("why", STRING)], run=fail),
            CommandDef("test_set", "action", [Arg("what", STRING), text], run=set_message),
        ],
    )
