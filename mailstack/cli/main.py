"""The `mailstack` command: finds the group, imports only that, turns errors into exit codes."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailstack.cli import context

if TYPE_CHECKING:
    import typer


@dataclass(frozen=True, slots=True)
class Group:
    """A first word of the command line: its module in `mailstack.cli` and one line of help."""

    module: str
    help: str


#: Each module defines `app = group(...)` (a typer app) or one plain function `command`.
GROUPS: dict[str, Group] = {
    "demo": Group("demo", "make and run a throw-away instance"),
    "up": Group("up", "run all daemons under one supervisor"),
    "run": Group("run", "run one daemon: smtp, filter, queue or imap"),
    "migrate": Group("migrate", "bring the databases to this version's schema"),
    "config": Group("config", "check and show the configuration"),
    "domain": Group("domain", "domains, their keys and DNS records"),
    "user": Group("user", "addresses that log in or receive"),
    "apppw": Group("apppw", "passwords for single programs and devices"),
    "device": Group("device", "printers and scanners: settings sheet, errors, old TLS"),
    "alias": Group("alias", "other names, groups, temporary addresses"),
    "forward": Group("forward", "redirect an address to others"),
    "list": Group("list_", "senders an address blocks or allows"),
    "filter": Group("filter", "messages that killed a filter worker"),
    "filters": Group("filters", "spam and advertising filters of an address"),
    "rule": Group("rule", "rules of an address, without writing Sieve"),
    "vacation": Group("vacation", "automatic answers of people who are away"),
    "sieve": Group("sieve", "check, run and install Sieve scripts"),
    "scan": Group("scan", "the filter's verdict on message files"),
    "train": Group("train", "train the classifier, see what addresses taught it"),
    "srs": Group("srs", "rewrite a sender for forwarding, and back"),
    "queue": Group("queue", "the outbound queue"),
    "report": Group("report", "DMARC and TLS reports to other domains"),
    "log": Group("log", "what happened to a message or an address"),
    "client": Group("client", "clients of port 25 that guess or hit spam traps"),
    "mailbox": Group("mailbox", "look at, check and rebuild a mailbox"),
    "ban": Group("ban", "networks that may not log in for a while"),
    "verify": Group("verify", "check every store of this instance"),
}

EVERYWHERE = """Before or after any command:
  --config FILE  read this configuration (default: $MAILSTACK_CONFIG,
                 else /etc/mailstack/mailstack.toml)
  --json         print one JSON document on stdout, nothing else

Exit codes: 0 done, 64 usage, 65 bad data, 66 file not found,
67 unknown address, 69 unavailable, 74 nobody reads the output any more,
75 try again later, 78 configuration."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `mailstack` script; exits with a sysexits code."""
    _open_standard_files()
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def _open_standard_files() -> None:
    """Makes stdin, stdout and stderr fit to be used.

    Whatever came closed is /dev/null, not the next file that is opened; a terminal that has
    not all letters shows their numbers.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def run(arguments: list[str]) -> int:
    """Runs one command line; gives its exit code."""
    try:
        words, context.options = take_options(arguments)
        return _dispatch(words)
    except context.CommandFailed as error:
        return _complain(error.text, error.code)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return os.EX_IOERR
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}{_as_whom(error)}", os.EX_UNAVAILABLE)


def take_options(arguments: list[str]) -> tuple[list[str], context.Options]:
    """Splits `--json` and `--config FILE` from the rest, wherever they stand before `--`.

    Raises:
        CommandFailed: --config without a file (exit 64).
    """
    found = context.Options()
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return [*rest, word, *words], found
        name, equals, value = word.partition("=")
        if word == "--json":
            found.json = True
        elif name == "--config":
            value = value if equals else next(words, "")
            if not value:
                context.fail(os.EX_USAGE, "--config wants a file")
            found.config = Path(value)
        else:
            rest.append(word)
    return rest, found


def _dispatch(words: list[str]) -> int:
    name = words[0] if words else ""
    if name in ("--help", "-h", "help"):
        print(usage(), flush=True)  # noqa: T201
        return os.EX_OK
    if name == "--version":
        from mailstack import __version__

        context.show({"version": __version__}, f"mailstack {__version__}")
        return os.EX_OK
    if name not in GROUPS:
        near = difflib.get_close_matches(name, GROUPS, 1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        if name:
            return _complain(f"there is no command '{name}'{hint} See 'mailstack --help'.", os.EX_USAGE)
        print(usage(), file=sys.stderr)  # noqa: T201
        return os.EX_USAGE
    return _call(name, words[1:])


def usage() -> str:
    """The first page of help."""
    width = max(map(len, GROUPS))
    lines = [f"  {name:<{width}}  {group.help}" for name, group in GROUPS.items()]
    return "\n".join(
        [
            "Usage: mailstack COMMAND [ARGUMENTS]",
            "",
            *lines,
            "",
            EVERYWHERE,
            "",
            "More: mailstack COMMAND --help",
        ]
    )


def _call(name: str, words: list[str]) -> int:
    """Runs a group's command and turns what it raises into an exit code."""
    from mailstack.model.errors import ConfigError, PermanentFailure, TemporaryFailure

    try:
        command, typer = _load(name)
    except ModuleNotFoundError as error:
        if error.name != f"mailstack.cli.{GROUPS[name].module}":
            raise
        return _complain(f"'{name}' is not part of this installation", os.EX_UNAVAILABLE)
    try:
        result = command.main(args=words, prog_name=f"mailstack {name}", standalone_mode=False)
    except typer.BadParameter.__mro__[2] as error:  # ClickException, wherever typer keeps it
        return _misused(error)
    except typer.Abort:
        return _complain("stopped", os.EX_TEMPFAIL)
    except ConfigError as error:
        typed = error.key.startswith("--")
        return _complain(f"{error}{_as_whom(error)}", os.EX_USAGE if typed else os.EX_CONFIG)
    except PermanentFailure as error:
        unknown = error.status in ("1.1", "1.2")
        return _complain(error.why, os.EX_NOUSER if unknown else os.EX_DATAERR)
    except TemporaryFailure as error:
        as_whom = _as_whom(error)
        return _complain(error.why + as_whom, os.EX_UNAVAILABLE if as_whom else os.EX_TEMPFAIL)
    except (ImportError, LookupError):
        if not context.options.python_lost:
            raise
        return _complain(context.options.python_lost, os.EX_CONFIG)
    except UnicodeEncodeError:
        odd = next((word for word in words if not _is_text(word)), None)
        if odd is None:
            raise
        return _complain(f"{odd!r} is not UTF-8", os.EX_USAGE)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # typer's way; `run` has another
            raise ended.__context__ from None
        raise
    return result if isinstance(result, int) else os.EX_OK


def _as_whom(error: BaseException | None) -> str:
    """What to do about a permission that root would have; "" for other errors."""
    while error is not None and not isinstance(error, PermissionError):
        error = error.__cause__
    return "" if error is None or os.geteuid() == 0 or context.options.was_root else "; run this as root"


def _is_text(word: str) -> bool:
    """False for octets that are not UTF-8, which Python carries as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _load(name: str) -> tuple[Any, Any]:
    """The group as a command that typer runs, and typer."""
    module = importlib.import_module(f"mailstack.cli.{GROUPS[name].module}")
    import typer
    import typer.main

    app: typer.Typer | None = getattr(module, "app", None)
    if app is None:
        app = context.group("")
        app.command(name)(module.command)
        command: Any = _plain(app, typer.main.get_command)
    else:
        command = _plain(app, typer.main.get_group)
    _explain_everywhere(command)
    return command, typer


def _plain(app: typer.Typer, make: Callable[[typer.Typer], Any]) -> Any:
    # Plain help starts three times faster than rich's, and reads the same in a pipe.
    app.rich_markup_mode = None
    app.pretty_exceptions_enable = False
    app._add_completion = False
    return make(app)


def _explain_everywhere(command: Any) -> None:
    command.epilog = command.epilog or "Before or after: --config FILE, --json; see 'mailstack --help'."
    # The whole first sentence: typer would cut it to one line.
    command.short_help = command.short_help or (command.help or "").split("\n\n")[0]
    for child in getattr(command, "commands", {}).values():
        _explain_everywhere(child)


def _misused(error: Any) -> int:
    """A usage error of typer's: its sentence, and where to read more."""
    where = getattr(error, "ctx", None)
    message = error.format_message().replace(": Value error, ", ": ")  # pydantic's words, in typer 0.29
    if not message:  # no arguments at all: typer has the help ready
        return os.EX_USAGE
    path = where.command_path if where is not None else "mailstack"
    if where is not None and "\nUsage" in "\n" + message:
        print(message, file=sys.stderr)  # noqa: T201
        return os.EX_USAGE
    said = " ".join(message.split()).rstrip(".")
    return _complain(f"{said}{'' if said.endswith('?') else '.'} See '{path} --help'.", os.EX_USAGE)


def _complain(text: str, code: int) -> int:
    context.talk(f"mailstack: {text}")
    return code


if __name__ == "__main__":
    main()
