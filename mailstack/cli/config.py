"""`mailstack config check` and `config show`."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from mailstack.app import config as configuration
from mailstack.cli import context
from mailstack.model.errors import ConfigError

HIDDEN = "(hidden)"

app = context.group("Checks and shows the configuration.")


@app.command()
def check() -> None:
    """Checks the configuration file; exits 78 and names every error when it is wrong.

    Each error names the file and line, the key, what is wrong and the nearest key that
    exists.  The certificates, IMAP scripts and files of the filter it names are tried too; no instance
    is needed.
    """
    warnings: list[str] = []
    try:
        loaded = configuration.load(context.options.config)
        _try_certificates(loaded, warnings.append)
        _try_scripts(loaded)
        _try_filter_files(loaded, warnings.append)
    except configuration.ConfigProblems as error:
        if context.as_json():
            context.show({"ok": False, "file": str(error.file), "errors": list(error.problems)})
        context.fail(os.EX_CONFIG, str(error))
    file = None if loaded.file is None else str(loaded.file)
    context.show({"ok": True, "file": file, "errors": [], "warnings": warnings}, "")
    for warning in warnings:
        context.talk(warning)
    context.talk(f"{file}: no errors" if file else "no configuration file; the defaults are in force")


def _try_certificates(loaded: configuration.Loaded, warn: Callable[[str], None]) -> None:
    """As the daemons will: without that of `[tls]` none of them starts, others are warned of.

    Raises:
        ConfigProblems: the certificate of `[tls]` cannot be used.
    """
    from mailstack.net.tls import TlsContexts

    try:
        TlsContexts(loaded.config.tls, alarm=warn, kinds=("access",))
    except ConfigError as error:
        assert loaded.file is not None
        problem = configuration.Problem(error.key, error.message, loaded.lines.get(error.key, 0))
        raise configuration.ConfigProblems(loaded.file, (problem,)) from None
    _try_authorities(loaded.config.queue.ca_file, warn)


def _try_scripts(loaded: configuration.Loaded) -> None:
    """Compiles the scripts of `[[sieve.imap]]`.

    Raises:
        ConfigProblems: some cannot run.
    """
    from mailstack.app.event_scripts import compiled

    _, wrong = compiled(loaded.config.sieve.imap)
    if wrong:
        assert loaded.file is not None
        line = loaded.lines.get("sieve.imap", 0)
        problems = tuple(configuration.Problem("sieve.imap", one, line) for one in wrong)
        raise configuration.ConfigProblems(loaded.file, problems)


def _try_filter_files(loaded: configuration.Loaded, warn: Callable[[str], None]) -> None:
    """Reads what the filter would; it goes on without a file that is no good."""
    from mailstack.app.filter_worker import load_knowledge, load_model, load_services

    options = loaded.config.filter
    if options.model_file:
        load_model(options.model_file, warn)
    if options.services_file:
        load_services(options.services_file, warn)
    if options.brands_file or options.hosts_file:
        load_knowledge(options, warn)


def _try_authorities(ca_file: str, warn: Callable[[str], None]) -> None:
    from mailstack.net.smtp_client import context_of

    try:
        context_of("verified", ca_file)
    except OSError as error:
        why = error.strerror or error
        warn(f"queue.ca_file: {ca_file}: {why}; mail for servers that must be verified waits")


@app.command()
def show() -> None:
    """Prints the whole effective configuration and where each value comes from.

    The text form is TOML again: each line ends in a comment with `default` or the line of
    the file that sets it.  Passwords are not shown.
    """
    loaded = configuration.load(context.options.config)
    values = {key: _masked(key, value) for key, value in configuration.settings(loaded.config)}
    sources = {key: loaded.lines.get(key, 0) for key in values}
    document = {
        "file": None if loaded.file is None else str(loaded.file),
        "settings": {
            key: {"value": value, "source": f"line {sources[key]}" if sources[key] else "default"}
            for key, value in values.items()
        },
    }
    context.show(document, _as_toml(values, sources, str(loaded.file)))


def _masked(key: str, value: object) -> object:
    """Without passwords, also those inside lists of tables."""
    if isinstance(value, msgspec.Struct):
        return {name: _masked(name, inner) for name, inner in msgspec.structs.asdict(value).items()}
    if isinstance(value, tuple | list):
        return [_masked(key, inner) for inner in value]
    return HIDDEN if value and key.endswith("password") else value


def _as_toml(values: dict[str, object], sources: dict[str, int], file: str) -> str:
    from mailstack.app.document import toml_value

    lines: list[str] = []
    section = ""
    for key, value in values.items():
        table, _, name = key.rpartition(".")
        if table != section:
            lines += ["", f"[{table}]"] if lines else [f"[{table}]"]
            section = table
        source = f"{file}:{sources[key]}" if sources[key] else "default"
        lines.append(f"{name} = {toml_value(value)}  # {source}")
    return "\n".join(lines)
