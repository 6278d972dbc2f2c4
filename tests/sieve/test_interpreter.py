from __future__ import annotations

from dataclasses import replace

import pytest

from mailstack.sieve import (
    CommandDef,
    Discard,
    FileInto,
    Keep,
    Limits,
    Message,
    Redirect,
    Registry,
    Stop,
)
from tests.sieve.kit import actions_of, context_of, names_of, run_in


def test_without_any_action_the_message_is_kept() -> None:
    # RFC 5228 section 2.10.2
    assert actions_of("if false { discard; }") == [{"action": "keep", "implicit": True, "flags": []}]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("keep;", ["keep"]),
        ("discard;", ["discard"]),
        ('redirect "a@example.org";', ["redirect"]),
        ('require "fileinto"; fileinto "x";', ["fileinto"]),
        ('require ["fileinto", "copy"]; fileinto :copy "x";', ["fileinto", "implicit"]),
        ('require "copy"; redirect :copy "a@example.org";', ["redirect", "implicit"]),
        ('require "fileinto"; discard; fileinto "x";', ["discard", "fileinto"]),
        ('require ["fileinto", "copy"]; fileinto :copy "x"; discard;', ["fileinto", "discard"]),
        ("stop; discard;", ["implicit"]),
        ("discard; stop; keep;", ["discard"]),
        ("if true { if true { stop; } } discard;", ["implicit"]),
    ],
)
def test_which_actions_cancel_the_implicit_keep(source: str, names: list[str]) -> None:
    assert names_of(source) == names


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("if true { discard; } elsif true { keep; } else { stop; }", ["discard"]),
        ("if false { discard; } elsif true { keep; } else { discard; }", ["keep"]),
        ("if false { discard; } elsif false { keep; } else { discard; }", ["discard"]),
        (
            "if false { } elsif false { } elsif true { discard; } elsif true { keep; } else { keep; }",
            ["discard"],
        ),
        ("if true { } elsif true { discard; } if false { } else { discard; }", ["discard"]),
        ("if true { if false { } } else { discard; }", ["implicit"]),
        ("if false { } else { if false { } else { discard; } }", ["discard"]),
    ],
)
def test_exactly_one_block_of_a_chain_runs(source: str, names: list[str]) -> None:
    # RFC 5228 section 3.1
    assert names_of(source) == names


def test_actions_are_data_in_order() -> None:
    context = context_of()
    run_in('require ["fileinto", "copy"]; fileinto "A"; redirect :copy "Tim <t@example.org>"; keep;', context)
    assert context.result.actions == [FileInto("A"), Redirect("t@example.org", copy=True), Keep()]


def test_the_same_mailbox_twice_is_one_action_and_no_error() -> None:
    # RFC 5228 section 2.10.3
    source = 'require ["fileinto", "copy"]; fileinto :copy "A"; fileinto "B"; fileinto "A";'
    source += 'keep; fileinto "inbox"; keep;'
    context = context_of()
    assert run_in(source, context).ok
    assert context.result.actions == [FileInto("A"), FileInto("B"), Keep()]


def test_the_same_redirect_twice_is_one_action() -> None:
    context = context_of()
    run_in(
        'redirect "a@example.org"; keep; redirect "Tim <a@EXAMPLE.org>"; redirect "A@example.org";', context
    )
    assert context.result.actions == [Redirect("a@example.org"), Keep(), Redirect("A@example.org")]


def test_32_actions_work_and_33_are_an_error_and_the_message_is_kept() -> None:
    head = 'require "fileinto"; discard; '
    fine = head + "".join(f'fileinto "F{n}"; ' for n in range(31))
    assert len(actions_of(fine)) == 32
    context = context_of()
    outcome = run_in(fine + '\nfileinto "F32";', context)
    assert not outcome.ok and outcome.implicit_keep
    assert (outcome.errors[0].line, outcome.errors[0].column) == (2, 1)
    assert "total number of actions exceeds policy limit" in outcome.errors[0].message
    assert context.result.as_json() == [{"action": "keep", "implicit": True, "flags": []}]


def test_four_redirects_work_and_five_are_an_error_and_the_message_is_kept() -> None:
    fine = "".join(f'redirect "a{n}@example.org"; ' for n in range(4))
    assert len(actions_of(fine)) == 4
    outcome = run_in(fine + 'redirect "a5@example.org";', context := context_of())
    assert "number of redirect actions exceeds policy limit" in outcome.errors[0].message
    assert outcome.implicit_keep and context.result.actions == []


def test_zero_redirects_means_none() -> None:
    outcome = run_in('redirect "a@example.org";', context_of(limits=Limits(max_redirects=0)))
    assert not outcome.ok and outcome.implicit_keep


def test_an_error_cancels_the_discard_before_it() -> None:
    # V13: actions are carried out only at the end.
    outcome = run_in("discard; frob;", context := context_of(), failing_registry())
    assert not outcome.ok and outcome.implicit_keep and context.result.actions == []


def test_an_error_in_a_second_script_leaves_what_the_first_decided() -> None:
    context = context_of()
    run_in('require "fileinto"; fileinto "A";', context)
    outcome = run_in('redirect "a@example.org"; frob;', context, failing_registry())
    assert outcome.implicit_keep and context.result.actions == [FileInto("A")]


def failing_registry() -> Registry:

    def fail(ctx: object, args: object, block: object) -> None:
        raise ZeroDivisionError("oops")

    registry = Registry.standard()
    base = registry.find("")
    assert base is not None
    registry.register(
        replace(base, commands=[*base.commands, CommandDef("frob", "action", run=fail)]),
    )
    return registry


def test_an_error_has_the_place_of_the_innermost_command() -> None:
    outcome = run_in("if true {\n  if true {\n    frob;\n  }\n}", context_of(), failing_registry())
    error = outcome.errors[0]
    assert (error.line, error.column, error.message) == (
        3,
        5,
        "the frob command failed: ZeroDivisionError: oops",
    )


def test_stop_is_an_outcome_and_no_error() -> None:
    outcome = run_in("stop;", context_of())
    assert outcome.ok and outcome.stopped and isinstance(outcome.control, Stop)
    assert not run_in("keep;", context_of()).stopped


def test_an_error_undoes_the_edits_of_its_run_and_not_those_before() -> None:
    context = context_of(b"Subject: a\r\n\r\nb")
    context.message.add_header("X-A", "b")
    run_in('require "editheader"; addheader "X-B" "c"; frob;', context, failing_registry())
    assert context.message.to_bytes() == b"X-A: b\r\nSubject: a\r\n\r\nb"


def many_tests(count: int) -> str:
    return "\n".join("if anyof(" + ",".join(["false"] * 100) + ") { stop; }" for _ in range(count))


def test_steps_are_counted_and_bounded() -> None:
    # 10 commands, 10 anyof, 1000 false
    context = context_of(limits=Limits(max_steps=1_020))
    assert run_in(many_tests(10), context).ok and context.steps == 1_020
    outcome = run_in(many_tests(10), context_of(limits=Limits(max_steps=1_019)))
    assert outcome.errors[0].message == "the script takes more than 1019 steps"
    assert outcome.errors[0].line == 10 and outcome.implicit_keep


def test_cpu_time_is_bounded_by_the_clock_passed_in() -> None:
    ticks = iter(range(1_000))
    context = context_of(cpu_clock=lambda: next(ticks) * 0.3)
    outcome = run_in(many_tests(30), context)
    assert outcome.errors[0].message == "the script takes more than 1.0 s of CPU time"
    assert outcome.implicit_keep


def test_each_run_has_its_own_budget() -> None:
    context = context_of(limits=Limits(max_steps=1_020))
    for _ in range(3):
        assert run_in(many_tests(10), context).ok


def test_the_message_may_be_any_octets() -> None:
    for octets in (b"", b"\r\n", b"\n\n\n", b"\0\xff", b":" * 1000, b"Subject"):
        context = context_of()
        context.message = Message.from_bytes(octets)
        outcome = run_in(
            'if anyof (header :matches "subject" "*?", address "from" "a", size :over 1) { discard; }',
            context,
        )
        assert outcome.ok


def test_discard_is_silent() -> None:
    context = context_of()
    run_in("discard;", context)
    assert context.result.actions == [Discard()] and context.result.conflicts() == []
