"""The POP3 shell: what differs from other protocols.

Standards: RFC 1939.  Numbers: limits, section 1.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable

from mailstack.model.directory import Account
from mailstack.net.listener import Peer
from mailstack.net.login_slots import LoginSlots
from mailstack.net.session_hub import SessionHub, SessionServices, account_key
from mailstack.net.session_server import SessionConnection
from mailstack.pop3.options import Pop3Options
from mailstack.pop3.response import err
from mailstack.pop3.session import Session

_log = logging.getLogger(__name__)


class Pop3Hub(SessionHub["Pop3Connection"]):
    """One event loop's POP3 connections; logins are counted over all workers."""

    def __init__(self, services: SessionServices, options: Pop3Options, slots: LoginSlots) -> None:
        self.options = options
        self._slots = slots
        super().__init__(
            services,
            max_before_login=options.max_before_login,
            max_per_account=options.max_per_account,
            max_per_account_and_address=options.max_per_account,
            stalled_time_s=options.stalled_time_s,
        )

    def log_in(self, connection: Pop3Connection, account: Account) -> str:
        """Counts a login; "" or why there are too many."""
        try:
            slot = self._slots.take(account_key(account))
        except OSError as error:
            _log.error("counting the sessions of %s: %s", account.address, error.strerror)
            return "Sessions cannot be counted now"
        if slot is None:
            return f"This account has {self.options.max_per_account} POP3 sessions already"
        why = super().log_in(connection, account)
        if why:
            self._slots.release(slot)
        else:
            connection.slot = slot
        return why

    def leave(self, connection: Pop3Connection) -> None:
        """The connection is over."""
        super().leave(connection)
        if connection.slot is not None:
            self._slots.release(connection.slot)
            connection.slot = None


class Pop3Connection(SessionConnection):
    """One connection; made by a listener, which calls `run`."""

    def __init__(
        self, hub: Pop3Hub, peer: Peer, *, start_tls: Callable[[str], ssl.SSLContext] | None = None
    ) -> None:
        """`start_tls`: gives the context for STLS; None: not offered."""
        super().__init__(hub, peer, start_tls=start_tls)
        self.slot: int | None = None
        self._hub = hub

    def _new_session(self) -> Session:
        options = self._hub.options
        return Session(self._setup(options, plaintext=options.allow_plaintext_loopback))

    def _farewell(self, text: str, code: str) -> bytes:
        return err(text, "SYS/TEMP")
