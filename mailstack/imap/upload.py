"""A message on its way in, or a piece of one: memory bounded, octets as they came.

The store makes line ends clean when it writes the message, since a message may be put
together from several pieces.

Standards: RFC 3501 section 6.3.11 (APPEND), RFC 3516 (literal8).
Imports: requests.  No I/O.
"""

from __future__ import annotations

from mailstack.imap.requests import Spill, Spool, Steps, ask

#: What a session holds in memory of one APPEND; the rest goes to a temporary file.
MEMORY_OCTETS = 262_144


class Upload:
    """One literal of an APPEND.

    Attributes:
        literal8: it may hold NUL.
        octets: received so far.
        held: of these in memory.
    """

    def __init__(self, *, literal8: bool = False) -> None:
        self.literal8 = literal8
        self.has_nul = False
        self.octets = 0
        self.spool: Spool | None = None
        self.held = 0
        self._pieces: list[bytes] = []

    def add(self, data: bytes) -> None:
        """More of it."""
        self.has_nul = self.has_nul or b"\0" in data
        self._pieces.append(data)
        self.held += len(data)
        self.octets += len(data)

    def finish(self) -> Steps[None]:
        """That was all: what began in a file ends there."""
        if self.spool is not None:
            yield from self.spill()

    def spill(self) -> Steps[None]:
        """Moves what is in memory to the temporary file."""
        if self.held:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self.held = 0
            self.spool = yield from ask(Spill(self.spool, data))

    @property
    def data(self) -> bytes | None:
        """The finished literal; None when it is in the temporary file."""
        return b"".join(self._pieces) if self.spool is None else None
