"""Short ways to compile and run scripts in tests."""

from __future__ import annotations

from mailstack.sieve import Context, Envelope, Message, Registry, RunOutcome, Script, compile, run  # noqa: A004

MAIL = b"""\
Received: from a.example by b.example; Mon, 1 Jan 2024 00:00:00 +0000\r
From: Tim Example <tim@example.com>\r
To: nico@frop.example.net, "Harry" <harry@de.example.com>\r
Subject: Make Money Fast!\r
X-Caffeine: C8H10N4O2\r
X-Empty:\r
\r
Body.\r
"""


def script_of(source: bytes | str, **options: object) -> Script:
    result = compile(source, **options)  # type: ignore[arg-type]
    assert result.script is not None, [str(error) for error in result.errors]
    return result.script


def errors_of(source: bytes | str, **options: object) -> list[str]:
    """`line:column message` of every error."""
    result = compile(source, **options)  # type: ignore[arg-type]
    assert (result.script is None) == bool(result.errors)
    return [f"{error.line}:{error.column} {error.message}" for error in result.errors]


def context_of(
    mail: bytes = MAIL,
    *,
    from_: str | None = "tim@example.com",
    to: str | None = "me@example.net",
    **options: object,
) -> Context:
    return Context(Message.from_bytes(mail), Envelope(from_, to), **options)  # type: ignore[arg-type]


def run_in(source: str, context: Context, registry: Registry | None = None, **options: object) -> RunOutcome:
    return run(script_of(source, registry=registry, **options), context)


def actions_of(source: str, mail: bytes = MAIL, **options: object) -> list[dict[str, object]]:
    """What a script decides, as JSON values; the run must end well."""
    context = context_of(mail, **options)  # type: ignore[arg-type]
    outcome = run_in(source, context)
    assert outcome.ok, outcome.errors
    return context.result.as_json()


def names_of(source: str, mail: bytes = MAIL, **options: object) -> list[str]:
    """Names of the actions; the implicit keep is "implicit"."""
    return [
        "implicit" if action.get("implicit") else str(action["action"])
        for action in actions_of(source, mail, **options)
    ]


def truth(test: str, mail: bytes = MAIL, *, require: str = "", **options: object) -> bool:
    """Whether a test is true: its script discards when it is."""
    head = f"require [{require}];\n" if require else ""
    return names_of(f"{head}if {test} {{ discard; }}", mail, **options) == ["discard"]
