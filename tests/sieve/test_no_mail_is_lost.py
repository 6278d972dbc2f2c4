"""The promise of the engine: whatever the script, the message is somewhere or was discarded on purpose."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstack.sieve import (
    Context,
    Discard,
    Envelope,
    Extension,
    FileInto,
    Keep,
    Limits,
    Message,
    Redirect,
    Registry,
    Tag,
    Variables,
    compile,  # noqa: A004
    execute,
    run,
)
from tests.sieve.strategies import ENVELOPES, MESSAGES, SCRIPTS
from tests.sieve.strategies_all import EVERYTHING, WITH_PARTS, Everything

TAKES = (Keep, FileInto, Redirect, Discard)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(SCRIPTS, MESSAGES, ENVELOPES, ENVELOPES, st.sets(st.integers(0, 5)), st.integers(0, 60))
def test_a_message_is_kept_filed_sent_or_discarded_on_purpose(
    source: str, mail: bytes, sender: str | None, recipient: str | None, broken: set[int], max_steps: int
) -> None:
    result = compile(source)
    if result.script is None:
        assert all(("mailbox" in error.message) for error in result.errors), result.errors
        return
    context = Context(
        Message.from_bytes(mail), Envelope(sender, recipient), limits=Limits(max_steps=max_steps * 3)
    )
    outcome = run(result.script, context)
    decided = context.result.actions
    assert outcome.implicit_keep or any(
        isinstance(action, TAKES) and action.cancels_implicit_keep for action in decided
    )
    assert outcome.ok or outcome.implicit_keep
    assert len(decided) <= 32 and sum(isinstance(action, Redirect) for action in decided) <= 4
    places = Places(broken)
    done = execute(context.result, context.message, context.envelope, places, places)
    if done.ok:
        on_purpose = any(isinstance(action, Discard) for action in decided) and outcome.ok
        assert places.got or on_purpose
    else:
        assert not places.got


LIMITS = Limits(max_steps=20_000, cpu_time=60.0)


@settings(derandomize=True, max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVERYTHING, st.one_of(WITH_PARTS, MESSAGES), ENVELOPES, st.sets(st.integers(0, 6)))
def test_no_extension_loses_a_message_or_goes_beyond_the_limits(
    source: str, mail: bytes, sender: str | None, broken: set[int]
) -> None:
    around = Everything()
    script = compile(source, storage=around, limits=LIMITS).script
    if script is None:
        return
    context = Context(
        Message.from_bytes(mail),
        Envelope(sender, "me@example.net"),
        storage=around,
        mailbox=around,
        duplicates=around,
        ext_lists=around,
        limits=LIMITS,
        now=1.7e9,
        environment={"domain": "example.net"},
    )
    outcome = run(script, context)
    decided = context.result.actions
    assert outcome.ok or (outcome.implicit_keep and not decided and context.message.to_bytes() == mail)
    assert outcome.implicit_keep or any(action.cancels_implicit_keep for action in decided)
    names = [action.name for action in decided]
    assert len(decided) <= 32 and names.count("redirect") <= 4 and names.count("notify") <= 5
    assert not context.result.conflicts() and context.message.rewrites <= LIMITS.max_rewrites
    assert context.message.size <= 2 * len(mail) + LIMITS.max_added_octets + 10_000
    assert all(len(value.encode("utf-8", "surrogateescape")) <= 4_096 for value in _values(context))
    places = Places(broken)
    done = execute(context.result, context.message, context.envelope, places, places)
    gone = [sent for sent in done.sent if sent.action in ("redirect", "reject")]
    if done.ok:
        assert done.filed or gone or (outcome.ok and "discard" in names)
    else:
        assert not done.filed and not gone


def _values(context: Context) -> list[str]:
    assert isinstance(context.globals, Variables)
    return list(context.globals.values.values())


class Places:
    """Store and sender; the calls with the numbers given fail."""

    def __init__(self, broken: set[int]) -> None:
        self.broken = broken
        self.calls = 0
        self.got: list[bytes] = []

    def _take(self, message: bytes) -> None:
        self.calls += 1
        if self.calls - 1 in self.broken:
            raise OSError("broken")
        self.got.append(message)

    def deliver(self, mailbox: str, message: bytes, flags: tuple[str, ...], create: bool) -> None:
        self._take(message)

    def send(self, envelope_from: str, recipients: list[str], message: bytes) -> None:
        self._take(message)


def test_a_tag_that_gives_nonsense_is_an_error_and_the_message_is_kept() -> None:
    registry = Registry.standard()
    registry.register(Extension("x", tags={"keep": [Tag(":x", modify=lambda ctx, action, value: None)]}))
    script = compile('require "x"; discard; keep :x;', registry=registry).script
    assert script is not None
    outcome = run(script, Context())
    assert not outcome.ok and outcome.implicit_keep
