"""An SMTP client that believes nothing: each reply is held against the grammar it must have.

Written from RFC 5321, 2034 and 2920 alone, without a line of the server's code.
"""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

WAIT_S = 20.0
MAX_LINE = 512

_LINE = re.compile(rb"([2-5][0-5][0-9])([ -])([^\r\n]*)\r\n\Z")
_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?: |\Z)")


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole reply.

    Attributes:
        lines: the texts, without code; with the enhanced status.
        status: such as "5.1.1"; "" when there is none.
    """

    code: int
    lines: tuple[str, ...]
    status: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class Probe:
    """One connection."""

    def __init__(self, address: tuple[str, int], *, tls: ssl.SSLContext | None = None) -> None:
        """Connects.  `tls`: the port speaks it from the first octet."""
        self._socket = socket.create_connection(address, timeout=WAIT_S)
        self._held = b""
        self._has_statuses = False
        self.keywords: dict[str, str] = {}
        if tls is not None:
            self._wrap(tls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hangs up without a word."""
        self._socket.close()

    def half_close(self) -> None:
        """Says that nothing more will come."""
        self._socket.shutdown(socket.SHUT_WR)

    @property
    def tls_version(self) -> str:
        """Such as "TLSv1.3"; "" in clear."""
        return (self._socket.version() or "") if isinstance(self._socket, ssl.SSLSocket) else ""

    # -- octets -------------------------------------------------------------------------

    def send(self, octets: bytes) -> None:
        """As they are."""
        self._socket.sendall(octets)

    def trickle(self, octets: bytes) -> None:
        """One octet a segment."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(octets)):
            self._socket.sendall(octets[at : at + 1])

    def is_closed(self) -> bool:
        """Waits for the end of the stream; False when something else comes."""
        if self._held:
            return False
        try:
            return self._socket.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        try:
            while octets := self._socket.recv(65_536):
                self._held += octets
        except (ConnectionError, ssl.SSLError):
            pass
        held, self._held = self._held, b""
        return held

    def _line(self) -> bytes:
        while b"\n" not in self._held:
            assert len(self._held) <= MAX_LINE, f"a reply line without end: {self._held[:80]!r}"
            octets = self._socket.recv(65_536)
            assert octets, f"closed in the middle of a reply: {self._held!r}"
            self._held += octets
        line, _, self._held = self._held.partition(b"\n")
        return line + b"\n"

    # -- replies ------------------------------------------------------------------------

    def reply(self, *, status: bool | None = None) -> Answer:
        """The next reply.

        Args:
            status: whether it must carry an enhanced status; None: when the server said that it does.
        """
        code, lines, more = b"", [], True
        while more:
            line = self._line()
            # RFC 5321 section 4.5.3.1.5: 512 octets with code and CRLF.
            assert len(line) <= MAX_LINE, f"reply line of {len(line)} octets"
            match = _LINE.match(line)
            assert match is not None, f"no reply line (RFC 5321 section 4.2): {line!r}"
            assert code in (b"", match[1]), "the codes of one reply differ (RFC 5321 section 4.2.1)"
            code, more = match[1], match[2] == b"-"
            text = match[3].decode("utf-8")
            assert text.isprintable(), f"control characters in a reply: {text!r}"
            lines.append(text)
        wants_status = self._has_statuses if status is None else status
        number = int(code)
        return Answer(number, tuple(lines), _status(number, lines) if wants_status else "")

    def ask(self, line: str | bytes, *, status: bool | None = None) -> Answer:
        """Sends a line, gives its reply."""
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.reply(status=status)

    def greeting(self) -> Answer:
        """The first words."""
        return self.reply(status=False)

    def hello(self, verb: str = "EHLO", name: str = "probe.outside.test") -> Answer:
        """Says hello and keeps what is offered."""
        answer = self.ask(f"{verb} {name}", status=False)
        assert answer.code == 250, str(answer)
        self.keywords = {}
        for line in answer.lines[1:]:
            keyword, _, parameters = line.partition(" ")
            assert keyword.upper() not in self.keywords, f"offered twice: {keyword}"
            self.keywords[keyword.upper()] = parameters
        self._has_statuses = "ENHANCEDSTATUSCODES" in self.keywords
        return answer

    def open(self) -> Self:
        """Greeting and EHLO."""
        assert self.greeting().code == 220
        self.hello()
        return self

    # -- what most checks begin with ------------------------------------------------------

    def start_tls(self, context: ssl.SSLContext) -> None:
        """STARTTLS and the handshake; EHLO is left to the caller."""
        assert self.ask("STARTTLS").code == 220
        assert not self._held, "octets in clear behind the 220 to STARTTLS"
        self._wrap(context)

    def login(self, address: str, password: str) -> Answer:
        """AUTH PLAIN in one line."""
        return self.ask(f"AUTH PLAIN {plain(address, password)}")

    def envelope(
        self, recipients: Sequence[str], *, sender: str = "probe@outside.test", more: str = ""
    ) -> None:
        """MAIL and RCPT, all accepted."""
        for line in (f"MAIL FROM:<{sender}>{more}", *(f"RCPT TO:<{to}>" for to in recipients)):
            answer = self.ask(line)
            assert answer.code == 250, f"{line}: {answer}"

    def message(self, octets: bytes) -> Answer:
        """DATA, the message (dots stuffed here), its reply."""
        assert self.ask("DATA").code == 354
        self.send(stuffed(octets) + b".\r\n")
        return self.reply()

    def _wrap(self, context: ssl.SSLContext) -> None:
        self._socket = context.wrap_socket(self._socket, server_hostname="localhost")


def _status(code: int, lines: Sequence[str]) -> str:
    """RFC 2034 section 4: every line of a 2xx, 4xx, 5xx begins with a status of the same class."""
    if code // 100 == 3:
        return ""
    found = ""
    for line in lines:
        match = _STATUS.match(line)
        assert match is not None, f"no enhanced status (RFC 2034): {code} {line}"
        assert int(match[1]) == code // 100, f"classes differ (RFC 2034 section 4): {code} {line}"
        found = match[0].strip()
    return found


def stuffed(octets: bytes) -> bytes:
    """RFC 5321 section 4.5.2."""
    return re.sub(rb"(?m)^\.", b"..", octets)


def plain(address: str, password: str) -> str:
    """RFC 4616."""
    return b64encode(f"\0{address}\0{password}".encode()).decode()


def mail(mark: str, *, body: bytes = b"Hello.\r\n", head: bytes = b"") -> bytes:
    """A plain message that is found again by its subject."""
    return (
        b"From: Probe <probe@outside.test>\r\nTo: alice@example.test\r\n"
        b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <" + mark.encode() + b"@outside.test>\r\n"
        b"Subject: " + mark.encode() + b"\r\n" + head + b"\r\n" + body
    )
