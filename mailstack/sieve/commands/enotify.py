"""Extension "enotify": `notify` and its tests, with the method mailto (RFC 5435, RFC 5436).

Settings, as Pigeonhole names them: `sieve_notify_mailto_envelope_from` ("sender", "recipient",
"orig_recipient", "user_email" or an address in angle brackets) and `sieve_user_email`.
"""

from __future__ import annotations

import re

from mailstack.sieve.actions import Notify
from mailstack.sieve.addresses import parse_script_address
from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.fcc import copy_of
from mailstack.sieve.commands.redirect import envelope_from
from mailstack.sieve.commands.variables import MODIFIED, modifier_tag
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import (
    COMPARATOR_TAG,
    MATCH_TAGS,
    STRING,
    STRING_LIST,
    Arg,
    CommandDef,
    Extension,
    Tag,
)
from mailstack.sieve.notices import WrongUri, read
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode

#: RFC 5435 section 3.5: name, "=", value without NUL, CR and LF.
_OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*=[^\0\r\n]*\Z")
_IMPORTANCE = ("1", "2", "3")


def _wrong_uri(uri: str) -> str | None:
    try:
        read(uri)
    except WrongUri as error:
        return f"'{uri[:80]}' cannot be notified: {error}"
    return None


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("from"):
        if parse_script_address(item.value) is None:
            vctx.error(item.pos, f"notify: '{item.value[:80]}' is not an e-mail address")
    for item in node.constants("importance"):
        if item.value not in _IMPORTANCE:
            vctx.error(item.pos, f"notify: the importance is 1, 2 or 3, not '{item.value[:20]}'")
    for item in node.constants("options"):
        if _OPTION.match(item.value) is None:
            vctx.error(item.pos, f"notify: '{item.value[:60]}' is not an option; want \"name=value\"")
    for item in node.constants("method"):
        wrong = _wrong_uri(item.value)
        if wrong is not None:
            vctx.error(item.pos, f"notify: {wrong}")


def _optional(args: Args, name: str) -> str | None:
    value = args[name]
    return value if isinstance(value, str) else None


def _notify(ctx: Context, args: Args, block: Block | None) -> None:
    method, importance = args.string("method"), _optional(args, "importance")
    wrong = _wrong_uri(method)
    if wrong is not None:
        raise SieveError(f"notify: {wrong}")
    if importance is not None and importance not in _IMPORTANCE:
        raise SieveError(f"notify: the importance is 1, 2 or 3, not '{importance[:20]}'")
    from_ = _optional(args, "from")
    if from_ is not None and parse_script_address(from_) is None:
        raise SieveError(f"notify: '{from_[:80]}' is not an e-mail address")
    options = args["options"]
    owner = ctx.settings.get("sieve_user_email")
    action = Notify(
        method,
        from_=from_,
        importance=importance,
        message=_optional(args, "message"),
        options=options if isinstance(options, tuple) else (),
        envelope_from=envelope_from(ctx, "sieve_notify_mailto_envelope_from"),
        owner=owner if isinstance(owner, str) and owner else None,
        fcc=copy_of(args),
    )
    ctx.add_action(action)


def _valid(ctx: Context, args: Args, block: Block | None) -> bool:
    return all(_wrong_uri(uri) is None for uri in args.strings("notification_uris"))


def _capability(ctx: Context, args: Args, block: Block | None) -> bool:
    # RFC 5436 section 2.6: nobody knows whether somebody reads mail right now.
    if args.string("capability").lower() != "online" or _wrong_uri(args.string("notification_uri")):
        return False
    return args.match.match(["maybe"], args.strings("key_list"))


ENOTIFY = Extension(
    "enotify",
    commands=[
        CommandDef(
            "notify",
            "action",
            [Arg("method", STRING)],
            [
                Tag(":from", value=STRING),
                Tag(":importance", value=STRING),
                Tag(":options", value=STRING_LIST),
                Tag(":message", value=STRING),
            ],
            validate=_validate,
            run=_notify,
        )
    ],
    tests=[
        CommandDef("valid_notify_method", "test", [Arg("notification_uris", STRING_LIST)], run=_valid),
        CommandDef(
            "notify_method_capability",
            "test",
            [Arg("notification_uri", STRING), Arg("capability", STRING), Arg("key_list", STRING_LIST)],
            [MATCH_TAGS, COMPARATOR_TAG],
            run=_capability,
        ),
    ],
    tags={name: [modifier_tag("encodeurl")] for name in MODIFIED},
)
