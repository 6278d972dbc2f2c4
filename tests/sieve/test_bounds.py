"""What a script may cost: each way to make a run long or large ends in an error and the message is kept."""

from __future__ import annotations

import time

import pytest

from mailstack.sieve import Context, Envelope, Limits, Message, check_upload, compile, run  # noqa: A004
from tests.sieve.kit import context_of, errors_of, run_in, script_of

PARTS = 60
MULTIPART = (
    b'Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    + b"--b\r\nContent-Type: text/plain\r\n\r\nword\r\n" * PARTS
    + b"--b--\r\n"
)
LOOP = 'require ["foreverypart", "replace", "enclose", "editheader", "variables", "extracttext", "body"];\n'


def failed(source: str, mail: bytes = MULTIPART, **limits: float) -> str:
    """Why a run failed; the message must be kept as it came."""
    context = Context(
        Message.from_bytes(mail), Envelope("a@b.example", "me@example.net"), limits=Limits(**limits)
    )
    outcome = run(script_of(source, limits=Limits(**limits)), context)
    assert not outcome.ok and outcome.implicit_keep
    assert context.message.to_bytes() == mail and not context.result.actions
    return outcome.errors[-1].message


@pytest.mark.parametrize(
    ("what", "command"),
    [
        ("enclosed", 'enclose "x";'),
        ("replaced", f'replace "{"x" * 30_000}";'),
        ("added to", f'addheader "X-A" "{"x" * 2_000}";' * 10),
    ],
)
def test_a_message_does_not_grow_without_end(what: str, command: str) -> None:
    nested = f"{LOOP} foreverypart {{ foreverypart {{ {command} }} {command} }}"
    assert failed(nested) and what


def test_added_octets_end_at_the_limit() -> None:
    source = 'require "editheader"; addheader "X-A" "0123456789";'  # 17 octets with its line end
    assert run_in(source, context_of(limits=Limits(max_added_octets=17))).ok
    assert "add more than 16 octets" in failed(source, max_added_octets=16)


def test_messages_in_messages_end_at_the_limit() -> None:
    source = 'require "enclose"; enclose "a"; enclose "b";'
    assert run_in(source, context_of(limits=Limits(max_rewrites=2))).ok
    assert "more than 1 times" in failed(source, max_rewrites=1)


def test_regular_expressions_of_a_script_are_bounded_together() -> None:
    # V2: a pattern is cheap for its reader and dear for its compiler
    dear = "(x{0,999}|yN){0,1}.*[[:alpha:]]+"
    keys = ", ".join(f'"{n}{dear}"' for n in range(2_000))
    started = time.process_time()
    errors = errors_of(f'require "regex";\nif header :regex "a" [{keys}] {{ stop; }}')
    assert len(errors) == 1 and "regular expressions of the script are too large" in errors[0]
    assert time.process_time() - started < 5
    assert not errors_of(f'require "regex"; if header :regex "a" "{dear}" {{ stop; }}')


def test_regular_expressions_from_variables_are_bounded_when_they_are_used() -> None:
    keys = ", ".join(f'"{n}${{a}}"' for n in range(1_000))
    source = (
        f'require ["regex", "variables"]; set "a" "(x{{0,999}})+"; if header :regex "subject" [{keys}] {{}}'
    )
    assert "regular expressions of a test are too large" in failed(source)


def test_a_search_that_would_take_long_is_not_begun() -> None:
    # V2: with captures RE2 may need every instruction for every character
    source = """require ["regex", "variables"];
        if header :regex "subject" "(.{0,900})y(.{0,900})z" { stop; }"""
    mail = b"Subject: " + b"a" * 60_000 + b"\r\n\r\n"
    started = time.process_time()
    assert "steps" in failed(source, mail, max_steps=100_000)
    assert time.process_time() - started < 5


def test_nested_quantifiers_take_linear_time() -> None:
    # V2
    mail = b"Subject: " + b"a" * 60_000 + b"!\r\n\r\n" + b"a" * 100_000 + b"!"
    started = time.process_time()
    tests = 'header :regex "subject" "(a+)+$", body :regex "(a+)+$"'
    source = f'require ["regex", "body"]; if anyof ({tests}) {{ discard; }}'
    context = context_of(mail)
    assert run_in(source, context).ok and context.result.implicit_keep
    assert time.process_time() - started < 5


def test_the_strings_of_one_list_are_bounded_together() -> None:
    # V12: sixteen references of 4 KiB each make a string of 64 KiB
    wide = "${a}" * 16
    doubling = 'set "a" "0123456789abcdef"; ' + 'set "a" "${a}${a}"; ' * 40
    few, many = (", ".join([f'"{wide}"'] * count) for count in (8, 400))
    source = 'require "variables"; ' + doubling + 'if header "subject" [%s] { stop; }'
    assert run_in(source % few, context_of()).ok
    assert "the strings of a list come to more than" in failed(source % many)


def test_long_lists_cost_steps_each_time() -> None:
    names = ", ".join(f'"x{n}"' for n in range(3_000))
    source = 'require "foreverypart"; foreverypart { if exists [' + names + "] { stop; } }"
    assert run_in(source, context_of(MULTIPART)).ok
    assert "steps" in failed(source, max_steps=2_000)


def test_complaints_are_as_many_as_errors_may_be() -> None:
    source = 'require ["regex", "variables", "foreverypart"]; set "a" "(";\n'
    context = context_of(MULTIPART)
    outcome = run_in(source + 'foreverypart { if header :regex "subject" "${a}" { stop; } }', context)
    assert outcome.ok and len(outcome.errors) == 25


def test_flags_are_cut_like_a_variable_and_never_in_the_middle() -> None:
    flags = " ".join(f"keyword{n:04d}" for n in range(1_000))
    context = context_of()
    assert run_in(f'require "imap4flags"; addflag "{flags}"; keep;', context).ok
    kept = context.result.actions[0].flags  # type: ignore[attr-defined]
    assert sum(len(flag) + 1 for flag in kept) <= 4_096 and len(kept) == 4_096 // 12
    assert all(len(flag) == 11 for flag in kept)


def test_a_pattern_whose_tables_would_fill_memory_is_refused() -> None:
    pattern = "".join(chr(0x4E00 + n) for n in range(1_025))
    test = 'if header :comparator "i;unicode-casemap" :matches "subject" "{}" {{ stop; }}'
    assert "longer than 1024 characters" in failed(test.format(f"?{pattern[:1024]}"))
    assert run_in(test.format(f"?{pattern[:1023]}"), context_of()).ok
    assert run_in(test.format(f"*{pattern}"), context_of()).ok


def test_a_list_that_never_ends_is_not_read_to_its_end() -> None:
    # V3
    class Lists:
        def lookup(self, list_: str, value: str) -> bool:
            return False

        def members(self, list_: str) -> object:
            number = 0
            while number < 1_000:
                yield f"a{number}@b.example"
                number += 1
            raise AssertionError("read to its end")

    context = context_of(ext_lists=Lists())
    outcome = run_in('require "extlists"; redirect :list ":addrbook:default";', context)
    assert not outcome.ok and outcome.implicit_keep and "more than 50 members" in outcome.errors[0].message


def test_parts_are_decoded_once_however_often_they_are_asked() -> None:
    html = b"<p>word</p>" * 50_000
    mail = b"Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n" + html
    tests = ", ".join(f'body :text :contains "no{n}"' for n in range(300))
    started = time.process_time()
    assert run_in(f'require "body"; if anyof ({tests}) {{ discard; }}', context_of(mail)).ok
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("line", "source"),
    [
        (None, "#" + "x" * 262_144),
        (1, "if true {" * 33 + "}" * 33),
        (1, "if allof (" + ", ".join(["true"] * 10_000) + ") {}"),
        (2, '\nredirect "' + "x" * 1_000_000 + '";'),
    ],
    ids=["long", "deep", "many", "string"],
)
def test_a_script_beyond_the_limits_is_refused_with_its_line(line: int | None, source: str) -> None:
    # V1
    result = compile(source, limits=Limits(max_script_octets=2_000_000 if line else 262_144))
    assert result.script is None and result.errors
    assert result.errors[0].line == (line or 1)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b'require "fileinto"; fileinto "\xff";', "UTF-8"),
        (b'keep;\r\nredirect "a\0@b.example";\r\n', "NUL"),
        (b"\xef\xbb\xbfkeep;\r\n", "byte order mark"),
        (b"keep;\r\nstop;\n", "CRLF and LF"),
    ],
    ids=["utf-8", "nul", "bom", "mixed"],
)
def test_what_is_no_clean_text_is_refused_at_upload(source: bytes, words: str) -> None:
    # V16
    (problem, *_) = check_upload(source, compile(source))
    assert words in problem.message


class Asked:
    """Counts the questions."""

    def __init__(self) -> None:
        self.count = 0

    def seen(self, id_: str, ttl_s: int) -> bool:
        self.count += 1
        return False

    def mark(self, id_: str, ttl_s: int) -> None: ...

    def lookup(self, list_: str, value: str) -> bool:
        self.count += 1
        return False


@pytest.mark.parametrize(
    ("source", "most"),
    [
        ('require ["duplicate", "variables", "foreverypart"]; foreverypart { foreverypart {'
         ' set "n" "${n}x"; if duplicate :uniqueid "${n}" { stop; } } set "n" "${n}y";'
         ' if duplicate :uniqueid "${n}" { stop; } if duplicate :uniqueid "${n}${n}" { stop; } }', 100),
        ('require ["extlists", "foreverypart", "mime"]; foreverypart {'
         ' if header :mime :anychild :list "content-type" [":addrbook:default", "tag:x:y"] { stop; } }', 100),
    ],
    ids=["ids", "lists"],
)  # fmt: skip
def test_questions_to_a_database_are_few(source: str, most: int) -> None:
    asked = Asked()
    context = context_of(MULTIPART, duplicates=asked, ext_lists=asked, limits=Limits(max_steps=5_000))
    outcome = run_in(source, context)
    assert not outcome.ok and outcome.implicit_keep and asked.count <= most
