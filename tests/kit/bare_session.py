"""Drives an IMAP session without sockets, threads or clock: its shell, for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
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
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.model.secret import Proof
from mailstack.sasl import exchange
from mailstack.sasl.setup import Setup
from tests.kit.memory_mailbox import MemoryMailbox

USER, PASSWORD = "alice@example.test", "wonder land"
ACCOUNT = Account(1, Address("alice", "example.test"))


class _Spool:
    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> str:
        return str(self._path)


class BareSession:
    """`send` octets, read `take()`; everything happens at once.

    Attributes:
        time: the session's clock, in seconds; `wake_at_deadline` moves it on.
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
        self.store: AccountStore = store if store is not None else MemoryMailbox()
        self.time = 1000.0
        self.unix_time = 1_767_225_600.0
        self.announced: list[str] = []
        self.spools: dict[str, Path] = {}
        self.flushes: list[int] = []
        self.started_tls = False
        self.poked = False
        self.identified: list[str] = []
        self._changed: set[str] = set()
        self.closed = False
        self._folder = folder
        self._input: list[bytes] = []
        self._output = bytearray()
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

    def hang_up(self) -> None:
        """The client goes away."""
        self._input.append(b"")
        self._pump()

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
                good = request.login == USER and right
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
        raise _Blocked

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


class _Blocked(Exception):
    """The session waits for the client."""


def messages(*bodies: str) -> Callable[[MemoryMailbox], None]:
    """Puts small messages into INBOX."""

    def fill(store: MemoryMailbox) -> None:
        for number, body in enumerate(bodies, 1):
            store.add("INBOX", message(subject=f"number {number}", body=body))

    return fill


def message(*, subject: str = "hello", sender: str = "bob@example.net", body: str = "text") -> bytes:
    """A small message."""
    return (
        f"From: Bob <{sender}>\r\nTo: alice@example.test\r\nSubject: {subject}\r\n"
        f"Date: Thu, 1 Jan 2026 10:00:00 +0000\r\nMessage-ID: <{subject.replace(' ', '.')}@example.net>\r\n"
        f"\r\n{body}\r\n"
    ).encode()
