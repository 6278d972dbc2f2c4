"""Drives a POP3 session without sockets, threads or clock: its shell, for tests."""

from __future__ import annotations

from dataclasses import replace

from mailstack.model.asking import Announce, Flush, Login, LoginRefused, OnStore, Read, Request, StartTls
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.pop3.options import Pop3Options
from mailstack.pop3.session import Session
from mailstack.sasl.setup import Setup
from tests.kit.bare_session import ACCOUNT, PASSWORD, USER
from tests.kit.memory_mailbox import MemoryMailbox


class BarePop3:
    """`send` octets, read `take()`; everything happens at once.

    Attributes:
        time: the session's clock, in seconds; `wake_at_deadline` moves it on.
        announced: folders said to have changed.
        flushes: octets of each piece of output.
        refusal: what a right password is answered; None: it is right.
    """

    def __init__(
        self,
        store: AccountStore | None = None,
        *,
        options: Pop3Options | None = None,
        tls: bool = True,
        can_start_tls: bool = False,
        days: int | None = None,
    ) -> None:
        self.store: AccountStore = store if store is not None else MemoryMailbox()
        self.account = replace(ACCOUNT, pop3_delete_after_days=days)
        self.time = 1000.0
        self.announced: list[str] = []
        self.flushes: list[int] = []
        self.refusal: LoginRefused | None = None
        self.started_tls = False
        self.closed = False
        self._input: list[bytes] = []
        self._output = bytearray()
        self.session = Session(
            Setup(
                options or Pop3Options(),
                "mail.example.test",
                clock=lambda: self.time,
                now=lambda: 1_767_225_600.0,
                tls=tls,
                can_start_tls=can_start_tls,
            )
        )
        self._request = self.session.start()
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

    def ask(self, text: bytes) -> bytes:
        """One command; gives everything said."""
        self.take()
        self.send(text + b"\r\n")
        return self.take()

    def log_in(self) -> BarePop3:
        """Logs in."""
        self.ask(b"USER " + USER.encode())
        assert self.ask(b"PASS " + PASSWORD.encode()).startswith(b"+OK Logged in")
        return self

    def hang_up(self) -> None:
        """The client goes away."""
        self._input.append(b"")
        self._pump()

    def wake_at_deadline(self) -> None:
        """Lets time pass until what is waited for has not come."""
        assert isinstance(self._request, Read)
        self.time = self._request.until
        self._request = self.session.send(None)
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

    def _pump(self) -> None:
        while self._request is not None:
            try:
                answer = self._answer(self._request)
            except _Blocked:
                self._collect()
                return
            except (MailboxError, TemporaryFailure) as error:
                self._request = self.session.throw(error)
            else:
                self._request = self.session.send(answer)
        self._collect()
        self.closed = True

    def _collect(self) -> None:
        data = self.session.take_output()
        if data:
            self.flushes.append(len(data))
        self._output += data

    def _answer(self, request: Request[object]) -> object:
        match request:
            case Read():
                self._collect()
                if not self._input:
                    raise _Blocked
                piece = self._input.pop(0)
                if len(piece) > request.most:
                    self._input.insert(0, piece[request.most :])
                return piece[: request.most]
            case Flush():
                self._collect()
            case OnStore():
                return request.work(self.store)
            case Login():
                if (request.login, request.password) != (USER, PASSWORD):
                    return LoginRefused("AUTHENTICATIONFAILED", "Wrong user name or password")
                return self.refusal or self.account
            case StartTls():
                self._collect()
                self.started_tls = True
            case Announce():
                self.announced.append(request.folder)
            case _:
                raise AssertionError(request)
        return None


class _Blocked(Exception):
    """The session waits for the client."""
