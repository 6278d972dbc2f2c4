"""The session of 465 and 587: as strict as any, and patient with printers and scanners.

Whatever a client calls itself in HELO is taken.  A device that is known by its address
(`device`) need not log in, nor use TLS: it is that account, unless somebody logs in.  What
a device writes into MAIL counts for little, since its sender is its own address: when it
cannot be read, it is left out.

Standards: RFC 6409, RFC 5321 section 4.1.1.1 (which wants a host name in EHLO).
Imports: smtp.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, cast

from mailstack.model.directory import Account
from mailstack.model.errors import PeerError
from mailstack.smtp import replies
from mailstack.smtp.events import Event
from mailstack.smtp.session import MAX_HELO, Session

_HELLOS: Final = (b"EHLO", b"HELO")
_NO_NAME: Final = b"unnamed"
_ODD = re.compile(rb"[^!-~]+")
_FROM = re.compile(rb"FROM *:", re.IGNORECASE)


class SubmissionSession(Session):
    """See the module's head.

    Attributes:
        device: who may send from this client's address without a login; None: nobody.
    """

    device: Account | None = None

    def receive(self, line: bytes) -> Event:
        """Takes a line, without its CRLF."""
        if line[:4].upper() in _HELLOS and not self._login.is_open:
            line = tolerable_hello(line)
        return super().receive(line)

    @property
    def _needs_tls(self) -> bool:
        return super()._needs_tls and self.device is None

    def _hello(self, argument: bytes, *, esmtp: bool) -> Event:
        is_by_address = self.client.by_address
        event = super()._hello(argument, esmtp=esmtp)
        if is_by_address:
            self.client = replace(self.client, by_address=True)
        return event

    def tls_started(self, description: str) -> None:
        """See Session; who was known by its address may log in now."""
        super().tls_started(description)
        self._forget_device()

    def _auth_submission(self, argument: bytes) -> Event:
        if not self.client.tls and self._has_hello:
            # A password in clear is no better from a device's address.
            return self._error(replies.TLS_FIRST, "command", "tls_first")
        if self._transaction is None:
            self._forget_device()
        return self._auth(argument)

    def _mail_submission(self, argument: bytes) -> Event:
        if self.account is None and self.device is not None and self._has_hello:
            self.account = self.device
            self.client = replace(self.client, login=str(self.device.address), by_address=True)
        try:
            return self._mail(argument)
        except PeerError:
            account = self.account
            if account is None or account.kind != "device" or not _FROM.match(argument):
                raise
            return self._mail(b"FROM:<%b>" % str(account.address).encode())

    def _forget_device(self) -> None:
        if self.client.by_address:
            self.account = None
            self.client = replace(self.client, login="", by_address=False)


def tolerable_hello(line: bytes) -> bytes:
    """HELO or EHLO with a name that can be shown: a word of printable ASCII, not too long."""
    verb, rest = line[:4], line[4:]
    if rest[:1] not in (b"", b" ", b"\t"):
        return line  # another word
    name = _ODD.sub(b"-", rest.strip(b" \t"))[:MAX_HELO]
    return verb + b" " + (name or _NO_NAME)


SubmissionSession.handlers = cast(
    "Mapping[str, Callable[[Session, bytes], Event]]",
    {
        **Session.handlers,
        "AUTH": SubmissionSession._auth_submission,
        "MAIL": SubmissionSession._mail_submission,
    },
)
