"""The operator's scripts for what IMAP clients do (`[[sieve.imap]]`): compiled, and found by folder.

They may look at everything in a message, file copies, mark and discard.  Nothing may leave
and nothing is edited: what would do so cannot be required, and `redirect` is not known.

Standard: RFC 6785.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailstack import sieve
from mailstack.filters.sieve_options import ImapScript
from mailstack.sieve import NORMAL, Cause
from mailstack.sieve.registry import BASE

#: Extensions of the engine that such a script may require, besides comparators.
AVAILABLE = frozenset(
    [
        BASE,
        "body",
        "copy",
        "date",
        "encoded-character",
        "envelope",  # its use is an error when it runs, as RFC 6785 section 4.6 wants it
        "environment",
        "fileinto",
        "foreverypart",
        "imap4flags",
        "imapsieve",
        "index",
        "mime",
        "regex",
        "relational",
        "subaddress",
        "variables",
    ]
)


@dataclass(frozen=True, slots=True)
class EventScript:
    """One of `[[sieve.imap]]`, ready to run."""

    path: str
    script: sieve.Script
    folders: re.Pattern[str]
    causes: frozenset[Cause]


def registry() -> sieve.Registry:
    """What these scripts may require."""
    found = sieve.Registry()
    for extension in sieve.Registry.for_imap_events():
        if extension.name == BASE:
            commands = [command for command in extension.commands if command.name != "redirect"]
            found.register(replace(extension, commands=commands))
        elif extension.name in AVAILABLE or extension.name.startswith("comparator-"):
            found.register(extension)
    return found


def compiled(entries: Sequence[ImapScript]) -> tuple[list[EventScript], list[str]]:
    """Those that can run, and what is wrong with the others, with their lines."""
    scripts, wrong = [], []
    known = registry()
    for entry in entries:
        try:
            with open(entry.script, "rb") as file:
                source = file.read(NORMAL.max_script_octets + 1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            wrong.append(f"{entry.script}: cannot be read: {why}")
            continue
        result = sieve.compile(source, registry=known, path=entry.script, limits=NORMAL)
        if result.script is None:
            wrong += map(str, result.errors)
            continue
        pattern = re.compile(".*".join(map(re.escape, entry.mailbox.split("*"))), re.DOTALL)
        causes = frozenset(Cause(cause.upper()) for cause in entry.causes)
        scripts.append(EventScript(entry.script, result.script, pattern, causes))
    return scripts, wrong


def script_for(scripts: Sequence[EventScript], cause: Cause, folder: str) -> EventScript | None:
    """The first that is for this folder and cause; None: none is."""
    return next((one for one in scripts if cause in one.causes and one.folders.fullmatch(folder)), None)
