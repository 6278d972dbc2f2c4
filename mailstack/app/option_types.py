"""The types of options, in words for people."""

from __future__ import annotations

import types
from typing import Literal, Union, get_args, get_origin

import msgspec

_PLAIN = {str: "text", bool: "true or false", int: "whole number", float: "number"}


def as_struct(kind: object) -> type[msgspec.Struct] | None:
    """The struct type of a section; None for the type of a plain key."""
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def type_words(kind: object) -> str:
    """A type in words: "whole number", "list of texts", '"a" or "b"'.

    Raises:
        ValueError: a type no option has.
    """
    if isinstance(kind, type) and kind in _PLAIN:
        return _PLAIN[kind]
    if as_struct(kind) is not None:
        return "table"
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return " or ".join(f'"{word}"' for word in arguments)
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(type_words(part) for part in arguments if part is not type(None))
    if get_origin(kind) in (tuple, list):
        words = type_words(arguments[0])
        return f"list of {words}" if words.endswith('"') else f"list of {words}s"
    if get_origin(kind) is dict:
        return f"table of {type_words(arguments[1])}s"
    raise ValueError(f"no words for {kind}")
