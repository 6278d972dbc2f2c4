"""Where log lines go: stderr, with time stamps, or with priorities for the journal."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

from mailstack.net.systemd import under_journal

#: syslog(3) priorities, as sd-daemon(3) wants them in front of a line.
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_CONTROLS = {number: f"\\x{number:02x}" for number in [*range(32), 127, *range(128, 160), 0x2028, 0x2029]}


class LineFormatter(logging.Formatter):
    """One event, one line; a traceback follows, each of its lines marked as ours.

    What a peer put into a message cannot begin a new line (T92).
    """

    def __init__(self, role: str, *, journal: bool) -> None:
        super().__init__()
        self._role = role
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines when there is a traceback."""
        text = record.getMessage().translate(_CONTROLS)
        lines = [f"{record.levelname.lower()} {record.name.removeprefix('mailstack.')}: {text}"]
        if record.exc_info:
            lines += [f"  {line}" for line in self.formatException(record.exc_info).split("\n")]
        mark = self._mark(record)
        return "\n".join(mark + line for line in lines)

    def _mark(self, record: logging.LogRecord) -> str:
        if self._journal:
            return f"<{_PRIORITY.get(record.levelno, 5)}>"
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{stamp}.{int(record.msecs):03d}Z {self._role}[{record.process}] "


def set_up(role: str, *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Sends every log record of this process to stderr; called once per process."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(role, journal=stream is None and under_journal()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Libraries that chat about each command or retry.
    for name in ("asyncio", "mail.log", "mail.debug"):
        logging.getLogger(name).setLevel(logging.WARNING)
