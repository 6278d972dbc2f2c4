"""What `vacation set` and `vacation template set` have in common."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mailstack.cli.context import fail, render
from mailstack.model.autoresponse import EVERY_DAY, Autoresponse, day_names

TextOption = Annotated[str | None, typer.Option("--text", metavar="TEXT", help="What is answered.")]
FileOption = Annotated[
    str | None, typer.Option("--file", metavar="FILE", help="Read the text from a file; - for stdin.")
]
SubjectOption = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Subject; empty: that of the message, with 'Auto: ' before it."),
]
StartOption = Annotated[
    str | None,
    typer.Option(
        "--start", metavar="TIME", help="First day or minute: 2026-12-24, or 2026-12-24T09:00; none."
    ),
]
EndOption = Annotated[
    str | None, typer.Option("--end", metavar="TIME", help="Last day or minute, included; none.")
]
DaysOption = Annotated[
    str | None,
    typer.Option("--days", metavar="DAYS", help="Days of the week: mon-fri, or sat,sun; all (default)."),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Never answer this address, or this domain; may be repeated."),
]
IncludeOption = Annotated[
    list[str] | None, typer.Option(metavar="PATTERN", help="Answer one that was excluded again.")
]


def text_of(text: str | None, file: str | None) -> str | None:
    """What --text or --file gives; ends the command when it cannot be read."""
    if text is not None and file is not None:
        fail(os.EX_USAGE, "give either --text or --file")
    if file is None:
        return text
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return data.decode()
    except OSError as error:
        fail(os.EX_NOINPUT, f"{file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(os.EX_DATAERR, f"{file} is not UTF-8")


def row_of(response: Autoresponse) -> dict[str, object]:
    """What an answer says and when, for people and machines."""
    return {
        "name": response.name,
        "subject": response.subject or None,
        "start": response.starts or None,
        "end": response.ends or None,
        "days": "all" if response.weekdays == EVERY_DAY else ",".join(day_names(response.weekdays)),
        "excluded": sorted(response.excluded),
        "text": response.text,
    }


def readable(row: dict[str, object]) -> str:
    """A row as lines, its text below them as it is sent."""
    rest = {key: value for key, value in row.items() if key != "text"}
    # A terminal is told nothing by it: the text holds no controls but line feeds and tabs.
    return f"{render(rest)}\n\n{row['text']}"
