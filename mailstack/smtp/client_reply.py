"""Replies of a far server: read strictly, within bounds, whatever it sends.

Standards: RFC 5321 sections 4.2 and 4.5.3.1.5, RFC 2034, RFC 3463.
Imports: model.  No I/O.
"""

from __future__ import annotations

import re

from mailstack.model.reply import Reply

#: RFC 5321 section 4.5.3.1.5 allows 512; real servers send longer lines.
MAX_LINE_OCTETS = 4_096
#: An EHLO answer has some twenty.
MAX_LINES = 200

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?\Z", re.DOTALL)
_STATUS = re.compile(r"([245])\.(\d{1,3}\.\d{1,3})(?: |\Z)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class BadReply(Exception):
    """The far server does not speak SMTP (any more).  `why`: a sentence without its subject."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class ReplyReader:
    """Octets in, replies out."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._searched = 0
        self._lines: list[bytes] = []
        self._code = b""

    @property
    def is_empty(self) -> bool:
        """True when every octet received so far belongs to a reply that was given out."""
        return not self._held and not self._lines

    @property
    def held_octets(self) -> int:
        """Octets received and not yet read."""
        return len(self._held)

    def receive(self, data: bytes) -> None:
        """Takes octets.  The caller reads replies before it gives more than a block or two."""
        self._held += data

    def next_reply(self) -> Reply | None:
        """The next whole reply, without its enhanced status split off; None: octets are missing.

        Raises:
            BadReply: a line too long, too many lines, or not an SMTP reply (Q7).
        """
        while (line := self._next_line()) is not None:
            match = _LINE.match(line)
            if match is None:
                raise BadReply("answered with something that is no SMTP reply")
            code, separator, text = match.groups()
            if self._code and code != self._code:
                raise BadReply("changed the code in the middle of a reply")
            self._code = code
            self._lines.append(text or b"")
            if len(self._lines) > MAX_LINES:
                raise BadReply(f"sent a reply of more than {MAX_LINES} lines")
            if separator != b"-":
                return self._finish()
        return None

    def _next_line(self) -> bytes | None:
        end = self._held.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._held)
            if len(self._held) > MAX_LINE_OCTETS:
                raise BadReply(f"sent a line of more than {MAX_LINE_OCTETS} octets")
            return None
        if end > MAX_LINE_OCTETS:
            raise BadReply(f"sent a line of more than {MAX_LINE_OCTETS} octets")
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        self._searched = 0
        # A bare LF as line end is wrong, and harmless here: nothing is executed.
        return line.removesuffix(b"\r")

    def _finish(self) -> Reply:
        code, lines = int(self._code), self._lines
        self._code, self._lines = b"", []
        return Reply(code, "", "\n".join(_clean(line) for line in lines))


def _clean(line: bytes) -> str:
    return _CONTROL.sub(" ", line.decode("utf-8", "replace")).strip()


def with_status(reply: Reply) -> Reply:
    """The same reply with its enhanced status split off the text.

    A status whose class digit contradicts the code is left in the text (RFC 2034 section 4).
    """
    lines = reply.text.split("\n")
    match = _STATUS.match(lines[-1]) or _STATUS.match(lines[0])
    if match is None or match.group(1) != str(reply.code)[0]:
        return reply
    prefix = f"{match.group(1)}.{match.group(2)}"
    plain = [line.removeprefix(prefix).lstrip() if line.startswith(prefix) else line for line in lines]
    return Reply(reply.code, match.group(2), "\n".join(plain))
