"""Drives an IMAP session without sockets, threads or clock: its shell, for tests."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mailstack.imap.options import ImapOptions
from mailstack.imap.requests import (
    Announce,
    Changed,
    Compress,
    Discard,
    Flush,
    Identified,
    Login,
    LoginRefused,
    OnStore,
    Read,
    Request,
    Spill,
    StartTls,
    Unauthenticate,
    Wait,
)
from mailstack.imap.session import Session
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.mailbox import AccountStore
from mailstack.model.secret import Proof
from mailstack.sasl import exchange
from mailstack.sasl.setup import Setup
from tests.kit.bare_shell import UNIX_TIME, BareShell, Blocked
from tests.kit.memory_mailbox import MemoryMailbox

USER, PASSWORD = "alice@example.test", "wonder land"
ACCOUNT = Account(1, Address("alice", "example.test"))


class _Spool:
    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> str:
        return str(self._path)


class BareSession(BareShell):
    """The shell of an IMAP session.

    Attributes:
        unix_time: its calendar; 1 January 2026.
        announced: folders said to have changed.
        spools: temporary files that exist now.
        identified: what the log is told of the client.
    """

    def __init__(
        self,
        store: AccountStore | None = None,
        *,
        options: ImapOptions | None = None,
        tls: bool = True,
        can_start_tls: bool = False,
        folder: Path | None = None,
        offer: exchange.Offer = exchange.PASSWORDS,
    ) -> None:
        super().__init__()
        self.store: AccountStore = store if store is not None else MemoryMailbox()
        self.unix_time = UNIX_TIME
        self.announced: list[str] = []
        self.spools: dict[str, Path] = {}
        self.started_tls = False
        self.poked = False
        self.identified: list[str] = []
        self._changed: set[str] = set()
        self._folder = folder
        self.session = Session(
            Setup(
                options or ImapOptions(),
                "mail.example.test",
                clock=lambda: self.time,
                now=lambda: self.unix_time,
                tls=tls,
                can_start_tls=can_start_tls,
                offer=lambda: offer,
            )
        )
        self._start(self.session)

    # -- the client's side ----------------------------------------------------------

    def ask(self, *pieces: bytes) -> bytes:
        """Sends, and gives the answer."""
        self.take()
        self.send(*pieces)
        return self.take()

    def command(self, text: bytes) -> bytes:
        """One command with the tag `t`; gives everything said."""
        return self.ask(b"t " + text + b"\r\n")

    def log_in(self) -> BareSession:
        """Logs in."""
        assert b"t OK" in self.command(b'LOGIN "%b" "%b"' % (USER.encode(), PASSWORD.encode()))
        return self

    def select(self, name: bytes = b"INBOX") -> BareSession:
        """Logs in and selects."""
        self.log_in()
        assert b"t OK" in self.command(b"SELECT " + name)
        return self

    def poke(self, *folders: str) -> None:
        """Folders have changed; "": the list of folders; none named: INBOX."""
        self.poked = True
        self._changed.update(folders or ("INBOX",))
        self._pump()

    def wake_at_deadline(self) -> None:
        """Lets time pass until what is waited for has not come."""
        request = self._request
        assert isinstance(request, Read | Wait)
        self.time = request.until
        self._request = self.session.send(None if isinstance(request, Read) else "time")
        self._pump()

    # -- the shell's side -------------------------------------------------------------

    def _answer(self, request: Request[object]) -> object:
        match request:
            case Read():
                return self._read(request)
            case Wait():
                self._collect()
                return self._woken(request)
            case Flush():
                self._collect()
            case OnStore():
                return request.work(self.store)
            case Login():
                secret = request.password
                right = bool(secret.stored_key) if isinstance(secret, Proof) else secret == PASSWORD
                good = request.login == USER and right and not request.acting_for
                return (
                    ACCOUNT if good else LoginRefused("AUTHENTICATIONFAILED", "Wrong user name or password")
                )
            case StartTls():
                self._collect()
                self.started_tls = True
            case Compress():
                self._collect()  # what follows stays readable here
            case Identified():
                self.identified.append(request.text)
            case Unauthenticate():
                self._collect()
            case Announce():
                self.announced.append(request.folder)
            case Changed():
                changed = frozenset(self._changed)
                self._changed.clear()
                return changed
            case Spill():
                return self._spill(request)
            case Discard():
                for spool in request.spools:
                    self.spools.pop(spool.path).unlink()
            case _:
                raise AssertionError(request)
        return None

    def _woken(self, request: Wait) -> str:
        if self._input:
            return "input"
        if request.changes and self.poked:
            self.poked = False
            return "changed"
        raise Blocked

    def _spill(self, request: Spill) -> _Spool:
        spool = request.spool
        if spool is None:
            path = Path(tempfile.mkdtemp(dir=self._folder)) / "spool"
            self.spools[str(path)] = path
            spool = _Spool(path)
        with open(spool.path, "ab") as file:
            file.write(request.data)
        assert isinstance(spool, _Spool)
        return spool


def fill(store: MemoryMailbox, *bodies: str) -> MemoryMailbox:
    """Puts small messages into INBOX."""
    for number, body in enumerate(bodies, 1):
        store.add("INBOX", message(subject=f"number {number}", body=body))
    return store


def message(*, subject: str = "hello", sender: str = "bob@example.net", body: str = "text") -> bytes:
    """A small message."""
    return (
        f"From: Bob <{sender}>\r\nTo: alice@example.test\r\nSubject: {subject}\r\n"
        f"Date: Thu, 1 Jan 2026 10:00:00 +0000\r\nMessage-ID: <{subject.replace(' ', '.')}@example.net>\r\n"
        f"\r\n{body}\r\n"
    ).encode()
