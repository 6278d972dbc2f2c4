"""Extensions "vacation" and "vacation-seconds": automatic answers (RFC 5230, RFC 6131).

Settings, as Pigeonhole names them: `sieve_vacation_min_period`, `..._max_period`,
`..._default_period` (such as "1d"), `..._default_subject`, `..._default_subject_template`,
`..._max_subject_codepoints`, `..._dont_check_recipient`, `..._use_original_recipient`,
`..._send_from_recipient`, `..._to_header_ignore_envelope`; and `sieve_user_email`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mailstack.sieve.actions import Vacation, VacationPolicy
from mailstack.sieve.addresses import parse_script_address
from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.fcc import copy_of
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import NUMBER, STRING, STRING_LIST, Arg, CommandDef, Extension, Tag
from mailstack.sieve.program import Args, Block
from mailstack.sieve.replies import addresses_of
from mailstack.sieve.syntax import CommandNode

DAY_S = 86_400
_PERIOD = re.compile(r"([0-9]{1,9})([smhdw]?)\Z")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": DAY_S, "w": 7 * DAY_S}
_DEFAULT_S, _MIN_S, _MAX_S = 7 * DAY_S, DAY_S, 60 * DAY_S
#: RFC 5230 section 4.4 wants a MIME entity; this is how one begins.
_MIME_START = re.compile(r"content-[a-z-]+[ \t]*:", re.IGNORECASE)


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("from"):
        if parse_script_address(item.value) is None:
            vctx.error(item.pos, f"vacation: '{item.value[:80]}' is not an e-mail address")
    days = node.get("days")
    if days is not None and days.number == 0:
        vctx.warning(days.pos, "vacation: an answer is given at most once a day")
    reason = node.get("reason")
    if node.get("mime") is None or reason is None or not reason.is_constant:
        return
    text = reason.text
    if not re.match(r"\r?\n", text) and _MIME_START.search(text) is None:
        vctx.warning(reason.pos, "vacation: with :mime the text begins with MIME fields such as Content-Type")


def _seconds(settings: Mapping[str, object], name: str, default: int) -> int:
    value = settings.get(f"sieve_vacation_{name}_period")
    found = _PERIOD.match(str(value).strip().lower()) if isinstance(value, str | int) else None
    return int(found[1]) * _UNIT_S[found[2]] if found is not None else default


def _text(settings: Mapping[str, object], name: str) -> str:
    value = settings.get(name)
    return value.strip() if isinstance(value, str) else ""


def _is_on(settings: Mapping[str, object], name: str) -> bool:
    return _text(settings, f"sieve_vacation_{name}").lower() in ("yes", "true", "y", "1", "on")


def _policy(ctx: Context, wanted_s: int | None) -> VacationPolicy:
    settings = ctx.settings
    least, most = _seconds(settings, "min", _MIN_S), _seconds(settings, "max", _MAX_S)
    period_s = _seconds(settings, "default", _DEFAULT_S) if wanted_s is None else wanted_s
    if most:
        period_s = min(period_s, most)
    characters = _text(settings, "sieve_vacation_max_subject_codepoints")
    return VacationPolicy(
        owner=_text(settings, "sieve_user_email"),
        default_subject=_text(settings, "sieve_vacation_default_subject"),
        subject_template=_text(settings, "sieve_vacation_default_subject_template"),
        max_subject_characters=int(characters) if characters.isdecimal() and int(characters) else 256,
        period_s=max(period_s, least),
        checks_recipient=not _is_on(settings, "dont_check_recipient"),
        uses_original_recipient=_is_on(settings, "use_original_recipient"),
        sends_from_recipient=_is_on(settings, "send_from_recipient"),
        ignores_envelope_sender=_is_on(settings, "to_header_ignore_envelope"),
    )


def _optional(args: Args, name: str) -> str | None:
    value = args.get(name)
    return value if isinstance(value, str) else None


def _number(args: Args, name: str) -> int | None:
    value = args.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _run(ctx: Context, args: Args, block: Block | None) -> None:
    from_ = _optional(args, "from")
    if from_ is not None and parse_script_address(from_) is None:
        raise SieveError(f"vacation: '{from_[:80]}' is not an e-mail address")
    days, seconds = _number(args, "days"), _number(args, "seconds")
    wanted_s = seconds if seconds is not None else None if days is None else min(days, 10_000) * DAY_S
    addresses = args["addresses"]
    action = Vacation(
        args.string("reason"),
        subject=_optional(args, "subject"),
        from_=from_,
        addresses=tuple(addresses_of(addresses)) if isinstance(addresses, tuple) else (),
        mime=bool(args["mime"]),
        handle=_optional(args, "handle"),
        days=days,
        seconds=seconds,
        written=repr([args.source(name) for name in ("reason", "subject", "from", "mime")]),
        fcc=copy_of(args),
        policy=_policy(ctx, wanted_s),
    )
    ctx.add_action(action)


_VACATION = CommandDef(
    "vacation",
    "action",
    [Arg("reason", STRING)],
    [
        Tag(":days", value=NUMBER, group="period"),
        Tag(":subject", value=STRING),
        Tag(":from", value=STRING),
        Tag(":addresses", value=STRING_LIST),
        Tag(":mime"),
        Tag(":handle", value=STRING),
    ],
    validate=_validate,
    run=_run,
)
VACATION = Extension("vacation", commands=[_VACATION])
VACATION_SECONDS = Extension(
    "vacation-seconds",
    implies=["vacation"],
    tags={"vacation": [Tag(":seconds", value=NUMBER, group="period")]},
)
