"""Drives a POP3 session without sockets, threads or clock: its shell, for tests."""

from __future__ import annotations

from dataclasses import replace

from mailstack.model.asking import Announce, Flush, Login, LoginRefused, OnStore, Read, Request, StartTls
from mailstack.model.mailbox import AccountStore
from mailstack.pop3.options import Pop3Options
from mailstack.pop3.session import Session
from mailstack.sasl.setup import Setup
from tests.kit.bare_session import ACCOUNT, PASSWORD, USER
from tests.kit.bare_shell import UNIX_TIME, BareShell
from tests.kit.memory_mailbox import MemoryMailbox


class BarePop3(BareShell):
    """The shell of a POP3 session.

    Attributes:
        announced: folders said to have changed.
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
        super().__init__()
        self.store: AccountStore = store if store is not None else MemoryMailbox()
        self.account = replace(ACCOUNT, pop3_delete_after_days=days)
        self.announced: list[str] = []
        self.refusal: LoginRefused | None = None
        self.started_tls = False
        self.session = Session(
            Setup(
                options or Pop3Options(),
                "mail.example.test",
                clock=lambda: self.time,
                now=lambda: UNIX_TIME,
                tls=tls,
                can_start_tls=can_start_tls,
            )
        )
        self._start(self.session)

    # -- the client's side ----------------------------------------------------------

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

    def wake_at_deadline(self) -> None:
        """Lets time pass until what is waited for has not come."""
        assert isinstance(self._request, Read)
        self.time = self._request.until
        self._request = self.session.send(None)
        self._pump()

    # -- the shell's side -------------------------------------------------------------

    def _answer(self, request: Request[object]) -> object:
        match request:
            case Read():
                return self._read(request)
            case Flush():
                self._collect()
            case OnStore():
                return request.work(self.store)
            case Login():
                if (request.login, request.password, request.acting_for) != (USER, PASSWORD, ""):
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
