"""Extensions "spamtest", "spamtestplus" and "virustest" (RFC 5235).

What the filter found is in the context (`spam`, `virus`).  An embedder may have it read from a
header field instead, by settings as Pigeonhole names them: `sieve_spamtest_status_header` (a
field name, and after a colon a regular expression whose group is the value), `..._status_type`
("score", "strlen" or "text"), `..._max_value`, `..._max_header`, `..._text_valueN`; the same
with `sieve_virustest_`.
"""

from __future__ import annotations

import re
from functools import partial

from mailstack.sieve.commands.regex import first_group
from mailstack.sieve.context import Context
from mailstack.sieve.definition import COMPARATOR_TAG, MATCH_TAGS, STRING, Arg, CommandDef, Extension, Tag
from mailstack.sieve.program import Args, Block

_NUMBER = re.compile(r"\s*(-?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}))")


def _setting(ctx: Context, test: str, name: str) -> str:
    value = ctx.settings.get(f"sieve_{test}_{name}")
    return value.strip() if isinstance(value, str) else ""


def _field(ctx: Context, spec: str) -> str | None:
    """What "Name" or "Name:regex" finds in the message."""
    name, colon, pattern = spec.partition(":")
    values = ctx.message.header_values(name.strip())
    if not values:
        return None
    return first_group(pattern.strip(), values[0]) if colon else values[0]


def _number(text: str | None) -> float | None:
    found = _NUMBER.match(text or "")
    return float(found[1]) if found is not None else None


def _share(ctx: Context, test: str, top: int) -> float | None:
    """How far up the scale the message is, 0 to 1; None: not tested."""
    spec = _setting(ctx, test, "status_header")
    if not spec:
        return ctx.spam if test == "spamtest" else ctx.virus
    value = _field(ctx, spec)
    if value is None:
        return None
    kind = _setting(ctx, test, "status_type") or "score"
    if kind == "text":
        return _text_share(ctx, test, top, value)
    score = float(len(value.strip())) if kind == "strlen" else _number(value)
    header = _setting(ctx, test, "max_header")
    most = _number(_field(ctx, header)) if header else _number(_setting(ctx, test, "max_value"))
    if score is None or most is None or most <= 0:
        return None
    return min(max(score / most, 0.0), 1.0)


def _text_share(ctx: Context, test: str, top: int, value: str) -> float | None:
    for step in range(top + 1):
        if value.strip() == _setting(ctx, test, f"text_value{step}") != "":
            return None if step == 0 else (step - 1) / (top - 1)
    return None


def _run(ctx: Context, args: Args, block: Block | None, *, test: str, top: int) -> bool:
    share = _share(ctx, test, top)
    if share is None:
        if args.match.match_type == ":count":
            # RFC 5235 section 3.1: the count says whether it was tested.
            return args.match.match([], [args.string("wanted")])
        text = "0"
    elif args.get("percent"):
        text = str(round(share * 100))
    else:
        # RFC 5235 sections 2.1 and 3: 0 is "not tested", the scale begins at 1.
        text = str(int(1 + (top - 1) * share + 1e-9))
    return args.match.match([text], [args.string("wanted")])


def _test(name: str, top: int) -> CommandDef:
    return CommandDef(
        name,
        "test",
        [Arg("wanted", STRING)],
        [MATCH_TAGS, COMPARATOR_TAG],
        run=partial(_run, test=name, top=top),
    )


SPAMTEST = Extension("spamtest", tests=[_test("spamtest", 10)])
SPAMTESTPLUS = Extension("spamtestplus", implies=["spamtest"], tags={"spamtest": [Tag(":percent")]})
VIRUSTEST = Extension("virustest", tests=[_test("virustest", 5)])
