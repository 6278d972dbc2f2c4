"""Extensions "replace" and "enclose": other words in the place of a part, or around the message.

Standards: RFC 5703 sections 5 and 6.
"""

from __future__ import annotations

import hashlib

from mailstack.mime import generate
from mailstack.mime.date import format_header
from mailstack.mime.header import Headers, find_end
from mailstack.mime.lines import normalise
from mailstack.sieve.addresses import parse_script_address
from mailstack.sieve.check import CheckContext
from mailstack.sieve.compose import text_part
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import STRING, STRING_LIST, Arg, CommandDef, Extension, Tag
from mailstack.sieve.message import Message, is_field_name
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode

#: Fields that describe a body; with another body they are gone.
_CONTENT = (
    "content-type", "content-transfer-encoding", "content-disposition", "content-id",
    "content-description", "content-language", "content-location", "content-md5", "mime-version",
)  # fmt: skip
#: Fields of an enclosing message that are its own, whatever `:headers` names.
_OWN = frozenset({*_CONTENT, "subject"})


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    for item in node.constants("from"):
        if parse_script_address(item.value) is None:
            vctx.error(item.pos, f"{node.name}: '{item.value[:80]}' is not an e-mail address")
    for item in node.constants("headers"):
        if not is_field_name(item.value):
            vctx.error(item.pos, f"{node.name}: '{item.value[:60]}' is not the name of a header field")


def _entity(text: str, *, is_mime: bool) -> tuple[bytes, bytes]:
    """Header and body, without the empty line between them."""
    octets = normalise(text.encode("utf-8", "surrogateescape")) if is_mime else text_part(text)
    headers, body_at = Headers.parse(octets), find_end(octets)[1]
    kept = b"".join(headers.raw(field) for field in headers.fields if field.name.startswith(b"content-"))
    return kept or b"Content-Type: text/plain\r\n", octets[body_at:]


def _replace(ctx: Context, args: Args, block: Block | None) -> None:
    header, body = _entity(args.string("replacement"), is_mime=bool(args["mime"]))
    part, message = ctx.part, ctx.message
    ctx.charge_edit(len(header) + len(body))
    if part is not None and not part.is_root:
        if not message.holds(part):
            raise SieveError("replace: the part is no longer there; it was replaced or enclosed before")
        message.replace_part(part, header + b"\r\n" + body)
        return
    for name, tag in (("Subject", "subject"), ("From", "from")):
        value = args[tag]
        if isinstance(value, str):
            if tag == "from" and parse_script_address(value) is None:
                raise SieveError(f"replace: '{value[:80]}' is not an e-mail address")
            _put(message, name, value)
    _take_content_fields(message, header)
    message.replace_body(body)


def _put(message: Message, name: str, value: str) -> None:
    """Another value; the first one goes into Original-NAME (RFC 5703 section 5)."""
    for old in message.header_values(name)[:1]:
        message.add_header(f"Original-{name}", old)
    message.delete_header(name)
    message.add_header(name, value)


def _take_content_fields(message: Message, header: bytes) -> None:
    for name in _CONTENT:
        message.delete_header(name)
    message.add_header("MIME-Version", "1.0", last=True)
    headers = Headers.parse(header)
    for field in headers.fields:
        value = headers.value(field).decode("utf-8", "replace")
        message.add_header(field.name.decode("ascii").title(), value, last=True)


def _boundary(octets: bytes, text: str) -> bytes:
    """One that stands nowhere in the message: its sender must not be able to add parts."""
    boundary = hashlib.sha256(octets[:65_536] + text.encode("utf-8", "replace")).hexdigest()[:32].encode()
    while boundary in octets:
        boundary = hashlib.sha256(boundary).hexdigest()[:32].encode()
    return boundary


def _envelope_fields(ctx: Context, args: Args) -> list[bytes]:
    """Fields of the new message: those asked for, and what every message has (RFC 5703 section 6)."""
    message, wanted = ctx.message, args["headers"]
    names = {name.lower() for name in (wanted if isinstance(wanted, tuple) else ())} - _OWN
    owner = str(ctx.settings.get("sieve_user_email") or ctx.envelope.to or "")
    spec = parse_script_address(owner)
    out = []
    if "date" not in names:
        out.append(generate.structured("Date", format_header(ctx.now)))
    if spec is None:
        names.add("from")
    elif "from" not in names:
        out.append(generate.structured("From", spec))
    kept = [field.raw for field in message.fields if field.name in names]
    return out + [raw if raw.endswith(b"\n") else raw + b"\r\n" for raw in kept]


def _enclose(ctx: Context, args: Args, block: Block | None) -> None:
    message, text = ctx.message, args.string("text")
    ctx.charge_edit(len(text), rewrites=1)
    inner = message.to_bytes()
    boundary = _boundary(inner, text)
    subject = args["subject"]
    subject = subject if isinstance(subject, str) else next(iter(message.header_values("subject")), "")
    head = [
        *_envelope_fields(ctx, args),
        generate.header("Subject", subject),
        generate.structured("MIME-Version", "1.0"),
        b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n\r\n',
    ]
    line = b"--" + boundary + b"\r\n"
    kind = b"Content-Type: message/rfc822\r\n"
    if not inner.isascii():
        kind += b"Content-Transfer-Encoding: 8bit\r\n"
    body = line + text_part(text) + b"\r\n" + line + kind + b"\r\n" + inner
    message.enclose(b"".join(head) + body + b"\r\n--" + boundary + b"--\r\n", subject)


REPLACE = Extension(
    "replace",
    commands=[
        CommandDef(
            "replace",
            "action",
            [Arg("replacement", STRING)],
            [Tag(":mime"), Tag(":subject", value=STRING), Tag(":from", value=STRING)],
            validate=_validate,
            run=_replace,
        )
    ],
)
ENCLOSE = Extension(
    "enclose",
    commands=[
        CommandDef(
            "enclose",
            "action",
            [Arg("text", STRING)],
            [Tag(":subject", value=STRING), Tag(":headers", value=STRING_LIST)],
            validate=_validate,
            run=_enclose,
        )
    ],
)
