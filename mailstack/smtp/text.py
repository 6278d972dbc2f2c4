"""The clean octets of a message on its way in: kept, counted, measured.

What DATA (`data.py`) and BDAT (`chunks.py`) have in common.  Memory is what the caller
has not taken yet; a message that is refused anyway keeps none.

Standards: RFC 5321 sections 2.3.8 (line ends), 4.5.3.1.6 (lines).
Imports: model.  No I/O.
"""

from __future__ import annotations

from mailstack.model.reply import Reply


class Text:
    """One message so far.

    Args:
        max_octets: largest message that is kept.
        max_line_octets: longest line that is kept, without its line end.

    Attributes:
        size_octets: octets of the message so far, as they will be stored.
        held_octets: of these, not yet taken.
        had_bare_lf, had_bare_cr: line ends were put right.
        is_binary: those of the body were not.
    """

    __slots__ = (
        "_blocks",
        "_is_too_long",
        "_line",
        "_max_line",
        "_max_octets",
        "had_bare_cr",
        "had_bare_lf",
        "held_octets",
        "is_binary",
        "size_octets",
    )

    def __init__(self, *, max_octets: int, max_line_octets: int) -> None:
        self._max_octets = max_octets
        self._max_line = max_line_octets
        self._blocks: list[bytes] = []
        self._line = 0
        self._is_too_long = False
        self.size_octets = 0
        self.held_octets = 0
        self.had_bare_lf = False
        self.had_bare_cr = False
        self.is_binary = False

    def feed(self, block: bytes) -> bytes | None:
        """Takes the next octets; gives what stands behind the message when it ends in them."""
        raise NotImplementedError

    def end(self) -> None:
        """Nothing more comes."""

    def take(self) -> bytes:
        """The clean octets since the last call; they are no longer held."""
        blocks, self._blocks = self._blocks, []
        self.held_octets = 0
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    @property
    def is_dropping(self) -> bool:
        """True when the message will be refused: nothing of it is kept any more."""
        return self._is_too_long or self.size_octets > self._max_octets

    def fault(self) -> Reply | None:
        """Why the message must be refused, at its end."""
        if self.size_octets > self._max_octets:
            return too_large(self._max_octets)
        if self._is_too_long:
            return Reply(
                554, "6.0", f"The message has a line longer than {self._max_line} octets", "line_length"
            )
        return None

    def _put_right(self, text: bytes, ends: int) -> bytes:
        if text.count(b"\n") != ends:
            self.had_bare_lf = True
        if text.count(b"\r") != ends:
            self.had_bare_cr = True
        return text.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\n", b"\r\n")

    def _measure_lines(self, text: bytes) -> None:
        limit = self._max_line
        last = text.rfind(b"\r\n")
        if last < 0:
            self._line += len(text)
            if self._line > limit:
                self._is_too_long = True
            return
        behind = last + 2
        if self._line + len(text) > limit:
            self._measure_whole_lines(text, behind)
        self._line = len(text) - behind
        if self._line > limit:
            self._is_too_long = True

    def _measure_whole_lines(self, text: bytes, behind: int) -> None:
        limit = self._max_line
        first = text.find(b"\r\n")
        if self._line + first > limit:
            self._is_too_long = True
        at = first + 2
        while behind - at > limit + 2:
            # Jumps over many short lines at once.
            found = text.rfind(b"\r\n", at, at + limit + 2)
            if found < 0:
                self._is_too_long = True
                return
            at = found + 2

    def _keep(self, text: bytes) -> None:
        if self.is_dropping:
            self._blocks.clear()
            self.held_octets = 0
        elif text:
            self._blocks.append(text)
            self.held_octets += len(text)


def too_large(octets: int) -> Reply:
    """The refusal of a message above `octets`."""
    return Reply(552, "3.4", f"The message is larger than {octets} octets", "message_size")
