"""The sending side of SMTP: octets of the far server in, commands and events out.

One session sends any number of messages.  The shell connects, moves octets, does the TLS
handshake and streams the body; everything that depends on what the server said is here.

    while (event := session.next_event()) is not None: ...   Ready StartTls SendBody Done Broken
    write(session.data_to_send())

Standards: RFC 5321 sections 3 and 4, RFC 2033 (LMTP), RFC 2920 (PIPELINING), RFC 1870 (SIZE),
RFC 6152 (8BITMIME), RFC 3030 (BDAT), RFC 3461 (DSN), RFC 6531 (SMTPUTF8), RFC 3207 (STARTTLS),
RFC 8689 (REQUIRETLS), RFC 4954 (AUTH), RFC 8314 section 7.3 (TLS from the first octet).
Imports: model, mime, sasl.  No I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mailstack.model.reply import Reply
from mailstack.sasl.client import Login
from mailstack.smtp.client_events import (
    Answer,
    Broken,
    Done,
    Event,
    Protocol,
    Ready,
    SendBody,
    Stage,
    StartTls,
    TlsMode,
    Transaction,
    Wait,
)
from mailstack.smtp.client_login import LoggingIn
from mailstack.smtp.client_reply import BadReply, ReplyReader, with_status
from mailstack.smtp.client_transaction import Sending, unless_ok

__all__ = ["ClientSession"]

#: What a server may say while the message is sent; it is read afterwards.
MAX_EARLY_OCTETS = 65_536


@dataclass(slots=True)
class _Expected:
    stage: Stage
    wait: Wait
    take: Callable[[Reply], None]


class ClientSession:
    """One connection's dialog.

    Attributes:
        extensions: what the server announced last: keyword in upper case -> parameters.
        is_tls: after `tls_done`.
        is_verified: the server's certificate is that of the host we meant.
        protocol: which of the two is spoken.
        closed: no event follows; the shell closes the connection.
        is_ready: a transaction may be sent.
        replies: whole replies read so far; the shell's time limits begin anew with each.
    """

    def __init__(
        self,
        *,
        helo: str,
        tls: TlsMode = "opportunistic",
        login: Callable[[], Login] | None = None,
        protocol: Protocol = "smtp",
        loop_name: str = "",
    ) -> None:
        """Waits for the greeting.

        Args:
            helo: our full name.
            tls: of no effect once `is_tls` (`begin_over_tls`).
            login: for AUTH, only over TLS; asked when it is time, None: nobody.
            loop_name: a server that calls itself so is ourselves (Q11); "": whoever it is.
        """
        self.extensions: dict[str, str] = {}
        self.is_tls = False
        self.is_verified = False
        self.protocol = protocol
        self.closed = False
        self.is_ready = False
        self.replies = 0
        self._helo = helo
        self._tls = tls
        self._login = login
        self._loop_name = loop_name.lower()
        self._reader = ReplyReader()
        self._out: list[bytes] = []
        self._events: deque[Event] = deque()
        self._expected: deque[_Expected] = deque()
        self._sending: Sending | None = None
        self._is_sending_body = False
        self._is_quitting = False
        self._taken: Stage = "greeting"
        self.expect("greeting", self._greeted)

    # -- for the shell ----------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Octets from the server; b"" at their end."""
        if self.closed:
            return
        self._reader.receive(data)
        if self._is_sending_body and self._reader.held_octets > MAX_EARLY_OCTETS:
            self._break(Reply(451, "5.0", "The server talks while it should listen"))
            return
        self._read()
        if not data and not self.closed:
            self._read_last_words()

    def fail(self, why: str) -> None:
        """The connection failed, or the server took too long: `why` in words."""
        if not self.closed:
            self._break(Reply(451, "4.2", why), is_unanswered=True)

    def next_event(self) -> Event | None:
        """The next event; None: give me more octets."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """Octets for the server."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    @property
    def wait(self) -> Wait:
        """Which time limit holds for the next octets."""
        if self._is_sending_body:
            return "body"
        return self._expected[0].wait if self._expected else "none"

    def begin_over_tls(self, *, is_verified: bool = False) -> None:
        """The handshake came before everything else (port 465)."""
        self.is_tls = True
        self.is_verified = is_verified

    def tls_done(self, *, is_verified: bool = False) -> None:
        """The handshake succeeded: whatever was said before is forgotten (RFC 3207 section 4.2)."""
        self.is_tls = True
        self.is_verified = is_verified
        self.extensions = {}
        self._say_ehlo()

    def send(self, transaction: Transaction) -> None:
        """Starts a message; only after Ready."""
        assert self.is_ready
        self.is_ready = False
        self._sending = Sending(self, transaction)
        self._sending.start()

    def body_done(self) -> None:
        """The final dot, or the last octet of a chunk, has left."""
        assert self._sending is not None
        self._is_sending_body = False
        self._sending.body_left()
        self._read()

    def quit(self) -> None:
        """Says goodbye; the answer only closes."""
        if self.closed or self._sending is not None:
            self.closed = True
            return
        self.is_ready = False
        self._is_quitting = True
        self.say("QUIT")
        self.expect("end", self._said_goodbye, wait="quit")

    # -- reading ------------------------------------------------------------------------

    def _read(self) -> None:
        while not self.closed and not self._is_sending_body:
            try:
                reply = self._reader.next_reply()
            except BadReply as error:
                # What cannot be read is no answer: after the dot it may have been a yes (P4).
                self._break(Reply(451, "5.0", f"The server {error.why}"), is_unanswered=True)
                return
            if reply is None:
                return
            self._take(with_status(reply))

    def _read_last_words(self) -> None:
        """The server closed; what it said before, even during the body, counts."""
        if self._is_sending_body and self._sending is not None:
            self._is_sending_body = False
            self.expect("data", self._sending.ended)
            self._read()
        if not self.closed:
            self._break(_gone(self._stage), is_unanswered=True)

    def _take(self, reply: Reply) -> None:
        self.replies += 1
        if not self._expected:
            # RFC 5321 section 3.8: 421 may come at any time; anything else was not asked for.
            self._break(
                reply if reply.code == 421 else Reply(451, "5.0", "The server answered what nobody asked")
            )
            return
        expected = self._expected[0]
        if reply.code == 421 and not self._is_quitting:
            self._break(reply)
            return
        self._taken = self._expected.popleft().stage
        expected.take(reply)

    @property
    def _stage(self) -> Stage:
        return self._expected[0].stage if self._expected else self._taken

    def expect(self, stage: Stage, take: Callable[[Reply], None], *, wait: Wait = "command") -> None:
        """The next reply nobody waits for yet goes to `take`."""
        self._expected.append(_Expected(stage, wait, take))

    def say(self, line: str) -> None:
        """One command line."""
        # Nothing that reaches this point may hold a line end; this is the last door.
        if "\r" in line or "\n" in line:
            raise ValueError("a command is one line")
        self._out.append(line.encode("utf-8") + b"\r\n")

    def _break(self, reply: Reply, *, is_unanswered: bool = False, is_ours: bool = False) -> None:
        """The connection is of no more use."""
        stage = self._stage if is_unanswered or reply.code == 421 else self._taken
        ours = is_unanswered or is_ours or reply.status == "5.0"
        self._expected.clear()
        sending, self._sending = self._sending, None
        self._is_sending_body = False
        self.is_ready = False
        self.closed = True
        if self._is_quitting:
            return
        if sending is not None:
            self._events.append(sending.broken(reply, stage, is_ours=ours))
        self._events.append(Broken(Answer(reply, stage, is_ours=ours)))

    # -- opening ------------------------------------------------------------------------

    def _greeted(self, reply: Reply) -> None:
        if reply.code != 220:
            # RFC 5321 section 3.1: the server does not serve us; QUIT is polite.
            self.say("QUIT")
            self._break(unless_ok(reply))
            return
        self._say_ehlo()

    def _say_ehlo(self) -> None:
        self.say(f"{'LHLO' if self.protocol == 'lmtp' else 'EHLO'} {self._helo}")
        self.expect("ehlo", self._ehlo_answered)

    def _ehlo_answered(self, reply: Reply) -> None:
        if reply.code >= 500 and self.protocol == "smtp":
            # RFC 5321 section 3.2: a server without extensions is still a server.
            self.say(f"HELO {self._helo}")
            self.expect("ehlo", self._helo_answered)
        elif reply.code != 250:
            self._break(unless_ok(reply))
        else:
            self._greeted_by(reply, _extensions(reply))

    def _helo_answered(self, reply: Reply) -> None:
        if reply.code != 250:
            self._break(unless_ok(reply))
            return
        self._greeted_by(reply, {})

    def _greeted_by(self, reply: Reply, extensions: dict[str, str]) -> None:
        if self._loop_name and reply.text.partition("\n")[0].split(" ")[0].lower() == self._loop_name:
            # Q11: whatever DNS says, and behind whatever address: it is this very server.
            self._taken = "check"
            why = f"The mail comes back to us: the server calls itself {self._loop_name}"
            self._break(Reply(554, "4.6", why), is_ours=True)
            return
        self.extensions = extensions
        self._secure()

    def _secure(self) -> None:
        if self.is_tls or self._tls == "none":
            self._log_in()
        elif "STARTTLS" in self.extensions:
            self.say("STARTTLS")
            self.expect("starttls", self._tls_answered)
        elif self._tls == "require":
            why = "The server does not offer TLS, and we do not send without"
            self._break(Reply(451, "7.4", why), is_ours=True)
        else:
            self._log_in()

    def _tls_answered(self, reply: Reply) -> None:
        if reply.code == 220:
            if not self._reader.is_empty:
                # L15, T4: what came in clear must never be read as said under TLS.
                self._break(Reply(451, "7.0", "The server sent octets between STARTTLS and the handshake"))
                return
            self._events.append(StartTls())
        elif self._tls == "require":
            why = f"The server offers TLS but refuses to start it: {reply.text}"
            self._break(Reply(451, "7.4", why), is_ours=True)
        else:
            self._log_in()

    def _log_in(self) -> None:
        if self._login is None:
            self._become_ready()
        elif "AUTH" not in self.extensions or not self.is_tls:
            self.refuse_login("The relay host offers no login over TLS")
        else:
            LoggingIn(self, self._login()).start()

    def logged_in(self) -> None:
        """AUTH succeeded."""
        self._become_ready()

    def refuse_login(self, why: str) -> None:
        """No message goes this way until an operator mends it; that is never the sender's fault (Q25)."""
        self._taken = "auth"
        self._break(Reply(451, "7.8", why), is_ours=True)

    def _become_ready(self) -> None:
        self.is_ready = True
        self._events.append(Ready())

    def _said_goodbye(self, reply: Reply) -> None:
        self.closed = True

    # -- a transaction's end --------------------------------------------------------------

    def begin_body(self, *, is_raw: bool = False) -> None:
        """The server waits for the message and somebody is there to receive."""
        self._is_sending_body = True
        self._events.append(SendBody(is_raw))

    def give_up(self, reply: Reply) -> None:
        """The server does what it must not; the connection ends."""
        self._break(reply)

    def end_transaction(self, answers: tuple[Answer, ...], *, needs_reset: bool = False) -> None:
        """All answers are in."""
        self._sending = None
        is_final = self.protocol == "lmtp"
        self._events.append(
            Done(answers, relays_reports="DSN" in self.extensions and not is_final, is_final=is_final)
        )
        if needs_reset:
            self.say("RSET")
            self.expect("mail", self._was_reset)
        else:
            self.is_ready = True

    def _was_reset(self, reply: Reply) -> None:
        if reply.code == 250:
            self._become_ready()
        else:
            self._break(unless_ok(reply))


def _extensions(reply: Reply) -> dict[str, str]:
    """Keywords and parameters of an EHLO answer; the first line is a greeting."""
    found: dict[str, str] = {}
    for line in reply.text.split("\n")[1:]:
        # AUTH=LOGIN is how it stood before RFC 4954.
        name, _, parameters = line.replace("=", " ", 1).partition(" ")
        keyword = name.upper()
        # Old servers have both AUTH and AUTH=, with names of their own in each.
        before = f"{found[keyword]} " if keyword == "AUTH" and keyword in found else ""
        found[keyword] = before + parameters.strip()
    return found


def _gone(stage: Stage) -> Reply:
    words = {
        "greeting": "before its greeting",
        "end": "after the message was sent, before its answer",
        "data": "while the message was sent",
    }
    return Reply(451, "4.2", f"The server closed the connection {words.get(stage, 'in the middle')}")
