"""Message files as they would have come by SMTP."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mailstack.cli.context import fail, talk

#: limits, section 2: larger messages are refused by SMTP.
MAX_MESSAGE_OCTETS = 52_428_800

#: Larger files are no mail to learn from: only so much of them is.
MAX_LEARNED_OCTETS = 4_194_304
#: Files that are no message, named one by one.
_MAX_NAMED = 10

_LINE_END = re.compile(rb"\r?\n")
#: A line that no message goes without.
_FIELD = re.compile(
    rb"^(?:from|to|subject|date|message-id|received|return-path|delivered-to|mime-version)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_END_OF_HEADER = re.compile(rb"\n\r?\n")
#: What begins a message of an mbox behind another one.
_POSTMARK = re.compile(
    rb"\n\r?\nFrom \S+ +(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? [^\n]{10,80}\n[!-9;-~]+[ \t]*:"
)


def read_message(name: str) -> bytes:
    """The message in a file, or on standard input for "-".

    Raises:
        CommandFailed: it cannot be read (exit 66), or is larger than any message (exit 65).
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        fail(os.EX_NOINPUT, f"{name}: {error.strerror or error}")
    if len(data) > MAX_MESSAGE_OCTETS:
        fail(os.EX_DATAERR, f"{name}: larger than {MAX_MESSAGE_OCTETS} octets")
    return to_wire(data)


def to_wire(message: bytes) -> bytes:
    """CRLF line ends, no mbox line in front."""
    if message.startswith(b"From "):
        message = message.partition(b"\n")[2]
    return _LINE_END.sub(b"\r\n", message)


def message_files(folders: Sequence[Path]) -> list[Path]:
    """The files of folders and those below them that hold a message each, sorted within a folder.

    Of a Maildir those in `cur` and `new`, not what else is in it or below it.  Hidden files and
    folders are left out, but Maildirs; files that are no message are named on stderr.

    Raises:
        CommandFailed: one is no folder (exit 66); a file is an mbox (exit 65).
    """
    found: list[Path] = []
    others: list[Path] = []
    for folder in folders:
        for file in sorted(_mail_below(_folder(folder))):
            with file.open("rb") as opened:
                start = opened.read(MAX_LEARNED_OCTETS)
            if start.startswith(b"From ") and _POSTMARK.search(start):
                fail(
                    os.EX_DATAERR,
                    f"{file} holds more than one message (mbox); 'git mailsplit -oDIR {file}' makes a"
                    " file of each, in the folder DIR",
                )
            (found if _FIELD.search(_END_OF_HEADER.split(start, 1)[0]) else others).append(file)
    for file in others[:_MAX_NAMED]:
        talk(f"left out, because it is no message: {file}")
    if others[_MAX_NAMED:]:
        talk(f"and {len(others) - _MAX_NAMED} more")
    return found


def _mail_below(folder: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        if {"cur", "new"} <= set(folders):
            folders.clear()
            for each in ("cur", "new"):
                yield from (file for file in Path(path, each).iterdir() if file.is_file())
            continue
        folders[:] = [name for name in folders if name[0] != "." or Path(path, name, "cur").is_dir()]
        yield from (file for name in files if name[0] != "." and (file := Path(path, name)).is_file())


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder and those below it, by name.

    Raises:
        CommandFailed: it is no folder (exit 66).
    """
    return (file for file in sorted(_folder(folder).rglob("*")) if file.is_file())


def _folder(path: Path) -> Path:
    if not path.is_dir():
        fail(os.EX_NOINPUT, f"{path} is not a folder")
    return path
