"""On which line of a TOML file a key stands, found by a search through its text.

The text has parsed as TOML already, so this only has to recognise what a person writes:
table headers, bare and quoted keys, dotted keys.
"""

from __future__ import annotations

import re

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*({_KEY})[ \t]*\]\]?[ \t]*(?:#.*)?\Z")
_ASSIGNMENT = re.compile(rf"[ \t]*({_KEY})[ \t]*=(.*)\Z")
_PARTS = re.compile(_PART)


def find_lines(text: str) -> dict[str, int]:
    """Dotted key path -> line number (from 1) of where it first stands; tables too."""
    lines: dict[str, int] = {}
    table: tuple[str, ...] = ()
    inside = ""  # the delimiter of a multi-line string we are in
    for number, line in enumerate(text.split("\n"), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        header = _HEADER.match(line)
        if header is not None:
            table = _split(header.group(1))
            _note(lines, table, number)
            continue
        assignment = _ASSIGNMENT.match(line)
        if assignment is None:
            continue
        _note(lines, (*table, *_split(assignment.group(1))), number)
        value = assignment.group(2)
        inside = next((d for d in ('"""', "'''") if value.count(d) == 1), "")
    return lines


def line_of(lines: dict[str, int], key: str) -> int:
    """The line of a key or of the nearest table around it; 0 when it is not in the text."""
    while key:
        if key in lines:
            return lines[key]
        key = key.rpartition(".")[0]
    return 0


def _split(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PARTS.findall(path))


def _note(lines: dict[str, int], path: tuple[str, ...], number: int) -> None:
    for end in range(1, len(path) + 1):
        lines.setdefault(".".join(path[:end]), number)
