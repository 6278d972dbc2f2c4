"""Logging in at a relay: AUTH and its challenges, one mechanism after the other.

Standards: RFC 4954 sections 4 and 6, RFC 4422.
Imports: model, sasl.  No I/O.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from mailstack.model.reply import Reply
from mailstack.sasl import client as sasl
from mailstack.sasl.client import Login, Mechanism

if TYPE_CHECKING:
    from mailstack.smtp.client import ClientSession

#: RFC 5321 section 4.5.3.1.4: a longer command line may not be taken.
MAX_COMMAND_OCTETS = 512
#: Such words of a server are about the mechanism or the proof: another one may do.
_TRY_ANOTHER = (500, 501, 502, 503, 504, 534, 535, 538)


class LoggingIn:
    """One login.  Whatever goes wrong is our trouble, never the sender's (Q25)."""

    def __init__(self, session: ClientSession, login: Login) -> None:
        """Nothing is said before `start`."""
        self._session = session
        offered = session.extensions.get("AUTH", "").upper().split()
        self._left = sasl.choose(login, offered)
        self._password = login.password
        self._said: list[str] = []
        self._now: Mechanism | None = None
        self._is_first_due = False

    def start(self) -> None:
        """Says AUTH."""
        if not self._left:
            self._fail("The relay host offers no login that we know")
            return
        self._now = mechanism = self._left.pop(0)
        first = mechanism.first()
        line = f"AUTH {mechanism.name}"
        if first is not None:
            encoded = self._encode(first)
            self._is_first_due = len(line) + len(encoded) + 3 > MAX_COMMAND_OCTETS
            line += "" if self._is_first_due else f" {encoded}"
        self._session.say(line)
        self._session.expect("auth", self._answered)

    def _answered(self, reply: Reply) -> None:
        assert self._now is not None
        if reply.code == 334:
            self._challenged(self._now, reply.text)
        elif reply.code == 235 and self._now.is_proven:
            self._session.logged_in()
        elif reply.code == 235:
            self._fail("The relay host does not show that it knows our password")
        elif reply.code in _TRY_ANOTHER and self._left:
            self.start()
        else:
            self._fail(f"The relay host refuses our login: {reply.code} {reply.text}")

    def _challenged(self, mechanism: Mechanism, text: str) -> None:
        try:
            if self._is_first_due:
                self._is_first_due = False
                answer = mechanism.first() or b""
            elif mechanism.name == "LOGIN":
                answer = mechanism.respond(b"")  # many do not even encode their question
            else:
                answer = mechanism.respond(sasl.decode(text.encode()))
        except sasl.Failed as error:
            self._fail(f"The relay host {error.why}")
            return
        self._session.say(self._encode(answer))
        self._session.expect("auth", self._answered)

    def _encode(self, octets: bytes) -> str:
        encoded = base64.b64encode(octets).decode("ascii")
        self._said.append(encoded)
        return encoded

    def _fail(self, why: str) -> None:
        # A server that repeats what we said must not have it written into logs and reports.
        for secret in sorted({self._password, *self._said} - {""}, key=len, reverse=True):
            why = why.replace(secret, "(hidden)")
        self._session.refuse_login(why)
