"""An include-like command, compile-time state and registries, from outside."""

from __future__ import annotations

import pytest

from mailstack import sieve
from mailstack.sieve import (
    STRING,
    Arg,
    Args,
    Block,
    CheckContext,
    CommandDef,
    Context,
    ControlFlow,
    Envelope,
    Extension,
    FileInto,
    Registry,
    RunOutcome,
    SieveError,
    Tag,
)
from mailstack.sieve.syntax import CommandNode
from tests.sieve.embedding_kit import (
    errors,
    run,
    suite_extension,
    with_variables,
)


class Scripts:
    def __init__(self, **scripts: str) -> None:
        self.scripts = scripts

    def get_script(self, name: str, location: str) -> bytes | None:
        source = self.scripts.get(f"{location}_{name}".replace("-", "_"))
        return source.encode() if source is not None else None


class Return(ControlFlow):
    pass


def include_extension() -> Extension:
    """At compile time when the name is known: script and commands share one list of mistakes."""

    def validate(node: CommandNode, vctx: CheckContext) -> None:
        name = node["name"]
        location = "global" if node.get("global") else "personal"
        source = vctx.storage.get_script(name.text, location) if vctx.storage else None
        if source is None:
            vctx.error(name.pos, f"there is no {location} script '{name.text}'")
            return
        node.data["script"] = vctx.compile_script(source, f"{location}/{name.text}")

    def run_include(ctx: Context, args: Args, block: Block | None) -> None:
        script = args.data["script"]
        assert isinstance(script, sieve.Script)
        try:
            ctx.run_block(script.block)
        except Return:
            return

    def return_(ctx: Context, args: Args, block: Block | None) -> None:
        raise Return

    return Extension(
        "include",
        [
            CommandDef(
                "include",
                "control",
                [Arg("name", STRING, constant=True)],
                [Tag(":global", group="location"), Tag(":personal", group="location")],
                validate=validate,
                run=run_include,
            ),
            CommandDef("return", "control", run=return_),
        ],
    )


def included(source: str, **scripts: str) -> tuple[RunOutcome, Context]:
    registry = with_variables(include_extension())
    context = Context()
    return run(source, registry, context, storage=Scripts(**scripts), path="main"), context


def test_include_runs_another_script_and_return_leaves_only_that() -> None:
    outcome, context = included(
        'require ["include", "fileinto"]; include "a"; fileinto "main";',
        personal_a='require ["include", "fileinto"]; fileinto "a"; if true { return; } fileinto "not";',
    )
    assert outcome.ok and context.result.actions == [FileInto("a"), FileInto("main")]


def test_stop_in_an_included_script_ends_all() -> None:
    outcome, context = included(
        'require ["include", "fileinto"]; include :global "a"; fileinto "main";', global_a="stop;"
    )
    assert outcome.stopped and context.result.actions == []


def test_an_error_in_an_included_script_has_its_path() -> None:
    outcome, _ = included(
        'require ["include"]; include "a";',
        personal_a='require "variables";\nset "x" "y";\nredirect "${x}";',
    )
    assert (outcome.errors[0].path, outcome.errors[0].line) == ("personal/a", 3)


def test_mistakes_in_an_included_script_are_reported_with_its_path() -> None:
    registry = with_variables(include_extension())
    result = sieve.compile(
        'require "include"; include "a"; frob;',
        registry=registry,
        storage=Scripts(personal_a="\nfrob;"),
        path="main",
    )
    assert [(error.path, error.line) for error in result.errors] == [("main", 1), ("personal/a", 2)]


def test_an_included_script_requires_its_own_extensions() -> None:
    registry = with_variables(include_extension())
    result = sieve.compile(
        'require ["include", "fileinto"]; include "a";',
        registry=registry,
        storage=Scripts(personal_a='fileinto "x";'),
    )
    assert result.errors[0].message.startswith("the fileinto command is not available")


def test_include_loops_and_depth_are_bounded() -> None:
    # V9
    registry = with_variables(include_extension())
    head = 'require "include"; include '
    loop = Scripts(personal_a=head + '"b";', personal_b=head + '"a";')
    assert errors(head + '"a";', registry, storage=loop) == ["1:1 the script includes itself"]
    missing = Scripts()
    assert errors(head + '"a";', registry, storage=missing) == ["1:28 there is no personal script 'a'"]

    def deep(levels: int) -> Scripts:
        scripts = {f"personal_s{n}": f'{head}"s{n + 1}";' for n in range(1, levels)}
        return Scripts(**scripts, **{f"personal_s{levels}": "keep;"})

    assert errors(head + '"s1";', registry, storage=deep(5), path="main") == []
    assert "more than 5 deep" in errors(head + '"s1";', registry, storage=deep(6), path="main")[0]


def test_the_number_of_included_files_is_bounded() -> None:
    registry = with_variables(include_extension())

    def many(count: int) -> list[str]:
        source = 'require "include";' + "".join(f'include "s{n}";' for n in range(count))
        return errors(source, registry, storage=Scripts(**{f"personal_s{n}": "keep;" for n in range(count)}))

    assert many(20) == []
    assert "more than 20 scripts" in many(21)[0]


def test_include_can_be_done_at_run_time_too() -> None:
    def run_include(ctx: Context, args: Args, block: Block | None) -> None:
        assert ctx.storage is not None
        source = ctx.storage.get_script(args.string("name"), "personal")
        result = sieve.compile(source or b"", registry=registry)
        if source is None or result.script is None:
            raise SieveError("include: no such script")
        ctx.run_block(result.script.block)

    registry = with_variables(
        Extension("include", [CommandDef("include", "control", [Arg("name", STRING)], run=run_include)])
    )
    context = Context(storage=Scripts(personal_a="discard;"))
    assert run('require ["include", "variables"]; set "n" "a"; include "${n}";', registry, context).ok
    assert [action.name for action in context.result.actions] == ["discard"]
    outcome = run('require "include"; include "none";', registry, Context(storage=Scripts()))
    assert outcome.errors[0].message == "include: no such script" and outcome.implicit_keep


def test_two_registries_live_side_by_side() -> None:
    one, two = Registry.standard(), Registry.standard()
    page = CommandDef("page", "action", run=lambda ctx, args, block: None)
    one.register(Extension("pager", commands=[page]))
    assert "pager" in one and "pager" not in two
    assert errors('require "pager"; page;', one) == []
    assert errors('require "pager"; page;', two)[0].startswith(
        "1:9 unknown Sieve capability 'pager'; available: body, copy, "
    )
    assert Registry.standard().capabilities() == two.capabilities()


def test_an_extension_may_imply_others() -> None:
    registry = Registry.standard()
    registry.register(Extension("all", implies=("fileinto", "more")))
    registry.register(Extension("more", implies=("copy", "all")))
    assert errors('require "all"; fileinto :copy "x";', registry) == []


def test_an_extension_may_refuse_the_company_of_another() -> None:
    def refuse(vctx: CheckContext, pos: object) -> None:
        if vctx.is_enabled("fileinto"):
            vctx.error(pos, "not together with fileinto")  # type: ignore[arg-type]

    registry = Registry.standard()
    registry.register(Extension("lonely", on_require=refuse))
    assert errors('require "lonely";', registry) == []
    assert errors('require ["fileinto", "lonely"];', registry) == ["1:22 not together with fileinto"]


def test_an_extension_registered_again_replaces_the_first() -> None:
    registry = with_variables()
    registry.register(Extension("variables"))
    assert "unknown command 'set'" in errors('require "variables"; set "a" "b";', registry)[0]


def test_compile_time_state_reaches_later_commands_and_the_run() -> None:
    seen: list[object] = []

    def validate(node: CommandNode, vctx: CheckContext) -> None:
        node.data["dir"] = vctx.script_dir
        vctx.script_dir += "/sub"

    command = CommandDef(
        "where",
        "action",
        validate=validate,
        run=lambda ctx, args, block: seen.append((args.data["dir"], args.path, args.pos)),
    )
    registry = Registry.standard()
    registry.register(Extension("where", [command]))
    run('require "where"; where; where;', registry, path="/tests/a/b.svtest")
    assert seen == [
        ("/tests/a", "/tests/a/b.svtest", (1, 18)),
        ("/tests/a/sub", "/tests/a/b.svtest", (1, 25)),
    ]


def test_settings_can_be_swapped_while_a_script_runs() -> None:
    context = Context(settings={"sieve_redirect_envelope_from": "recipient"})
    registry = with_variables(suite_extension([]))
    source = 'require "suite"; redirect "a@x.example"; test_set "settings" "1"; redirect "b@x.example";'
    context.envelope = Envelope("s@x.example", "me@x.example")
    run(source, registry, context)
    assert [action.envelope_from for action in context.result.actions] == ["me@x.example", None]  # type: ignore[attr-defined]


def test_a_nested_run_shares_the_budget_of_the_outer() -> None:
    inner = sieve.compile("if true { keep; }").script
    assert inner is not None

    def nest(ctx: Context, args: Args, block: Block | None) -> None:
        assert inner is not None
        for _ in range(100):
            sieve.run(inner, ctx)

    registry = Registry.standard()
    registry.register(Extension("nest", [CommandDef("nest", "action", run=nest)]))
    context = Context(limits=sieve.Limits(max_steps=290))
    outcome = run('require "nest"; nest; keep;', registry, context)
    assert not outcome.ok
    assert run('require "nest"; nest; keep;', registry, Context(limits=sieve.Limits(max_steps=310))).ok


def test_definitions_that_make_no_sense_are_refused_at_once() -> None:
    for make in (
        lambda: Tag("index"),
        lambda: CommandDef("x", "verb"),  # type: ignore[arg-type]
        lambda: CommandDef("x", "action", block="maybe"),  # type: ignore[arg-type]
        lambda: Arg("x", "list"),  # type: ignore[arg-type]
        lambda: Extension("x", tests=[CommandDef("x", "action")]),
    ):
        with pytest.raises(ValueError):
            make()
