"""Reads a parenthesised IMAP value strictly, as a careful client would."""

from __future__ import annotations

import re
from typing import TypeAlias

Value: TypeAlias = "bytes | int | list[Value] | None"

_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_NUMBER = re.compile(rb"\d+")


class BadValue(AssertionError):
    """The octets are not one IMAP value."""


def read(octets: bytes) -> Value:
    """The one value in `octets`: lists, strings, numbers, NIL as None."""
    stack: list[list[Value]] = [[]]
    at = 0
    while at < len(octets):
        mark = octets[at : at + 1]
        if mark == b"(":
            stack.append([])
            at += 1
        elif mark == b")":
            if len(stack) < 2:
                raise BadValue("a parenthesis too many")
            done = stack.pop()
            stack[-1].append(done)
            at += 1
        elif mark == b" ":
            at += 1
        else:
            value, at = _atom(octets, at)
            stack[-1].append(value)
    if len(stack) != 1 or len(stack[0]) != 1:
        raise BadValue("not one value")
    return stack[0][0]


def _atom(octets: bytes, at: int) -> tuple[Value, int]:
    if octets.startswith(b"NIL", at):
        return None, at + 3
    if match := _QUOTED.match(octets, at):
        return re.sub(rb"\\(.)", rb"\1", match[1]), match.end()
    if match := _LITERAL.match(octets, at):
        end = match.end() + int(match[1])
        literal = octets[match.end() : end]
        if len(literal) != int(match[1]) or b"\0" in literal:
            raise BadValue("a bad literal")
        return literal, end
    if match := _NUMBER.match(octets, at):
        return int(match[0]), match.end()
    raise BadValue(f"junk at {at}: {octets[at : at + 20]!r}")
