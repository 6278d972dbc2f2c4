"""Tests, match types, comparators and address parts an embedder adds from outside."""

from __future__ import annotations

import pytest

from mailstack import sieve
from mailstack.sieve import (
    ADDRESS_PART_TAGS,
    COMPARATOR_TAG,
    MATCH_TAGS,
    NUMBER,
    STRING,
    STRING_LIST,
    Arg,
    Args,
    Block,
    CommandDef,
    Comparator,
    Context,
    Extension,
    FileInto,
    MatchType,
    Message,
    Registry,
    Tag,
)
from mailstack.sieve.match import Captures, Matching, Want
from tests.sieve.embedding_kit import MAIL, errors, run, with_variables


def words_test(**more: object) -> CommandDef:
    """`words`: the words of the subject; :index picks one."""

    def run_words(ctx: Context, args: Args, block: Block | None) -> bool:
        words = ctx.message.header_values("subject")[0].split()
        index = args["index"]
        if isinstance(index, int):
            words = words[index - 1 : index]
        return args.match.match(iter(words), list(args.strings("keys")))

    return CommandDef(
        "words",
        "test",
        [Arg("keys", STRING_LIST)],
        [*MATCH_TAGS, COMPARATOR_TAG, Tag(":index", value=NUMBER)],
        run=run_words,
    )


def count_extension() -> Extension:
    """A match type that looks at all values at once, as :count of RFC 5231 does."""

    def prepare(keys: object, want: Want) -> Matching:
        assert isinstance(keys, list | tuple)

        def matching(values: object, ctx: Context) -> Captures:
            number = len(list(values))  # type: ignore[call-overload]
            good = {"eq": number.__eq__, "gt": number.__gt__}[want.argument]
            return () if any(good(int(key)) for key in keys) else None

        return matching

    return Extension("relational", match_types=[MatchType(":count", prepare, value=STRING)])


@pytest.mark.parametrize(
    ("test", "truth"),
    [
        ('words "hello"', True),
        ('words "HELLO"', True),
        ('words :comparator "i;octet" "HELLO"', False),
        ('words :contains "acm"', True),
        ('words :index 1 "hello"', False),
        ('words :index 2 ["x", "hello"]', True),
        ('words :count "eq" "2"', True),
        ('words :count "gt" ["2", "1"]', True),
        ('header :count "eq" "x-n" "2"', True),
        ('words :matches "[*]"', True),
    ],
)
def test_a_test_gets_match_tags_resolved(test: str, truth: bool) -> None:
    registry = with_variables(Extension("words", tests=[words_test()]), count_extension())
    context = Context(Message.from_bytes(MAIL))
    run(f'require ["words", "relational", "variables"]; if {test} {{ discard; }}', registry, context)
    assert bool(context.result.actions) == truth


def test_tag_groups_join_with_lists_of_tags() -> None:
    index = Tag(":index", value=NUMBER)
    for tags in (
        MATCH_TAGS + [index, COMPARATOR_TAG],  # noqa: RUF005
        [index, COMPARATOR_TAG] + MATCH_TAGS,  # noqa: RUF005
        (index, *MATCH_TAGS, COMPARATOR_TAG),
        [index, MATCH_TAGS, [COMPARATOR_TAG]],
    ):
        assert len(CommandDef("x", "test", tags=tags).tags) == 5
    assert len(MATCH_TAGS) == 3


def test_match_types_grow_only_with_what_the_script_requires() -> None:
    registry = with_variables(Extension("words", tests=[words_test()]), count_extension())
    assert errors('require "words"; if words :count "eq" "2" { }', registry) == [
        "1:27 unknown tagged argument ':count' for the words test;"
        ' the script must require "relational" (only reported once)'
    ]


def test_a_foreign_test_sets_numbered_variables() -> None:
    registry = with_variables(Extension("words", tests=[words_test()]))
    context = Context(Message.from_bytes(MAIL))
    run(
        'require ["words", "variables", "fileinto"]; if words :matches "[*]" { fileinto "${1}"; }',
        registry,
        context,
    )
    assert context.result.actions == [FileInto("acme")]


def test_a_comparator_can_be_added() -> None:
    def number(text: str) -> str | None:
        digits = text[: len(text) - len(text.lstrip("0123456789"))]
        return digits.lstrip("0") or "0" if digits else None

    registry = with_variables(
        Extension(
            "comparator-i;ascii-numeric", comparators=[Comparator("i;ascii-numeric", number, substring=False)]
        )
    )
    head = 'require ["variables", "comparator-i;ascii-numeric"];'
    for test, truth in [('"007" "7"', True), ('"7x" "7"', True), ('"x" "y"', False), ('"x" "7"', False)]:
        context = Context()
        run(f'{head} if string :comparator "i;ascii-numeric" {test} {{ discard; }}', registry, context)
        assert bool(context.result.actions) == truth


def test_address_parts_are_resolved_and_can_be_added() -> None:
    seen: list[object] = []

    def run_from(ctx: Context, args: Args, block: Block | None) -> bool:
        seen.extend(args.address_part.values(ctx.message.addresses("from")))
        return args.match.match(args.address_part.values(ctx.message.addresses("from")), args.strings("keys"))

    test = CommandDef(
        "author",
        "test",
        [Arg("keys", STRING_LIST)],
        [ADDRESS_PART_TAGS, MATCH_TAGS, COMPARATOR_TAG],
        run=run_from,
    )
    first = sieve.AddressPart(":first", lambda address: address.local and address.local[0])
    registry = Registry.standard()
    registry.register(Extension("author", tests=[test]))
    registry.register(Extension("first", address_parts=[first]))
    run(
        'require ["author", "first"]; if anyof (author :domain "x", author :first "x", author :all "x",'
        ' author :localpart :is "tim", address :first "from" "t") { }',
        registry,
    )
    assert seen == ["example.com", "t", "tim@example.com", "tim"]
    with_tag = 'require ["author", "first"]; if address :first "from" "T" { discard; }'
    context = Context(Message.from_bytes(MAIL))
    assert run(with_tag, registry, context).ok and context.result.actions


def test_one_name_may_be_a_command_and_a_test() -> None:
    seen: list[object] = []

    def command(ctx: Context, args: Args, block: Block | None) -> None:
        seen.append(("command", args["where"], args["smtp"], args["index"]))

    def test(ctx: Context, args: Args, block: Block | None) -> bool:
        seen.append(("test", args["where"], args["folder"]))
        return True

    tags = [
        Tag(":smtp", value=None, group="where"),
        Tag(":folder", value=STRING, group="where"),
        Tag(":index", value=NUMBER),
    ]
    registry = Registry.standard()
    registry.register(
        Extension(
            "message",
            commands=[CommandDef("test_message", "action", tags=tags, run=command)],
            tests=[CommandDef("test_message", "test", tags=tags, run=test)],
        )
    )
    run(
        'require "message"; test_message :smtp :index 2; if test_message :folder "A" { test_message; }',
        registry,
    )
    assert seen == [("command", ":smtp", True, 2), ("test", ":folder", "A"), ("command", None, False, None)]
    assert "exclude each other" in errors('require "message"; test_message :smtp :folder "a";', registry)[0]
