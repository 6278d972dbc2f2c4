"""Message files as they would have come by SMTP."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mailstack.cli.context import fail

#: limits, section 2: larger messages are refused by SMTP.
MAX_MESSAGE_OCTETS = 52_428_800

_LINE_END = re.compile(rb"\r?\n")


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


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder and those below it, by name.

    Raises:
        CommandFailed: it is no folder (exit 66).
    """
    if not folder.is_dir():
        fail(os.EX_NOINPUT, f"{folder} is not a folder")
    return (file for file in sorted(folder.rglob("*")) if file.is_file())
