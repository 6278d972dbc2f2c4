"""Extensions "envelope-dsn" and "redirect-dsn": delivery reports (RFC 6009)."""

from __future__ import annotations

from dataclasses import replace

from mailstack.sieve.actions import Redirect
from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import STRING, Extension, Tag
from mailstack.sieve.syntax import CommandNode

_EVENTS = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_RET = frozenset({"FULL", "HDRS"})


def _wrong_notify(text: str) -> str | None:
    """RFC 3461 section 4.1: NEVER alone, or events separated by commas."""
    words = text.upper().split(",")
    if words == ["NEVER"] or (set(words) <= _EVENTS and len(set(words)) == len(words)):
        return None
    return f"'{text[:60]}' is not a NOTIFY value; want NEVER, or some of SUCCESS,FAILURE,DELAY"


def _wrong_ret(text: str) -> str | None:
    return None if text.upper() in _RET else f"'{text[:60]}' is not a RET value; want FULL or HDRS"


def _check_notify(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("notify"):
        if wrong := _wrong_notify(item.value):
            vctx.error(item.pos, f"redirect: {wrong}")


def _check_ret(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("ret"):
        if wrong := _wrong_ret(item.value):
            vctx.error(item.pos, f"redirect: {wrong}")


def _notify(ctx: Context, action: object, value: object) -> object:
    text = str(value)
    if wrong := _wrong_notify(text):
        raise SieveError(f"redirect: {wrong}")
    return replace(action, notify=text.upper()) if isinstance(action, Redirect) else action


def _ret(ctx: Context, action: object, value: object) -> object:
    text = str(value)
    if wrong := _wrong_ret(text):
        raise SieveError(f"redirect: {wrong}")
    return replace(action, ret=text.upper()) if isinstance(action, Redirect) else action


def _texts(*values: str | None) -> tuple[str, ...]:
    return tuple(value.strip() for value in values if value and value.strip())


REDIRECT_DSN = Extension(
    "redirect-dsn",
    tags={
        "redirect": [
            Tag(":notify", value=STRING, modify=_notify, validate=_check_notify),
            Tag(":ret", value=STRING, modify=_ret, validate=_check_ret),
        ]
    },
)
ENVELOPE_DSN = Extension(
    "envelope-dsn",
    implies=["envelope"],
    envelope_parts={
        # RFC 6009 section 2: each event by itself, so that they can be counted.
        "notify": lambda ctx: _texts(*(ctx.envelope.notify or "").upper().split(",")),
        "orcpt": lambda ctx: _texts(ctx.envelope.orcpt),
        "ret": lambda ctx: _texts(ctx.envelope.ret),
        "envid": lambda ctx: _texts(ctx.envelope.envid),
    },
)
