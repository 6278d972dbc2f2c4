"""Drives a ManageSieve session without sockets, threads or clock: its shell, for tests."""

from __future__ import annotations

import base64
from dataclasses import replace

from mailstack.filters.upload import Uploads
from mailstack.managesieve.budget import CheckBudget
from mailstack.managesieve.options import ManageSieveOptions
from mailstack.managesieve.requests import Check, OnScripts
from mailstack.managesieve.session import Session
from mailstack.model.asking import Flush, Login, LoginRefused, Read, Request, StartTls, Unauthenticate
from mailstack.model.directory import Account, Plan
from mailstack.model.scripts import ScriptStore, Terms
from mailstack.model.secret import Proof
from mailstack.sasl import exchange
from mailstack.sasl.setup import Setup
from tests.kit.bare_session import ACCOUNT, PASSWORD, USER
from tests.kit.bare_shell import UNIX_TIME, BareShell
from tests.kit.memory_scripts import MemoryScripts

#: What the product offers and checks.
UPLOADS = Uploads()


def plain(login: str = USER, password: str = PASSWORD, acting_for: str = "") -> bytes:
    """The response of SASL PLAIN."""
    return base64.b64encode(f"{acting_for}\0{login}\0{password}".encode())


def terms(account: Account | None) -> Terms:
    """What the product offers."""
    return UPLOADS.terms("normal" if account is None else account.plan)


class BareManageSieve(BareShell):
    """The shell of a ManageSieve session.

    Attributes:
        scripts: of the account, in memory.
        store: the same, or another that is used in its place.
        refusal: what a right password is answered; None: it is right.
        checked: sources that were compiled.
    """

    def __init__(
        self,
        sources: dict[str, bytes] | None = None,
        *,
        options: ManageSieveOptions | None = None,
        plan: Plan = "normal",
        tls: bool = True,
        can_start_tls: bool = False,
        offer: exchange.Offer = exchange.PASSWORDS,
        store: ScriptStore | None = None,
    ) -> None:
        super().__init__()
        options = options or ManageSieveOptions()
        self.account = replace(ACCOUNT, plan=plan)
        self.scripts = MemoryScripts(self.account, sources)
        self.store: ScriptStore = store if store is not None else self.scripts
        self.refusal: LoginRefused | None = None
        self.checked: list[bytes] = []
        self.started_tls = False
        self._budget = CheckBudget(options)
        self.session = Session(
            Setup(
                options,
                "mail.example.test",
                clock=lambda: self.time,
                now=lambda: UNIX_TIME,
                tls=tls,
                can_start_tls=can_start_tls,
                offer=lambda: offer,
            ),
            terms,
        )
        self._start(self.session)

    # -- the client's side ----------------------------------------------------------

    def ask(self, text: bytes) -> bytes:
        """One command; gives everything said."""
        self.take()
        self.send(text + b"\r\n")
        return self.take()

    def log_in(self) -> BareManageSieve:
        """Logs in."""
        assert self.ask(b'AUTHENTICATE "PLAIN" "%b"' % plain()) == b'OK "Logged in"\r\n'
        return self

    def put(self, name: str, source: bytes) -> bytes:
        """PUTSCRIPT."""
        return self.ask(b'PUTSCRIPT "%b" {%d+}\r\n%b' % (name.encode(), len(source), source))

    def check(self, source: bytes) -> bytes:
        """CHECKSCRIPT."""
        return self.ask(b"CHECKSCRIPT {%d+}\r\n%b" % (len(source), source))

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
            case Flush() | Unauthenticate():
                self._collect()
            case OnScripts():
                return request.work(self.store)
            case Check():
                if not self._budget.take("alice", self.time):
                    return None
                self.checked.append(request.source)
                return UPLOADS.check(
                    request.source, self.account.plan, lambda name, place: self.store.source(name)
                )
            case Login():
                secret = request.password
                right = bool(secret.stored_key) if isinstance(secret, Proof) else secret == PASSWORD
                if request.login != USER or not right or request.acting_for:
                    return LoginRefused("AUTHENTICATIONFAILED", "Wrong user name or password")
                return self.refusal or self.account
            case StartTls():
                self._collect()
                self.started_tls = True
            case _:
                raise AssertionError(request)
        return None
