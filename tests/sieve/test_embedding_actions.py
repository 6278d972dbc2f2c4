"""Actions, tags and variables an embedder adds from outside, with public names only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mailstack import sieve
from mailstack.sieve import (
    NUMBER,
    STRING,
    STRING_LIST,
    Arg,
    Args,
    Block,
    CommandDef,
    Context,
    Extension,
    FileInto,
    Message,
    Registry,
    Tag,
    Vacation,
    Variables,
)
from tests.sieve.embedding_kit import (
    MAIL,
    errors,
    run,
    vacation_extension,
    with_variables,
)


def test_an_action_with_tags_can_be_added() -> None:
    registry = Registry.standard()
    registry.register(vacation_extension())
    context = Context()
    outcome = run(
        'require "vacation"; vacation :days 3 :addresses ["a@x.example", "b@x.example"] :mime "Away";',
        registry,
        context,
    )
    assert outcome.ok and outcome.implicit_keep
    assert context.result.actions == [
        Vacation("Away", addresses=("a@x.example", "b@x.example"), mime=True, days=3)
    ]
    assert context.result.as_json()[0]["action"] == "vacation"


def test_a_check_of_an_embedder_may_report_several_errors() -> None:
    registry = Registry.standard()
    registry.register(vacation_extension())
    source = 'require "vacation";\nvacation :days 0 :addresses ["x", "a@b.example", "y"] "Away";'
    assert errors(source, registry) == [
        "2:16 vacation: :days must not be 0",
        "2:30 vacation: 'x' is no address",
        "2:50 vacation: 'y' is no address",
    ]


def test_conflicts_are_runtime_errors_when_the_action_is_added() -> None:
    registry = Registry.standard()
    registry.register(vacation_extension())

    def reject(ctx: Context, args: Args, block: Block | None) -> None:
        ctx.add_action(sieve.Reject(args.string("reason"), ereject=bool(args.get("ereject"))))

    registry.register(
        Extension("reject", [CommandDef("reject", "action", [Arg("reason", STRING)], run=reject)])
    )
    head = 'require ["reject", "fileinto", "vacation"];\n'
    for first, second in [
        ('fileinto "a";', 'reject "no";'),
        ('reject "no";', "keep;"),
        ('reject "no";', 'redirect "a@b.example";'),
        ('vacation "x";', 'reject "no";'),
        ('reject "no";', 'reject "no";'),
        ('vacation "x";', 'vacation "x";'),
    ]:
        context = Context()
        outcome = run(head + first + "\n" + second, registry, context)
        assert not outcome.ok and outcome.errors[0].line == 3 and outcome.implicit_keep, (first, second)
    assert run(head + 'discard; reject "no";', registry).ok


def test_an_action_of_an_embedder_may_be_of_its_own_kind() -> None:
    @dataclass(frozen=True, slots=True)
    class Beep(sieve.Action):
        times: int
        name: ClassVar[str] = "beep"
        conflicts_with: ClassVar[frozenset[str]] = frozenset({"discard"})

        @property
        def cancels_implicit_keep(self) -> bool:
            return True

    registry = Registry.standard()
    command = CommandDef(
        "beep",
        "action",
        [Arg("times", NUMBER)],
        run=lambda ctx, args, block: ctx.add_action(Beep(args.number("times"))),
    )
    registry.register(Extension("beep", [command]))
    context = Context()
    assert run('require "beep"; beep 3; beep 3;', registry, context).ok
    assert context.result.as_json() == [{"action": "beep", "times": 3}]
    assert not run('require "beep"; beep 3; discard;', registry).ok


def test_a_tag_can_be_added_to_a_built_in_command() -> None:
    def create(ctx: Context, action: object, value: object) -> object:
        assert isinstance(action, FileInto)
        return replace(action, create=True)

    def flags(ctx: Context, action: object, value: object) -> object:
        assert isinstance(action, FileInto) and isinstance(value, tuple)
        return replace(action, flags=value)

    registry = Registry.standard()
    registry.register(Extension("mailbox", tags={"fileinto": [Tag(":create", modify=create)]}))
    registry.register(Extension("flags", tags={"fileinto": [Tag(":flags", value=STRING_LIST, modify=flags)]}))
    context = Context()
    run(
        'require ["fileinto", "mailbox", "flags", "copy"]; fileinto :flags ["\\\\Seen"] :copy :create "A";',
        registry,
        context,
    )
    assert context.result.actions == [FileInto("A", flags=("\\Seen",), copy=True, create=True)]
    assert 'must require "mailbox"' in errors('require "fileinto"; fileinto :create "A";', registry)[0]


def test_strings_are_expanded_when_the_script_has_variables() -> None:
    context = Context()
    outcome = run(
        'require ["variables", "fileinto"]; '
        'set "Name" "A"; set :lower "x" "${NAME}B"; fileinto "${x}/${none}${name}${bad";',
        with_variables(),
        context,
    )
    assert outcome.ok and context.result.actions == [FileInto("ab/A${bad")]


def test_strings_are_not_expanded_without_the_extension() -> None:
    context = Context(variables=Variables({"x": "A"}))
    run('require "fileinto"; fileinto "${x}";', with_variables(), context)
    assert context.result.actions == [FileInto("${x}")]


def test_numbered_variables_come_from_the_last_match() -> None:
    context = Context(Message.from_bytes(MAIL))
    run(
        'require ["variables", "fileinto"]; '
        'if header :matches "subject" "[*] *" { fileinto "${1}.${2}.${3}.${0}"; }',
        with_variables(),
        context,
    )
    assert context.result.actions == [FileInto("acme.hello..[acme] hello")]


def test_a_match_that_fails_leaves_numbered_variables_alone() -> None:
    context = Context(Message.from_bytes(MAIL))
    run(
        'require ["variables", "fileinto"]; if anyof (header :matches "subject" "[*] h*", true) {'
        ' if not header :matches "subject" "z*" { fileinto "${1}${2}"; } }',
        with_variables(),
        context,
    )
    assert context.result.actions == [FileInto("acmeello")]


def test_values_are_those_current_when_control_reaches_the_statement() -> None:
    # RFC 5229 section 3
    context = Context()
    run(
        'require ["variables", "fileinto"]; '
        'set "a" "1"; if string "${a}" "1" { set "a" "2"; fileinto "${a}"; }',
        with_variables(),
        context,
    )
    assert context.result.actions == [FileInto("2")]


def test_variables_growing_without_end_are_cut() -> None:
    # V12
    context = Context()
    source = 'require "variables"; set "a" "0123456789";' + 'set "a" "${a}${a}";' * 40
    assert run(source, with_variables(), context).ok
    assert len(context.variables.get("a")) == 4096


def test_a_namespace_is_a_callable() -> None:
    registry = with_variables(
        Extension("environment", namespaces={"env": lambda ctx, name: ctx.environment.get(name)})
    )
    context = Context(environment={"host": "mx"})
    run(
        'require ["variables", "environment", "fileinto"]; fileinto "${env.host}-${ENV.none}";',
        registry,
        context,
    )
    assert context.result.actions == [FileInto("mx-")]


def test_an_unknown_namespace_is_a_compile_error() -> None:
    # RFC 5229 section 3: MUST cause an error.
    registry = with_variables(Extension("environment", namespaces={"env": lambda ctx, name: ""}))
    source = 'require ["variables", "fileinto"];\nfileinto "${env.host}";'
    assert errors(source, registry) == ["2:10 unknown variable namespace 'env'"]


def test_arguments_can_be_made_to_refuse_variables() -> None:
    assert errors('require "variables"; set "${x}" "a";', with_variables()) == [
        "1:26 argument 1 (name) of the set command must not contain variables"
    ]
    assert (
        "must not contain variables"
        in errors('require "variables"; if string :comparator "${x}" "a" "b" { }', with_variables())[0]
    )


def test_what_cannot_be_checked_at_compile_time_is_checked_at_run_time() -> None:
    source = 'require "variables"; set "a" "nonsense"; redirect "${a}";'
    outcome = run(source, with_variables())
    assert (
        outcome.errors[0].message == "redirect: 'nonsense' is not an e-mail address" and outcome.implicit_keep
    )


def test_a_command_can_read_its_argument_unexpanded() -> None:
    seen: list[object] = []
    command = CommandDef(
        "show",
        "action",
        [Arg("a", STRING), Arg("b", STRING_LIST)],
        run=lambda ctx, args, block: seen.append((args.source("a"), args["a"], args.source("b"))),
    )
    registry = with_variables(Extension("show", [command]))
    run('require ["variables", "show"]; set "x" "1"; show "${x}" ["a", "${x}"];', registry)
    assert seen == [("${x}", "1", ("a", "${x}"))]
