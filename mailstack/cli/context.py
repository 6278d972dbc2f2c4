"""What every command needs: configuration, output, exit codes.

Data goes to stdout, talk to stderr.  With --json stdout carries exactly one JSON document.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import typer

    from mailstack.app.config import Config
    from mailstack.app.paths import Paths


class CommandFailed(Exception):
    """Ends the command: a sentence for stderr and a sysexits code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class Options:
    """The options that stand before or after any command."""

    json: bool = False
    config: Path | None = None
    #: Why whatever is not imported yet cannot be: root became somebody who may not read it.
    python_lost: str = ""
    #: Root typed it, and it became the owner of the state directory.
    was_root: bool = False


#: Set once by `main` from the command line.
options = Options()


@dataclass(frozen=True, slots=True)
class Context:
    """The instance a command works on."""

    config: Config
    paths: Paths

    @classmethod
    def load(cls, *, drop: bool = True, needs_instance: bool = True) -> Context:
        """Reads the configuration and becomes the owner of the state directory.

        Args:
            drop: False for commands that must stay root (binding low ports).
            needs_instance: False for commands that work without one, with defaults.

        Raises:
            ConfigError: the configuration is wrong (exit 78).
            CommandFailed: there is no instance (exit 69).
        """
        from mailstack.app.config import load_config

        config = load_config(options.config)
        context = cls(config, config.paths)
        if drop:
            drop_root(context.paths.state)
        # What a command makes below the state directory is for its owner alone.
        os.umask(0o077)
        if needs_instance:
            _check_instance(context.paths.state, context.paths.directory_db)
        return context


def _check_instance(state: Path, database: Path) -> None:
    try:
        database.stat()
    except FileNotFoundError:
        fail(
            os.EX_UNAVAILABLE,
            f"there is no instance in {state}; make one with 'mailstack migrate',"
            " or name another configuration with --config",
        )
    except OSError as error:
        fail(os.EX_UNAVAILABLE, f"{state}: {error.strerror}; run this as root or as the owner of that folder")


def drop_root(folder: Path) -> None:
    """Root becomes the owner of `folder`, so that no file in it ever belongs to root.

    Does nothing for other users, for a folder of root's own, or while it does not exist.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = folder.stat()
    except FileNotFoundError:
        return
    if owner.st_uid == 0:
        return
    import pwd

    from mailstack.app import privileges

    try:
        entry = pwd.getpwuid(owner.st_uid)
        os.initgroups(entry.pw_name, entry.pw_gid)
    except KeyError:
        os.setgroups([owner.st_gid])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
    options.was_root = True
    options.python_lost = privileges.why_no_python()


def fail(code: int, text: str) -> NoReturn:
    """Ends the command with a sentence on stderr.  `code`: one of os.EX_*."""
    raise CommandFailed(code, text)


def talk(text: str) -> None:
    """A sentence for the person at the terminal, on stderr."""
    print(safe(text), file=sys.stderr)  # noqa: T201


def as_json() -> bool:
    """True when --json was given."""
    return options.json


def show(value: object, text: str | None = None, *, exact: bool = False) -> None:
    """Prints the result: JSON with --json, else `text`, else `value` made readable.

    Args:
        value: anything msgspec can encode: dataclasses, structs, dicts, lists, paths as text.
        text: what people read instead; "" prints nothing.
        exact: it may go to a file that means something; control characters stay as they are.
    """
    if options.json:
        import msgspec

        document = msgspec.json.encode(value, enc_hook=str)
        out = msgspec.json.format(document, indent=2).decode()
    else:
        out = render(value) if text is None else text
        out = out if exact else safe(out)
        if not out:
            return
    sys.stdout.write(out if out.endswith("\n") else out + "\n")
    sys.stdout.flush()


def render(value: object) -> str:
    """A value as text: lists of mappings as a table, mappings as `name: value` lines."""
    value = _plain(value)
    if isinstance(value, list):
        rows = [_plain(row) for row in value]
        if rows and all(isinstance(row, dict) for row in rows):
            return table([row for row in rows if isinstance(row, dict)])
        return "\n".join(cell(row) for row in rows)
    if isinstance(value, dict):
        width = max((len(str(key)) for key in value), default=0) + 1
        return "\n".join(f"{str(key) + ':':<{width}} {cell(item)}" for key, item in value.items())
    return cell(value)


def table(rows: list[dict[str, object]]) -> str:
    """Rows under their column names."""
    names = list(rows[0])
    lines = [names, *([cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(names))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def cell(value: object) -> str:
    """One value on one line, safe for a terminal: control characters are escaped."""
    value = _plain(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={cell(item)}" for key, item in value.items())
    return _escaped(str(value), but="")


def safe(text: str) -> str:
    """Lines for a terminal: control characters other than line feeds and tabs are escaped."""
    return _escaped(text, but="\n\t")


def _escaped(text: str, *, but: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in but else c.encode("unicode_escape").decode() for c in text)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    fields = getattr(value, "__struct_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    return value


def group(help_: str) -> typer.Typer:
    """A typer app with our habits: help without arguments, plain text, no completion set-up."""
    import typer

    return typer.Typer(
        help=help_,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
