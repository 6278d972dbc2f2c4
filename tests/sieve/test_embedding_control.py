"""Blocks, control flow and chains an embedder adds from outside."""

from __future__ import annotations

from mailstack.sieve import (
    NUMBER,
    STRING,
    TEST,
    Arg,
    Args,
    Block,
    CheckContext,
    CommandDef,
    Context,
    ControlFlow,
    Extension,
    FileInto,
    Message,
    Registry,
    Tag,
)
from mailstack.sieve.syntax import CommandNode
from tests.sieve.embedding_kit import (
    Failed,
    errors,
    run,
    suite_extension,
    with_variables,
)


def test_control_flow_of_an_embedder_passes_through_ifs_and_is_caught_by_its_own_command() -> None:
    log: list[str] = []
    registry = with_variables(suite_extension(log))
    outcome = run(
        """require ["suite", "envelope", "fileinto", "variables"];
test_set "message" text:
Subject: One

.
;
test "first" {
    if not header "subject" "one" { if true { fail "no"; } }
    test_set "message" "Subject: Two";
    if header "subject" "one" { fail "the cache was not dropped"; }
    if not header "subject" "two" { fail "no"; }
}
test "second" {
    if true { if true { fail "on purpose"; } }
    fail "not reached";
}
test "envelope" {
    test_set "envelope.from" "";
    if not envelope "from" "" { fail "no null sender"; }
    if envelope "to" "" { } else { fail "no empty recipient"; }
}
test "limits" {
    test_set "max_actions" "1";
    fileinto "a"; fileinto "b";
}
test "last" { stop; fail "stop did not stop"; }
test "never" { }
""",
        registry,
    )
    assert log == ["first: ok", "second: on purpose", "envelope: ok", "limits: error at 24"]
    assert outcome.ok and outcome.stopped


def test_control_flow_nobody_caught_is_in_the_outcome() -> None:
    outcome = run('require "suite"; if true { fail "x"; }', with_variables(suite_extension([])))
    assert outcome.ok and outcome.stopped and isinstance(outcome.control, Failed)


def test_replacing_the_message_drops_caches_and_edits() -> None:
    context = Context(Message.from_bytes(b"Subject: a\r\n\r\n"))
    context.message.add_header("X-A", "b")
    context.message = Message.from_bytes(b"Subject: c\r\n\r\n")
    assert context.message.header_values("subject") == ["c"] and not context.message.is_edited


def test_a_loop_with_its_own_break_can_be_added() -> None:
    class Break(ControlFlow):
        pass

    def foreach(ctx: Context, args: Args, block: Block | None) -> None:
        for value in ctx.message.header_values(args.string("name")):
            ctx.variables.set("item", value)
            try:
                ctx.run_block(block)
            except Break:
                break

    def break_(ctx: Context, args: Args, block: Block | None) -> None:
        raise Break

    def validate(node: CommandNode, vctx: CheckContext) -> None:
        if node.depth == 0:
            vctx.error(node.pos, "break is for loops")

    registry = with_variables(
        Extension(
            "foreach",
            [
                CommandDef("foreach", "control", [Arg("name", STRING)], block="required", run=foreach),
                CommandDef("break", "control", validate=validate, run=break_),
            ],
        )
    )
    context = Context(Message.from_bytes(b"X: a\r\nX: b\r\nX: stop\r\nX: c\r\n\r\n"))
    source = 'require ["foreach", "variables", "fileinto"]; '
    source += 'foreach "x" { if string "${item}" "stop" { break; } fileinto "${item}"; }'
    assert run(source, registry, context).ok
    assert context.result.actions == [FileInto("a"), FileInto("b")]
    assert errors('require "foreach"; break;', registry) == ["1:20 break is for loops"]


def test_a_chain_of_an_embedder_works_as_if_and_else_do() -> None:
    def maybe(ctx: Context, args: Args, block: Block | None) -> bool:
        ctx.run_block(block)
        return not args["failed"]

    registry = Registry.standard()
    registry.register(
        Extension(
            "try",
            [
                CommandDef("try", "control", tags=[Tag(":failed")], block="required", run=maybe),
                CommandDef("otherwise", "control", block="required", after={"try"}, run=maybe_else),
            ],
        )
    )
    context = Context()
    run(
        'require ["try", "fileinto"]; '
        'try { } otherwise { fileinto "a"; } try :failed { } otherwise { fileinto "b"; }',
        registry,
        context,
    )
    assert context.result.actions == [FileInto("b")]
    assert "must follow 'try'" in errors('require "try"; otherwise { }', registry)[0]


def maybe_else(ctx: Context, args: Args, block: Block | None) -> bool:
    ctx.run_block(block)
    return True


def test_a_positional_argument_may_be_a_test() -> None:
    def until(ctx: Context, args: Args, block: Block | None) -> None:
        for _ in range(args.number("times")):
            if ctx.eval_test(args.test):
                return
            ctx.run_block(block)

    def enough(ctx: Context, args: Args, block: Block | None) -> bool:
        return len(ctx.debug_log) >= 2

    def log(ctx: Context, args: Args, block: Block | None) -> None:
        ctx.debug_log.append(args.string("line"))

    registry = Registry.standard()
    registry.register(
        Extension(
            "until",
            [
                CommandDef(
                    "until", "control", [Arg("times", NUMBER), Arg("test", TEST)], block="required", run=until
                ),
                CommandDef("debug_log", "action", [Arg("line", STRING)], run=log),
            ],
            [CommandDef("enough", "test", run=enough)],
        )
    )
    context = Context()
    run('require "until"; until 9 not not enough { debug_log "x"; }', registry, context)
    assert context.debug_log == ["x", "x"]
