"""Which header fields a test looks at: `:index`, `:last`, `:mime`, `:anychild`.

Standards: RFC 5260 section 6, RFC 5703 section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeVar

from mailstack.mime.parameters import parse
from mailstack.sieve.context import Context
from mailstack.sieve.message import Message
from mailstack.sieve.program import Args

T = TypeVar("T")
#: Arguments that choose other fields than all of the message's own.
_CHOOSE = frozenset({"index", "mime"})


def headers(ctx: Context, args: Args) -> Iterable[Message]:
    """The headers a test asks: the message's, or those of parts with `:mime`."""
    if not args.get("mime"):
        return (ctx.message,)
    part = ctx.part if ctx.part is not None else ctx.message.root
    if args.get("anychild"):
        return (_header(ctx, each) for each in part.walk())
    return (_header(ctx, part),)


def _header(ctx: Context, part: object) -> Message:
    # The message's own header may have been edited.
    root = ctx.message.root
    assert isinstance(part, type(root))
    return ctx.message if part is root else part.header


def is_plain(args: Args) -> bool:
    """All fields of the message's own header are asked."""
    return args.has_none_of(_CHOOSE)


def pick(args: Args, fields: Iterable[T]) -> Sequence[T]:
    """The field of the number `:index` gives, counted from the end with `:last`; else all."""
    number = args.get("index")
    if not isinstance(number, int) or isinstance(number, bool):
        return fields if isinstance(fields, Sequence) else list(fields)
    if number < 1:
        return ()
    if args.get("last"):
        found = list(fields)
        return found[-number : len(found) - number + 1] if number <= len(found) else ()
    return list(islice(fields, number - 1, number))


def values(ctx: Context, args: Args, names: Sequence[str]) -> Sequence[str]:
    """Decoded values of the fields of these names, in the order of the names."""
    if args.has_none_of(_CHOOSE):
        read = ctx.message.header_values
        return read(names[0]) if len(names) == 1 else [value for name in names for value in read(name)]
    if not args.get("mime"):
        return pick(args, (value for name in names for value in ctx.message.header_values(name)))
    option = args.get("mimeopts")
    if option is None:
        return pick(
            args, (one for mail in headers(ctx, args) for n in names for one in mail.header_values(n))
        )
    raws = pick(args, (one for mail in headers(ctx, args) for n in names for one in mail.raw_values(n)))
    return [value for raw in raws for value in _structured(raw, str(option), args.get("param"))]


def _structured(raw: bytes, option: str, names: object) -> Iterable[str]:
    """A part of a field such as Content-Type (RFC 5703 section 4.2)."""
    field = parse(raw)
    if option == ":param":
        found = (field.text(name.lower()) for name in (names if isinstance(names, tuple) else ()))
        return [value for value in found if value is not None]
    whole = field.value.decode("utf-8", "replace").strip().lower()
    type_, _, subtype = whole.partition("/")
    return [{":type": type_, ":subtype": subtype}.get(option, whole)]
