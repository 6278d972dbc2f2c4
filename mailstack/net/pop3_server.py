"""The POP3 shell: what differs from other protocols.

Standards: RFC 1939.  Numbers: limits, section 1.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from mailstack.net.listener import Peer
from mailstack.net.login_slots import LoginSlots
from mailstack.net.session_hub import SessionServices
from mailstack.net.session_server import SessionConnection
from mailstack.net.slotted_hub import SlottedHub
from mailstack.pop3.options import Pop3Options
from mailstack.pop3.response import err
from mailstack.pop3.session import Session


class Pop3Hub(SlottedHub["Pop3Connection"]):
    """One event loop's POP3 connections; logins are counted over all workers."""

    def __init__(self, services: SessionServices, options: Pop3Options, slots: LoginSlots) -> None:
        self.options = options
        super().__init__(
            services,
            slots,
            protocol="POP3",
            max_before_login=options.max_before_login,
            max_per_account=options.max_per_account,
            stalled_time_s=options.stalled_time_s,
        )


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
