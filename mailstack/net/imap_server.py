"""The IMAP shell: what only IMAP sessions ask for.

Standards: RFC 3501, RFC 2177, RFC 4978.  Numbers: limits, sections 6 and 8.
"""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mailstack.disk.durable import failure, write_all
from mailstack.imap.requests import (
    MAX_CHANGED,
    Changed,
    Compress,
    Discard,
    Identified,
    Request,
    Spill,
    Unauthenticate,
    Wait,
    Woken,
)
from mailstack.imap.response import status_line
from mailstack.imap.session import Session
from mailstack.model.asking import Conversation, HangUp
from mailstack.net.deflate import Deflate
from mailstack.net.imap_hub import ImapHub
from mailstack.net.imap_watch import Watched
from mailstack.net.listener import Peer
from mailstack.net.session_hub import account_key
from mailstack.net.session_server import SessionConnection

_log = logging.getLogger(__name__)

#: Compressed octets that are inflated in one go.
PACKED_OCTETS = 16_384
#: Temporary files of a process that is gone are removed after this long.
SWEEP_S = 3_600.0


class _SpoolFile:
    """A message on its way in, on disk."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def path(self) -> str:
        return self._path


class ImapConnection(SessionConnection):
    """One connection; made by a listener, which calls `run`."""

    # Thousands of these wait: no dictionaries.
    __slots__ = (
        "_changed",
        "_changed_folders",
        "_deflate",
        "_hub",
        "_identified",
        "_is_idle",
        "_session",
        "_spools",
        "_wants_changes",
    )

    def __init__(
        self, hub: ImapHub, peer: Peer, *, start_tls: Callable[[str], ssl.SSLContext] | None = None
    ) -> None:
        """`start_tls`: gives the context for STARTTLS; None: not offered."""
        super().__init__(hub, peer, start_tls=start_tls)
        self._hub = hub
        self._session: Session | None = None
        self._is_idle = False
        self._wants_changes = False
        self._changed = False
        self._changed_folders: set[str] | None = None  # nobody has asked yet
        self._deflate: Deflate | None = None
        self._identified = False
        self._spools: frozenset[str] = frozenset()

    # -- the hub's side ---------------------------------------------------------------

    def poke(self, folder: str) -> None:
        """A folder of the account has changed; "": the list of folders."""
        self._changed = True
        if self._changed_folders is not None and len(self._changed_folders) < MAX_CHANGED:
            self._changed_folders.add(folder)
        if self._wants_changes:
            self._wake("changed")

    def watched(self) -> Sequence[Watched]:
        """The folder this connection idles in, and those it wants to hear of at any time."""
        session, store = self._session, self._store
        if session is None or store is None or self.account is None:
            return ()
        key, view, notify = account_key(self.account), session.view, session.notify
        is_on = notify is not None and notify.is_on
        found = []
        if view is not None and (self._is_idle or is_on):
            found.append(Watched(key, store, view.folder_id, view.name, view.modseq))
        if notify is not None and is_on:
            found += [Watched(key, store, one.id, one.name, one.highest_modseq) for one in notify.watched()]
        return found

    def _owners(self) -> set[str]:
        """Address keys of others whose folders this connection waits on."""
        session = self._session
        if session is None:
            return set()
        owners = {session.view.owner} if session.view is not None else set()
        if session.notify is not None:
            owners.update(status.owner for status in session.notify.watched())
        return owners - {""}

    @property
    def _is_at_work(self) -> bool:
        view = self._session.view if self._session is not None else None
        # Somebody else's mailbox may be busy for long: never look into it on the loop.
        return super()._is_at_work or (view is not None and bool(view.owner))

    # -- compression ------------------------------------------------------------------

    @property
    def _has_input(self) -> bool:
        return bool(self._received) or (self._deflate is not None and self._deflate.has_more)

    def _take(self, most: int) -> bytes:
        if self._deflate is None:
            return super()._take(most)
        # A piece at a time: what it inflates to is bounded by `most`, whatever it is (T70).
        data = b"" if self._deflate.has_more else super()._take(PACKED_OCTETS)
        return self._deflate.unpack(data, most)

    def _write(self, data: bytes) -> None:
        super()._write(data if self._deflate is None else self._deflate.pack(data))

    async def _compress(self, session: Conversation) -> None:
        if self._received:
            session.take_output()
            raise HangUp("Octets behind COMPRESS")
        await self._flush(session)
        self._deflate = Deflate()

    # -- what is different from other protocols ---------------------------------------------

    def _new_session(self) -> Session:
        options = self._hub.options
        self._session = Session(self._setup(options, plaintext=options.allow_plaintext_loopback))
        return self._session

    def _farewell(self, text: str, code: str) -> bytes:
        return status_line(b"*", "BYE", text, code=code)

    def _left(self) -> None:
        self._session = None
        if self._spools:
            _unlink(*self._spools)

    async def _answer_more(self, session: Conversation, request: Request[object]) -> object:
        match request:
            case Wait():
                return await self._wait(session, request)
            case Changed():
                changed = frozenset(self._changed_folders or ())
                self._changed_folders = set()
                return changed
            case Unauthenticate():
                if self._deflate is not None and self._has_input:
                    raise HangUp("Octets behind UNAUTHENTICATE, compressed or not")
                await self._flush(session)
                self._deflate = None
                self._hub.log_out(self)
                self._store = None
                self._changed_folders = None
            case Identified(text):
                if not self._identified:  # once: strangers must not fill the log
                    self._identified = True
                    who = self.account.address if self.account is not None else "a stranger"
                    _log.info("%s, %s: %s", self.ip, who, text)
            case Compress():
                await self._compress(session)
            case Spill():
                return await self._spill(request)
            case Discard():
                paths = [spool.path for spool in request.spools]
                self._spools = self._spools.difference(paths)
                await self._in_thread(_unlink, *paths)
            case _:
                return await super()._answer_more(session, request)
        return None

    async def _wait(self, session: Conversation, request: Wait) -> Woken:
        await self._flush(session)
        if self._deflate is not None:
            self._deflate.rest()
        if self._has_input or self._at_end:
            return "input"
        if request.changes:
            self._is_idle = True
            self._hub.follow(self, self._owners())
            self._hub.watch.follow(self)
        if request.changes and self._changed:
            woken: Woken = "changed"
        else:
            self._wants_changes = request.changes
            try:
                woken = await self._until(request.until)
            finally:
                self._wants_changes = False
        if woken == "changed":
            self._changed = False
        self._is_idle = woken != "input"
        return woken

    # -- requests ---------------------------------------------------------------------

    async def _spill(self, request: Spill) -> _SpoolFile:
        spool = request.spool
        if spool is None:
            name = f"imap-{os.getpid()}-{os.urandom(12).hex()}"
            spool = _SpoolFile(str(self._hub.services.spool / name))
            self._spools |= {spool.path}
        await self._in_thread(_append, spool.path, request.data)
        assert isinstance(spool, _SpoolFile)
        return spool


def _append(path: str, data: bytes) -> None:
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
    except OSError as error:
        raise failure(error, "taking in a message") from error


def _unlink(*paths: str) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)


def sweep(spool: Path) -> int:
    """Removes temporary files that a process left behind; gives how many.  Blocking."""
    removed = 0
    with contextlib.suppress(OSError):
        for entry in os.scandir(spool):
            if entry.name.startswith("imap-") and entry.stat().st_mtime < time.time() - SWEEP_S:
                _unlink(entry.path)
                removed += 1
    return removed
