"""A message on its way in: line endings made clean, memory bounded.

Files hold CRLF and nothing else ends a line, so a bare LF becomes CRLF and a bare CR
a space: no reader may see a header there that another does not.  NUL is refused.

Standards: RFC 3501 section 6.3.11 (APPEND), section 9 (CHAR8 has no NUL); RFC 5322
section 2.3.
Imports: mime, requests.  No I/O.
"""

from __future__ import annotations

from mailstack.imap.requests import Spill, Spool, Steps, ask
from mailstack.mime.lines import normalise

#: What a session holds in memory of one APPEND; the rest goes to a temporary file.
MEMORY_OCTETS = 262_144


class LineEndings:
    """Makes line endings clean, piece by piece; the cut of the pieces never matters."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Clean octets; a CR at the end waits for what follows it."""
        if self._held:
            data = self._held + data
            self._held = b""
        if data.endswith(b"\r"):
            self._held = b"\r"
            data = data[:-1]
        return normalise(data)

    def finish(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return b" " if held else b""


class Upload:
    """One message of an APPEND."""

    def __init__(self) -> None:
        self.has_nul = False
        self.octets = 0
        self.spool: Spool | None = None
        self.held = 0
        self._pieces: list[bytes] = []
        self._endings = LineEndings()

    def add(self, data: bytes) -> None:
        """More of it."""
        self.has_nul = self.has_nul or b"\0" in data
        self._keep(self._endings.feed(data))

    def finish(self) -> Steps[None]:
        """That was all: what began in a file ends there."""
        self._keep(self._endings.finish())
        if self.spool is not None:
            yield from self.spill()

    def _keep(self, clean: bytes) -> None:
        if clean:
            self._pieces.append(clean)
            self.held += len(clean)
            self.octets += len(clean)

    def spill(self) -> Steps[None]:
        """Moves what is in memory to the temporary file."""
        if self.held:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self.held = 0
            self.spool = yield from ask(Spill(self.spool, data))

    @property
    def data(self) -> bytes | None:
        """The finished message; None when it is in the temporary file."""
        return b"".join(self._pieces) if self.spool is None else None
