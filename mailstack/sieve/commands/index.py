"""Extension "index": `:index` and `:last` for header, address and date (RFC 5260 section 6)."""

from __future__ import annotations

from mailstack.sieve.check import CheckContext
from mailstack.sieve.definition import NUMBER, Extension, Tag
from mailstack.sieve.syntax import CommandNode


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    index = node["index"]
    if index.number == 0:
        vctx.error(index.pos, f"{node.name}: fields are counted from 1")


_TAGS = [Tag(":index", value=NUMBER, validate=_validate), Tag(":last", requires=":index")]

INDEX = Extension("index", tags={"header": _TAGS, "address": _TAGS, "date": _TAGS})
