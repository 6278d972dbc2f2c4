"""A ManageSieve client that behaves as Thunderbird's add-on: it pipelines and writes literals, blocking.

Written from RFC 5804 alone; it reads strictly.
"""

from __future__ import annotations

import base64
import re
import socket
import ssl
from dataclasses import dataclass, field
from types import TracebackType

from tests.kit.scram_client import ScramClient

_END = re.compile(rb"(OK|NO|BYE)(?: \(([A-Z/-]+)(?: (.*))?\))?(?: (.*))?\Z", re.DOTALL)
_LITERAL = re.compile(rb"\{([0-9]+)\}\Z")


@dataclass
class Response:
    """What a command was answered.

    Attributes:
        lines: the strings and atoms of each line before the end.
    """

    kind: str
    code: str = ""
    text: str = ""
    argument: bytes = b""
    lines: list[list[bytes]] = field(default_factory=list)


class Client:
    """One connection; greets itself in."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._sock: socket.socket = socket.create_connection((host, port), timeout=30)
        self._held = b""
        self.capabilities = self._read_capabilities()
        if tls is not None:
            assert "STARTTLS" in self.capabilities and self.command(b"STARTTLS").kind == "OK"
            self._sock = tls.wrap_socket(self._sock, server_hostname="localhost")
            self.capabilities = self._read_capabilities()
            assert "STARTTLS" not in self.capabilities

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sock.close()

    # -- what it says -------------------------------------------------------------------

    def send(self, *words: bytes | str | int) -> None:
        """One command; words of bytes as they are, texts as strings (literals when they have lines)."""
        self._sock.sendall(b" ".join(map(_written, words)) + b"\r\n")

    def command(self, *words: bytes | str | int) -> Response:
        """The same, and what it is answered."""
        self.send(*words)
        return self.response()

    def log_in(self, user: str, password: str) -> Response:
        """With SCRAM where it is offered."""
        if "SCRAM-SHA-256" in self.capabilities["SASL"].split():
            return self._scram(ScramClient(user, password))
        plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(b"AUTHENTICATE", "PLAIN", plain)

    def _scram(self, scram: ScramClient) -> Response:
        self.send(b"AUTHENTICATE", "SCRAM-SHA-256", scram.first().decode())
        first = self._line()
        if isinstance(first, Response):
            return first
        self.send(scram.final(first[0]).decode())
        last = self._line()
        if isinstance(last, Response):
            return last
        scram.check(last[0])
        return self.command(b'""')

    # -- what it hears ------------------------------------------------------------------

    def response(self) -> Response:
        """The next whole response."""
        lines = []
        while isinstance(line := self._line(), list):
            lines.append(line)
        line.lines = lines
        return line

    def _read_capabilities(self) -> dict[str, str]:
        found = self.response()
        assert found.kind == "OK"
        return {line[0].decode(): line[1].decode() if len(line) > 1 else "" for line in found.lines}

    def _line(self) -> list[bytes] | Response:
        """A line of strings, or the end of a response."""
        pieces, strings = b"", []
        while True:
            piece = self._until_line_end()
            literal = _LITERAL.search(piece)
            if literal is None:
                pieces += piece
                break
            # A literal is put back as a mark that no quoted string holds.
            pieces += piece[: literal.start()] + b"\0%d\0" % len(strings)
            strings.append(self._exactly(int(literal[1])))
        end = _END.match(pieces)
        if end is None:
            return _words(pieces, strings)
        argument, text = (_words(part or b"", strings) for part in (end[3], end[4]))
        return Response(
            end[1].decode(), (end[2] or b"").decode(), b"".join(text).decode(), b"".join(argument)
        )

    def _until_line_end(self) -> bytes:
        while b"\r\n" not in self._held:
            self._more()
        line, _, self._held = self._held.partition(b"\r\n")
        return line

    def _exactly(self, octets: int) -> bytes:
        while len(self._held) < octets:
            self._more()
        data, self._held = self._held[:octets], self._held[octets:]
        return data

    def _more(self) -> None:
        data = self._sock.recv(65_536)
        if not data:
            raise ConnectionError("the server has closed the connection")
        self._held += data


def _written(word: bytes | str | int) -> bytes:
    if isinstance(word, bytes):
        return word
    if isinstance(word, int):
        return b"%d" % word
    octets = word.encode()
    if len(octets) > 200 or re.search(r'[\r\n"\\]', word):
        return b"{%d+}\r\n%b" % (len(octets), octets)
    return b'"%b"' % octets


def _words(line: bytes, literals: list[bytes]) -> list[bytes]:
    words = []
    at = 0
    pattern = re.compile(rb' *(?:"((?:[^"\\\0]|\\["\\])*)"|\0([0-9]+)\0|([A-Z]+))')
    while at < len(line):
        found = pattern.match(line, at)
        assert found is not None, line
        quoted, literal, atom = found.groups()
        if literal is not None:
            words.append(literals[int(literal)])
        else:
            words.append(atom if quoted is None else re.sub(rb'\\(["\\])', rb"\1", quoted))
        at = found.end()
    return words
