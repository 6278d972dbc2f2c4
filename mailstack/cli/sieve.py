"""`mailstack sieve`: check, try out and install Sieve scripts."""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mailstack.cli import arguments
from mailstack.cli.context import Context as Setup
from mailstack.cli.context import as_json, fail, group, show, talk
from mailstack.cli.sieve_apply import apply
from mailstack.cli.sieve_explain import explain

if TYPE_CHECKING:
    from mailstack.directory import Directory
    from mailstack.sieve import CompileResult, Context, Diagnostic, RunOutcome

app = group("Checks, tries out and installs Sieve scripts.")

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose script.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the script.")]
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The script; - for stdin.")]


@app.command()
def check(file: FileArgument) -> None:
    """Says whether a script would be accepted, and lists every mistake; exits 65 if there are any.

    `mailstack sieve extensions` lists what it may require.
    """
    from mailstack.sieve import check_upload, compile  # noqa: A004

    source = _read(file)
    result = compile(source, path=file)
    errors = check_upload(source, result)
    document = {
        "ok": not errors,
        "errors": [_row(error) for error in errors],
        "warnings": [_row(warning) for warning in result.warnings],
    }
    lines = [f"{file}:{error.line}:{error.column}: {error.message}" for error in errors]
    lines += [f"{file}:{one.line}:{one.column}: warning: {one.message}" for one in result.warnings]
    show(document, "\n".join(lines) or f"{file}: fine")
    if errors:
        raise typer.Exit(os.EX_DATAERR)


@app.command()
def extensions() -> None:
    """Lists the extensions a script may require."""
    from mailstack.sieve import Registry

    names = Registry.standard().capabilities()
    show({"extensions": names}, "\n".join(names))


@app.command()
def run(
    script: Annotated[str, typer.Argument(metavar="SCRIPT", help="The script.")],
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="The message; - for stdin.")],
    from_: Annotated[
        str | None, typer.Option("--from", help="Envelope sender; default: the first Return-Path.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Envelope recipient; default: the first Delivered-To.")
    ] = None,
) -> None:
    """Shows what a script would do with a message, without doing it.

    Exits 0 after a run-time error too: then the message would be kept, and the error is
    shown.  Exits 65 when the script does not compile.
    """
    from mailstack import sieve

    compiled = sieve.compile(_read(script), path=script)
    if compiled.script is None:
        _not_compiled(script, compiled)
    mail = sieve.Message.from_bytes(_read(message))
    envelope = sieve.Envelope(
        _address(from_, mail, "return-path") or "", _address(to, mail, "delivered-to", "x-original-to")
    )
    context = sieve.Context(mail, envelope, now=time.time(), cpu_clock=time.process_time)
    outcome = sieve.run(compiled.script, context)
    show(_document(context, outcome.errors), _report(context, outcome))


@app.command()
def put(
    address: AddressArgument,
    name: NameArgument,
    file: FileArgument,
    activate: Annotated[bool, typer.Option("--activate", help="Make it the active script too.")] = False,
) -> None:
    """Stores a script; exits 65 and changes nothing when it does not compile."""
    from mailstack.app.uploads import AccountUploads
    from mailstack.cli.directory_access import account, reader, writer

    source, context = _read(file), Setup.load()
    with reader(context) as found:
        uploads = AccountUploads(found, context.config.sieve)
        errors, warnings = uploads.compile(account(found, address), source, path=file)
    for one in [*errors, *warnings]:
        kind = "" if one in errors else "warning: "
        talk(f"{file}:{one.line}:{one.column}: {kind}{one.message}")
    if errors:
        fail(os.EX_DATAERR, f"{file} was not stored; what was there stays")
    with writer(context) as directory:
        stored = directory.scripts.put(address, name, source)
        if activate:
            directory.scripts.activate(address, name)
    active = stored.active or activate
    hint = "" if active else f"; 'mailstack sieve activate {address} {name}' makes it work"
    show({"name": stored.name, "size_octets": len(source), "active": active}, f"stored {stored.name}{hint}")


@app.command("list")
def list_scripts(address: AddressArgument) -> None:
    """Lists the scripts of an address, and how those of them that fail do so."""
    from mailstack.cli.context import Context
    from mailstack.cli.directory_access import account, reader
    from mailstack.cli.script_failures import failures

    context = Context.load()
    with reader(context) as directory:
        account_id = account(directory, address).id
        entries = directory.scripts(account_id)
        versions = {entry.name: _version(directory, account_id, entry.name) for entry in entries}
    failed = failures(context, account_id)
    rows = [
        {
            "name": entry.name,
            "size_octets": entry.size_octets,
            "active": entry.active,
            "changed_at": datetime.datetime.fromtimestamp(entry.changed_at, datetime.UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
            "failed": failed.get((f"script {entry.name}", versions[entry.name])),
        }
        for entry in entries
    ]
    show(rows, None if rows else f"{address} has no scripts")


def _version(directory: Directory, account_id: int, name: str) -> bytes:
    script = directory.script(account_id, name)
    return b"" if script is None else bytes.fromhex(script.sha256)


@app.command()
def get(address: AddressArgument, name: NameArgument) -> None:
    """Prints a script as it was stored."""
    from mailstack.cli.directory_access import account, reader

    with reader() as directory:
        script = directory.script(account(directory, address).id, name)
    if script is None:
        fail(os.EX_DATAERR, f"{address} has no script {name!r}")
    if as_json():
        source = script.source.decode("utf-8", "replace")
        show({"name": script.name, "active": script.active, "source": source})
        return
    # Not show(): the octets as they are, no line end added.
    sys.stdout.write(script.source.decode("utf-8", "surrogateescape"))
    sys.stdout.flush()


@app.command()
def activate(
    address: AddressArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help='Name of the script; "" for none.')],
) -> None:
    """Makes one script the active one, at once."""
    from mailstack.cli.directory_access import writer

    with writer() as directory:
        directory.scripts.activate(address, name)
    show({"address": address, "active": name or None}, f"active: {name}" if name else "no script is active")


@app.command()
def remove(address: AddressArgument, name: NameArgument) -> None:
    """Removes a script that is not active."""
    from mailstack.cli.directory_access import writer

    with writer() as directory:
        directory.scripts.remove(address, name)
    show({"address": address, "removed": name}, f"removed {name}")


app.command()(apply)
app.command()(explain)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        fail(os.EX_NOINPUT, f"{file}: {error.strerror}")


def _address(given: str | None, mail: object, *fields: str) -> str | None:
    from mailstack.sieve import Message

    assert isinstance(mail, Message)
    if given is not None:
        return arguments.envelope(given)
    found = [value for field in fields for value in mail.header_values(field)]
    return found[0].strip("<> ") if found else None


def _row(one: Diagnostic) -> dict[str, object]:
    return {"line": one.line, "column": one.column, "message": one.message}


def _document(context: Context, errors: Sequence[Diagnostic]) -> dict[str, object]:
    return {
        "actions": context.result.as_json(),
        "flags": list(context.flags),
        "edited_headers": context.message.edits,
        "errors": [_row(error) for error in errors],
    }


def _not_compiled(script: str, compiled: CompileResult) -> NoReturn:
    from mailstack import sieve

    lines = [f"{script}:{error.line}:{error.column}: {error.message}" for error in compiled.errors]
    if as_json():
        show(_document(sieve.Context(), compiled.errors))
    fail(os.EX_DATAERR, "\n".join([*lines, f"{script} does not compile"]))


def _report(context: Context, outcome: RunOutcome) -> str:
    lines = [f"error at {error.line}:{error.column}: {error.message}" for error in outcome.errors]
    for action in context.result.as_json():
        name = action.pop("action")
        implicit = " (implicit)" if action.pop("implicit", False) else ""
        details = ", ".join(
            f"{key}={value}" for key, value in action.items() if value not in (None, [], False, "")
        )
        lines.append(f"{name}{implicit}{': ' + details if details else ''}")
    return "\n".join(lines)
