"""Any octets through the Sieve compiler, and what compiles through the interpreter.

Invariant: no exception; at most 25 errors, each with a place in the source; a script if
and only if there is no error.  MAILSTACK_FUZZ_EXAMPLES raises the number of examples.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.sieve import Context, Envelope, Message, Registry, check_upload, compile, run  # noqa: A004
from tests.kit.fuzzing import FUZZ
from tests.sieve.strategies import ENVELOPES, MESSAGES, SCRIPTS, SOURCES
from tests.sieve.strategies_all import EVERYTHING, WITH_PARTS, Everything

REGRESSIONS = sorted((Path(__file__).parent / "regressions" / "sieve").glob("*"))
REGISTRY = Registry.standard()


def check(source: bytes | str) -> None:
    result = compile(source, registry=REGISTRY)
    assert (result.script is None) == bool(result.errors) and len(result.errors) <= 25
    lines = (source.count(b"\n") if isinstance(source, bytes) else source.count("\n")) + 1
    for error in (*result.errors, *result.warnings):
        assert 1 <= error.line <= lines and error.column >= 1 and error.message
    if isinstance(source, bytes):
        check_upload(source, result)
    if result.script is not None:
        run(
            result.script, Context(Message.from_bytes(b"Subject: a\r\n\r\nb"), Envelope("a@b.example", "c@d"))
        )


@FUZZ
@given(SOURCES)
def test_any_source_compiles_or_says_why_not(source: bytes | str) -> None:
    check(source)


@FUZZ
@given(SCRIPTS, MESSAGES, ENVELOPES)
def test_any_message_can_be_filtered(source: str, mail: bytes, sender: str | None) -> None:
    script = compile(source, registry=REGISTRY).script
    if script is None:
        return
    context = Context(Message.from_bytes(mail), Envelope(sender, sender))
    first = run(script, context)
    again = Context(Message.from_bytes(mail), Envelope(sender, sender))
    assert run(script, again).ok == first.ok and again.result.actions == context.result.actions


@FUZZ
@given(EVERYTHING, st.one_of(WITH_PARTS, MESSAGES), st.integers(0, 400), st.text(max_size=3))
def test_any_extension_takes_any_message(source: str, mail: bytes, at: int, put: str) -> None:
    around = Everything()
    for text in (source, source[:at] + put + source[at:]):
        script = compile(text, registry=REGISTRY, storage=around).script
        if script is None:
            continue
        context = Context(
            Message.from_bytes(mail),
            Envelope("a@b.example", "c@d.example"),
            storage=around,
            mailbox=around,
            ext_lists=around,
        )
        outcome = run(script, context)
        assert outcome.ok or outcome.implicit_keep
        # What a command may raise is a mistake of the script, never one of ours.
        assert not any("command failed" in error.message for error in outcome.errors), outcome.errors


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.name)
def test_what_once_failed(path: Path) -> None:
    check(path.read_bytes())
