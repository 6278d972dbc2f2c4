"""Writes conf/mailstack.toml and docs/configuration.md from the option structs.

`python -m mailstack.app.document` writes both; a test compares.  The texts are the `#:`
comments above the fields, so a key cannot be without one.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import msgspec

from mailstack.app.config import Config
from mailstack.app.option_types import as_struct, type_words

_WIDTH = 100
_CONF_HEAD = """\
# The configuration of mailstack: every key there is, with its default.
#
# Read from /etc/mailstack/mailstack.toml, or where --config or MAILSTACK_CONFIG point.
# "mailstack config check" names every mistake at once, "mailstack config show" prints what
# is in force.  Take the "#" away before a key to change it.
#
# Made by "python -m mailstack.app.document" from the option structs; edit those instead.
"""
_DOC_HEAD = """\
# Configuration

One TOML file: `/etc/mailstack/mailstack.toml`, or the one `--config FILE` or `MAILSTACK_CONFIG`
names. Every key has a default; a file may be empty or missing. Keys are checked when anything
starts: unknown keys, wrong types and values that cannot work are refused, all at once, with line
and nearest known key (`mailstack config check`, exit code 78). `mailstack config show` prints every
value in force and where it comes from.

Units stand in the names: `_s` seconds, `_octets` octets, `_days` days. Zero means zero, never
"unlimited". Numbers may not be negative. A changed file counts after a `systemctl reload` of the
daemons, a changed `[listen]` after a restart; what the command line changes (domains,
addresses, filters) within a second.

Made by `python -m mailstack.app.document` from the option structs; edit those instead.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        words: its type in words.
        default: as TOML; "" when the key must be given.
        table: the struct of each element, for a list of tables.
    """

    name: str
    words: str
    default: str
    comment: str
    table: type[msgspec.Struct] | None = None


def toml_value(value: object) -> str:
    """A value as TOML would write it.

    Raises:
        ValueError: a kind of value no option has.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, msgspec.Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        pairs = [f"{json.dumps(str(key))} = {toml_value(item)}" for key, item in value.items()]
        return "{" + ", ".join(pairs) + "}"
    if value is None:
        return '""'
    raise ValueError(f"no TOML for {type(value).__name__}")


def sections() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """The sections of the file, with those inside sections, as (dotted name, struct)."""
    yield from _sections(Config, "")


def keys(kind: type[msgspec.Struct]) -> list[Key]:
    """The keys of a section, without the sections inside it.

    Raises:
        ValueError: a field without a comment.
    """
    comments = _comments(kind)
    found = []
    for field in msgspec.structs.fields(kind):
        if as_struct(field.type) is not None:
            continue
        if not comments[field.name]:
            raise ValueError(f"{kind.__name__}.{field.name} has no '#:' comment")
        default = "" if field.required else toml_value(_default(field))
        inner = next(filter(None, map(as_struct, get_args(field.type))), None)
        words = "list of tables" if inner else type_words(field.type)
        found.append(Key(field.encode_name, words, default, comments[field.name], inner))
    return found


def conf() -> str:
    """The text of conf/mailstack.toml."""
    parts = [_CONF_HEAD]
    for name, kind in sections():
        lines = [f"[{name}]"]
        # Tables come last: below a table's header no key of the section can stand.
        for key in sorted(keys(kind), key=lambda key: key.table is not None):
            lines += ["", *_wrapped(key.comment, "# ")]
            if key.table is None:
                lines.append(f"#{key.name} = {key.default}")
            else:
                lines += _table_example(f"{name}.{key.name}", key.table)
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def markdown() -> str:
    """The text of docs/configuration.md."""
    parts = [_DOC_HEAD]
    for name, kind in sections():
        parts.append(_chapter(f"## [{name}]", kind))
        for key in keys(kind):
            if key.table is not None:
                parts.append(_chapter(f"### [[{name}.{key.name}]]", key.table))
    return "\n".join(parts)


def write(root: Path) -> None:
    """Writes both files below the repository's root."""
    (root / "conf" / "mailstack.toml").write_text(conf(), "utf-8")
    (root / "docs" / "configuration.md").write_text(markdown(), "utf-8")


def _sections(kind: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for field in msgspec.structs.fields(kind):
        section = as_struct(field.type)
        if section is not None:
            yield f"{prefix}{field.encode_name}", section
            yield from _sections(section, f"{prefix}{field.encode_name}.")


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory()


@cache
def _comments(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The `#:` lines above each field; a field right below another shares its comment."""
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.splitlines()
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    before, last_line = "", 0
    for node in body.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        text: list[str] = []
        number = node.lineno - 2
        while number >= 0 and lines[number].strip().startswith("#:"):
            text.insert(0, lines[number].strip()[2:].strip())
            number -= 1
        comment = " ".join(text)
        if not comment and node.lineno == last_line + 1:
            comment = before
        found[node.target.id] = before = comment
        last_line = node.end_lineno or node.lineno
    return found


def _chapter(title: str, kind: type[msgspec.Struct]) -> str:
    return "\n\n".join(part for part in (title, _about(kind), _rows(kind)) if part)


def _about(kind: type[msgspec.Struct]) -> str:
    """The docstring without its first words "Section `[x]`"."""
    text = inspect.getdoc(kind) or ""
    head, _, rest = text.partition("\n")
    for start in ("Section ", "One "):
        if head.startswith(start) and "`" in head:
            head = head.split("`", 2)[2].removeprefix(" of conf/mailstack.toml").lstrip(".: ")
    head = head[:1].upper() + head[1:]
    return f"{head}\n{rest}".strip()


def _rows(kind: type[msgspec.Struct]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in keys(kind):
        default = f"`{key.default}`" if key.default else "must be given"
        rows.append(f"| `{key.name}` | {key.words} | {default} | {_cell(key.comment)} |")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


def _wrapped(text: str, prefix: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False
    )


def _table_example(name: str, kind: type[msgspec.Struct]) -> list[str]:
    lines = [f"#[[{name}]]"]
    for key in keys(kind):
        lines += _wrapped(key.comment, "# ")
        lines.append(f"#{key.name} = {key.default or chr(34) * 2}")
    return lines


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
