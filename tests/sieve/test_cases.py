"""Golden groups in tests/cases/sieve: NAME.sieve over NAME.msg gives NAME.want."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailstack.sieve import Context, Envelope, Message, compile, run  # noqa: A004

CASES = sorted((Path(__file__).parent.parent / "cases" / "sieve").glob("*.want"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    want = json.loads(path.read_text("utf-8"))
    result = compile(path.with_suffix(".sieve").read_bytes())
    assert [f"{error.line}:{error.column} {error.message}" for error in result.errors] == want.get(
        "errors", []
    )
    if result.script is None:
        return
    context = Context(
        Message.from_bytes(path.with_suffix(".msg").read_bytes()),
        Envelope(want.get("from", "sender@example.org"), want.get("to", "me@example.net")),
    )
    outcome = run(result.script, context)
    assert context.result.as_json() == want["actions"]
    errors = [f"{error.line}:{error.column} {error.message}" for error in outcome.errors]
    assert errors == want.get("run_errors", [])
