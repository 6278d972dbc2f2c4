"""What drives a pure session in tests, without sockets, threads or clock, is the same for IMAP and POP3."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mailstack.model.asking import Conversation, Read, Request
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.mailbox import MailboxError

UNIX_TIME = 1_767_225_600.0  # 1 January 2026


class Blocked(Exception):
    """The session waits for the client."""


class BareShell(ABC):
    """`send` octets, read `take()`; everything happens at once.

    Attributes:
        time: the session's clock, in seconds; `wake_at_deadline` moves it on.
        flushes: octets of each piece of output.
    """

    def __init__(self) -> None:
        self.time = 1000.0
        self.flushes: list[int] = []
        self.closed = False
        self._input: list[bytes] = []
        self._output = bytearray()

    def _start(self, session: Conversation) -> None:
        self._session = session
        self._request = session.start()
        self._pump()

    # -- the client's side ----------------------------------------------------------

    def send(self, *pieces: bytes) -> None:
        """Octets from the client, each piece as one packet."""
        self._input.extend(pieces)
        self._pump()

    def take(self) -> bytes:
        """What the server said since the last call."""
        out = bytes(self._output)
        self._output.clear()
        return out

    def hang_up(self) -> None:
        """The client goes away."""
        self._input.append(b"")
        self._pump()

    def line(self) -> bytes | None:
        """The next line of output, for dialogs; None: closed, or it waits for us."""
        end = self._output.find(b"\r\n")
        if end < 0:
            return None
        line = bytes(self._output[:end])
        del self._output[: end + 2]
        return line

    def is_closed(self) -> bool:
        """The session is over, and all was read."""
        return self.closed and not self._output

    # -- the shell's side -------------------------------------------------------------

    @abstractmethod
    def _answer(self, request: Request[object]) -> object:
        """Answers a request; raises Blocked when the client must act first."""

    def _pump(self) -> None:
        while self._request is not None:
            try:
                answer = self._answer(self._request)
            except Blocked:
                self._collect()
                return
            except (MailboxError, PermanentFailure, TemporaryFailure) as error:
                self._request = self._session.throw(error)
            else:
                self._request = self._session.send(answer)
        self._collect()
        self.closed = True

    def _collect(self) -> None:
        data = self._session.take_output()
        if data:
            self.flushes.append(len(data))
        self._output += data

    def _read(self, request: Read) -> bytes:
        self._collect()
        if not self._input:
            raise Blocked
        piece = self._input.pop(0)
        if len(piece) > request.most:
            self._input.insert(0, piece[request.most :])
        return piece[: request.most]
