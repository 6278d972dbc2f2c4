"""Extensions "mailbox", "mboxmetadata", "servermetadata", "mailboxid", "special-use".

Standards: RFC 5490, RFC 9042, RFC 8579.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from mailstack.sieve.actions import FileInto
from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands import fcc
from mailstack.sieve.commands.fileinto import wrong_name
from mailstack.sieve.context import STEPS_PER_LOOK_UP, Context
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
    TagLike,
)
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode

#: RFC 6154 section 2; extensions may add some.
_SPECIAL_USE = re.compile(r"\\[A-Za-z][A-Za-z0-9-]*\Z")
_MAX_ENTRY_OCTETS = 255


# -- mailbox ------------------------------------------------------------------------


def _check_mailboxes(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("mailbox_names"):
        wrong = wrong_name(item.value)
        if wrong is not None:
            vctx.warning(item.pos, f"{node.name}: {wrong}")


def _mailboxexists(ctx: Context, args: Args, block: Block | None) -> bool:
    return all(_is_there(ctx, name) for name in args.strings("mailbox_names"))


def _is_there(ctx: Context, name: str) -> bool:
    ctx.charge(STEPS_PER_LOOK_UP)
    return ctx.mailbox is not None and wrong_name(name) is None and ctx.mailbox.exists(name)


def _create(ctx: Context, action: object, value: object) -> object:
    return replace(action, create=True) if isinstance(action, FileInto) else action


MAILBOX = Extension(
    "mailbox",
    tests=[
        CommandDef(
            "mailboxexists",
            "test",
            [Arg("mailbox_names", STRING_LIST)],
            validate=_check_mailboxes,
            run=_mailboxexists,
        )
    ],
    tags={"fileinto": [Tag(":create", modify=_create)], "vacation": [fcc.CREATE], "notify": [fcc.CREATE]},
)


# -- annotations ----------------------------------------------------------------------


def wrong_entry(name: str) -> str | None:
    """Why an annotation cannot have that name; None when it can (RFC 5464 section 3.2)."""
    if not name.startswith("/"):
        return "the name of an annotation begins with '/'"
    if name.endswith("/") or "//" in name:
        return "the name of an annotation has no empty parts"
    if any(c in "*%" or not " " <= c <= "~" for c in name) or len(name) > _MAX_ENTRY_OCTETS:
        return "the name of an annotation is plain ASCII without '*' and '%'"
    if not name.lower().startswith(("/private/", "/shared/")):
        return "the name of an annotation begins with '/private/' or '/shared/'"
    return None


def _check_entries(node: CommandNode, vctx: CheckContext) -> None:
    name = "annotation_names" if node.get("annotation_names") is not None else "annotation_name"
    for item in node.constants(name):
        wrong = wrong_entry(item.value)
        if wrong is not None:
            vctx.warning(item.pos, f"{node.name}: {wrong}; it is never there")


def _get(ctx: Context, mailbox: str, entry: str) -> str | None:
    ctx.charge(STEPS_PER_LOOK_UP)
    return None if ctx.mailbox is None else ctx.mailbox.get_metadata(mailbox, entry)


def _metadata(ctx: Context, args: Args, block: Block | None) -> bool:
    mailbox = args.string("mailbox") if "mailbox" in args else ""
    entry = args.string("annotation_name")
    value = None if wrong_entry(entry) else _get(ctx, mailbox, entry)
    return value is not None and args.match.match([value], args.strings("key_list"))


def _metadataexists(ctx: Context, args: Args, block: Block | None) -> bool:
    mailbox = args.string("mailbox") if "mailbox" in args else ""
    entries = args.strings("annotation_names")
    return all(wrong_entry(entry) is None and _get(ctx, mailbox, entry) is not None for entry in entries)


_ANNOTATION = [Arg("annotation_name", STRING), Arg("key_list", STRING_LIST)]
_MATCHING: list[TagLike] = [MATCH_TAGS, COMPARATOR_TAG]


def _pair(prefix: str, before: Sequence[Arg]) -> list[CommandDef]:
    """The test of a value and the one of existence."""
    return [
        CommandDef(
            prefix, "test", [*before, *_ANNOTATION], _MATCHING, validate=_check_entries, run=_metadata
        ),
        CommandDef(
            f"{prefix}exists",
            "test",
            [*before, Arg("annotation_names", STRING_LIST)],
            validate=_check_entries,
            run=_metadataexists,
        ),
    ]


MBOXMETADATA = Extension("mboxmetadata", tests=_pair("metadata", [Arg("mailbox", STRING)]))
SERVERMETADATA = Extension("servermetadata", tests=_pair("servermetadata", []))


# -- special use ----------------------------------------------------------------------


def _wrong_use(text: str) -> str:
    return f"'{text[:60]}' is no special-use attribute, such as \\Sent"


def _check_uses(node: CommandNode, vctx: CheckContext) -> None:
    mailbox = node.get("mailbox")
    for item in mailbox.strings if mailbox is not None and mailbox.is_constant else ():
        wrong = wrong_name(item.value)
        if wrong is not None:
            vctx.warning(item.pos, f"{node.name}: {wrong}")
    for item in node.constants("special_use_attrs"):
        if _SPECIAL_USE.match(item.value) is None:
            vctx.error(item.pos, f"{node.name}: {_wrong_use(item.value)}")


def _specialuse_exists(ctx: Context, args: Args, block: Block | None) -> bool:
    name, mailbox = args["mailbox"], ctx.mailbox
    if mailbox is None:
        return False
    if isinstance(name, str) and not mailbox.exists(name):
        return False
    have = {use.lower() for use in mailbox.special_use(name if isinstance(name, str) else "")}
    return all(use.lower() in have for use in args.strings("special_use_attrs"))


def _specialuse(ctx: Context, action: object, value: object) -> object:
    use = str(value)
    if _SPECIAL_USE.match(use) is None:
        raise SieveError(_wrong_use(use))
    return replace(action, special_use=use) if isinstance(action, FileInto) else action


def _check_fileinto_use(node: CommandNode, vctx: CheckContext) -> None:
    use = node.get("specialuse")
    if use is not None and use.is_constant and _SPECIAL_USE.match(use.text) is None:
        vctx.error(use.pos, f"fileinto: {_wrong_use(use.text)}")


SPECIAL_USE = Extension(
    "special-use",
    tests=[
        CommandDef(
            "specialuse_exists",
            "test",
            [Arg("mailbox", STRING, optional=True), Arg("special_use_attrs", STRING_LIST)],
            validate=_check_uses,
            run=_specialuse_exists,
        )
    ],
    tags={
        "fileinto": [Tag(":specialuse", value=STRING, modify=_specialuse, validate=_check_fileinto_use)],
        "vacation": [fcc.SPECIALUSE],
        "notify": [fcc.SPECIALUSE],
    },
)


# -- mailbox ids ----------------------------------------------------------------------


def _mailboxidexists(ctx: Context, args: Args, block: Block | None) -> bool:
    return all(_by_id(ctx, id_) is not None for id_ in args.strings("mailbox_ids"))


def _by_id(ctx: Context, id_: str) -> str | None:
    # Embedders whose mailboxes have no ids do not offer the look-up.
    ctx.charge(STEPS_PER_LOOK_UP)
    look_up = getattr(ctx.mailbox, "by_id", None)
    found = None if look_up is None else look_up(id_)
    return found if isinstance(found, str) else None


def _mailboxid(ctx: Context, action: object, value: object) -> object:
    if not isinstance(action, FileInto):
        return action
    # RFC 9042 section 3: where there is no such mailbox the name counts, as without the tag.
    found = _by_id(ctx, str(value))
    return action if found is None else replace(action, mailbox=found, special_use="", create=False)


MAILBOXID = Extension(
    "mailboxid",
    tests=[CommandDef("mailboxidexists", "test", [Arg("mailbox_ids", STRING_LIST)], run=_mailboxidexists)],
    tags={"fileinto": [Tag(":mailboxid", value=STRING, modify=_mailboxid)]},
)
