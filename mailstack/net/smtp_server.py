"""The SMTP server: an aiosmtpd connection with its insides replaced.

`SmtpConnection` is an `aiosmtpd.smtp.SMTP` that keeps none of the stock behaviour which
`docs/decisions` lists as wrong.  What is said is decided by the pure `smtp/session`;
what a mail's fate needs is asked of an `Acceptor`; the octets are `smtp_wire`'s.

    SmtpWire ─► _next_line ─► Session.receive ─► event
                                   │ Say ─► replies, batched
                                   └ Ask… ─► Acceptor ─► Session.…_answered

- Replies wait while a whole command line is still held (RFC 2920); they leave before
  354, before anything slow, and at 50.
- Input is held, not parsed, from STARTTLS until the handshake is done.
- A client that goes away never cancels a delivery: the session's task is its own.
- Each deadline is for a command or a block, never for an octet.

Standards: RFC 5321, RFC 2920, RFC 3207; threats T2, T3, T6, T13.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client
from mailstack.model.reply import Reply
from mailstack.net.listener import Peer
from mailstack.net.login_offer import make_offer
from mailstack.net.smtp_body import Incoming, SpoolFile
from mailstack.net.smtp_intake import GONE, SmtpIntake
from mailstack.net.smtp_sessions import make_session
from mailstack.net.smtp_shared import Shared
from mailstack.net.smtp_wire import NEVER
from mailstack.net.tls import Kind, TlsFailed, describe, start_tls
from mailstack.sasl.exchange import Offer
from mailstack.smtp import replies
from mailstack.smtp.chunks import ChunkReader
from mailstack.smtp.data import DotReader
from mailstack.smtp.events import (
    AskLogin,
    AskRecipient,
    AskSender,
    BeginData,
    BeginTls,
    Event,
    ReadChunk,
    Refusal,
    Say,
)
from mailstack.smtp.lmtp import LmtpSession
from mailstack.smtp.options import cap
from mailstack.smtp.session import Session
from mailstack.smtp.setting import Setting
from mailstack.smtp.text import Text

_log = logging.getLogger(__name__)


class SmtpServer:
    """One kind of port, by its name in `[listen]`; makes its connections and ends them."""

    def __init__(
        self, name: str, shared: Shared, *, session_s: float | None = None, starttls: bool = True
    ) -> None:
        """`session_s`: of a whole session, instead of the options'; `starttls`: where it can be had."""
        self.name = name
        self.shared = shared
        self.options = shared.options
        self.is_submission = name.startswith("submission")
        #: Only devices log in; their TLS may be as old as they are.
        self.is_legacy = name.endswith("_legacy")
        self.tls_kind: Kind = "legacy" if self.is_legacy else "submission" if self.is_submission else "mx"
        can_tls = starttls and not name.startswith("submissions")
        can_tls = can_tls and shared.tls is not None and shared.tls.is_available
        self.setting = Setting(
            shared.hostname,
            shared.options,
            starttls=can_tls,
            is_submission=self.is_submission,
            sends_reports=name != "lmtp",
        )
        options = shared.options
        usual_s = options.submission_session_s if self.is_submission else options.mx_session_s
        self.session_s = usual_s if session_s is None else session_s
        self.connections: set[SmtpConnection] = set()
        self.is_stopping = False

    def connection(self, peer: Peer) -> SmtpConnection:
        """The factory a listener wants."""
        return SmtpConnection(self, peer)

    def is_relay(self, ip: str) -> bool:
        """True for a trusted relay on port 25."""
        return self.name == "mx" and ip in self.shared.relays

    def hurry(self) -> None:
        """Stress begins: those who are waited for have little time left."""
        for connection in self.connections:
            connection.hurry()

    def stop(self) -> None:
        """Ends sessions between messages with 421; those in a message end after it."""
        self.is_stopping = True
        for connection in list(self.connections):
            connection.wake()


#: Commands of one client that are answered before others get their turn.
_IN_A_ROW: Final = 50
#: Last words to clients that send nothing at that moment.
_QUIET: Final = (replies.BYE, replies.CLOSING, replies.TIMEOUT, replies.SESSION_OVER)


class SmtpConnection(SmtpIntake):
    """One connection; see the module's head."""

    def __init__(self, server: SmtpServer, peer: Peer) -> None:
        super().__init__(peer, server.options)
        self._server = server
        self._session: Session
        self._message: Incoming | None = None
        self._is_accepting = False
        self._is_stranger = True
        self._started_at = self.loop.time()
        self._session_end = self._started_at + server.session_s
        self._shortest_limit = server.options.command_octets
        self.account: Account | None = None

    # -- the whole life -----------------------------------------------------------------

    async def run(self) -> None:
        """Serves the connection to its end."""
        self._server.connections.add(self)
        try:
            await self._handle_client()
        except Exception:  # a mistake of ours: 421, a traceback for us, nothing for the peer
            _log.exception("session with %s", self._peer.ip)
            self._write(replies.OUR_FAULT)
        finally:
            self._server.connections.discard(self)
            self._forget_account()
            self._drop_message()
            self._flush()
            self._wire.close()  # after STARTTLS the listener knows only the wire below, without close_notify
            if self._timer is not None:
                self._timer.cancel()

    async def _handle_client(self) -> None:
        peer, server = self._peer, self._server
        client = Client(peer.ip, peer.port, "", True, describe(self._wire), "", server.name)
        is_relay = server.is_relay(peer.ip)
        setting = server.setting.for_relay if is_relay else server.setting
        self._is_stranger = server.name == "mx" and not is_relay
        acceptor = server.shared.acceptor
        session = self._session = make_session(setting, client, acceptor, offer=self._offer)
        check_recipient = acceptor.check_recipient
        say = await self._greet()
        deadline, in_a_row = NEVER, 0
        while say is None or not say.close:
            in_a_row += 1
            line = self._next_line() if in_a_row <= _IN_A_ROW else None
            if line is None:
                in_a_row = 0
                if deadline == NEVER:
                    deadline = self._command_deadline()
                say = await self._more(deadline)
                if say is not None:
                    say = await self._say(say)
                continue
            deadline = NEVER
            if len(line) > self._shortest_limit and len(line) > session.line_limit(line):
                say = await self._say(session.line_too_long(line))
                continue
            event = session.receive(line)
            # What every mail has is found out here, the rest in a place of its own.
            if type(event) is Say:
                say = event
            elif type(event) is AskRecipient:
                say = session.recipient_answered(await check_recipient(session.client, *event))
            elif type(event) is AskSender:
                say = await self._sender(event)
            else:
                say = await self._find_out(event)
                if say is None:
                    continue
            if say.is_last or say.delay_s or say.refusal is not None or say.close or say.before:
                say = await self._say(say)
            else:
                self._write(say.reply)
        if say is not GONE:
            await self._linger(may_be_sending=say.reply not in _QUIET)

    async def _greet(self) -> Say | None:
        """Says 220, unless the client spoke first (S35) or is not wanted."""
        refusal = await self._server.shared.acceptor.connected(self._session.client)
        if refusal is not None:
            said = Say(refusal, close=True, refusal=Refusal("connect", "client"))
            return await self._say(said)
        if self._options.greeting_wait_s:
            await self._input(self.loop.time() + self._options.greeting_wait_s)
        if early := self._early():
            session = self._session
            return await self._say(
                session.spoke_tls() if session.is_foreign(early) else session.spoke_early()
            )
        self._write(self._session.greeting())
        return None

    # -- waiting --------------------------------------------------------------------------

    async def _more(self, deadline: float) -> Say | None:
        """Gets more input for the command loop, or says why the session ends."""
        session, rest = self._session, self._buffer
        if rest and not self._lines:
            if session.is_foreign(rest) and not session.client.tls:
                return session.spoke_tls()
            if len(rest) > session.line_limit(rest) + 1:
                return session.line_too_long(rest)
        has_more = bool(self._lines or self._chunks)
        if not has_more:
            self._held = len(rest)
        self._flush()
        if self._message is not None and not session.is_chunking:
            self._drop_message()
        if self._has_eof and not has_more:
            return GONE
        if self._last_word is not None or self._server.is_stopping:
            return Say(self._last_word or replies.CLOSING, close=True)
        if self._is_write_paused:
            return await self._wait_for_output()
        if has_more:
            await asyncio.sleep(0)  # others get their turn
            return None
        if await self._input(deadline):
            return None
        if self.loop.time() >= self._session_end:
            return Say(replies.SESSION_OVER, close=True, refusal=Refusal("command", "session"))
        return Say(replies.TIMEOUT, close=True, refusal=Refusal("command", "timeout"))

    async def _wait_for_output(self) -> Say | None:
        if await self._output(self.loop.time() + self._wait_s(self._options.output_wait_s)):
            return None
        self._wire.abort()
        self._is_lost = self._has_eof = True
        return Say(replies.TIMEOUT, close=True, refusal=Refusal("command", "output_timeout"))

    def hurry(self) -> None:
        """Cuts a wait for the client that began before the stress."""
        account = self._session.account
        is_patient = self._is_accepting or (account is not None and account.kind == "device")
        soon = self.loop.time() + self._options.stress_wait_s
        if self._waiter is not None and soon < self._deadline < NEVER and not is_patient:
            self._arm(soon)

    def _wait_s(self, seconds: float) -> float:
        return min(seconds, self._options.stress_wait_s) if self._server.shared.is_stressed() else seconds

    def _on_deadline(self) -> None:
        if not self._is_accepting:
            super()._on_deadline()
            return
        # RFC 1047: the delivery goes on, and its outcome is in the log.
        self._log_refusal(replies.LATE_ANSWER, Refusal("end", "late"))
        self._write(replies.LATE_ANSWER)
        self._flush()
        self._wire.close()

    def _command_deadline(self) -> float:
        self._session.is_stressed = self._is_stranger and self._server.shared.is_stressed()
        return min(self.loop.time() + self._wait_s(self._options.command_wait_s), self._latest())

    def _latest(self) -> float:
        """When the session must have ended or logged in, by the loop's clock."""
        if self._server.is_submission and self._session.account is None:
            return min(self._session_end, self._started_at + self._options.login_wait_s)
        return self._session_end

    async def _say(self, say: Say) -> Say:
        """Says it, late when that is the penalty, and logs it; gives what was said in the end."""
        if say is GONE:
            return say
        if say.is_last and self._has_pending():
            say = self._session.spoke_early()
        if say.delay_s:
            self._flush()
            await asyncio.sleep(say.delay_s)
        if say.refusal is not None:
            self._log_refusal(say.reply, say.refusal)
        for reply in say.before:
            self._write(reply)
        self._write(say.reply)
        if say.then is not None:
            self._write(say.then)
        return say

    def _log_refusal(self, reply: Reply, refusal: Refusal, login: str = "") -> None:
        client, check = self._session.client, reply.check or refusal.check
        self._server.shared.maillog.refused(
            "",
            peer=client.ip,
            at=refusal.at,
            check=check,
            code=reply.code,
            status=reply.enhanced,
            why=reply.text,
            sender=refusal.sender or self._session.sender,
            to=refusal.to,
            login=client.login or login,
            key=refusal.key,
            received_by=[refusal.to] if refusal.check == "recipient" else (),
        )

    # -- questions ------------------------------------------------------------------------

    async def _find_out(self, event: Event) -> Say | None:
        match event:
            case BeginData():
                return await self._data(event)
            case ReadChunk():
                return await self._chunk(event)
            case AskLogin():
                return await self._login(event)
            case BeginTls():
                return await self._start_tls(event)
            case AskSender() | AskRecipient() | Say():
                raise AssertionError("answered in the command loop")

    async def _sender(self, event: AskSender) -> Say:
        shared = self._server.shared
        reply = None if shared.has_room() else replies.NO_SPACE
        if reply is None:
            reply = await shared.acceptor.check_sender(self._session.client, event.account, event.mail)
        return self._session.sender_answered(reply)

    async def _login(self, event: AskLogin) -> Say:
        session = self._session
        self._flush()
        answer = await self._server.shared.acceptor.authenticate(
            session.client, event.credentials, event.mechanism
        )
        if isinstance(answer, Account) and self._server.is_legacy and answer.kind != "device":
            answer = replies.DEVICES_ONLY
            self._log_refusal(answer, Refusal("auth", answer.check), event.credentials.login)
        if isinstance(answer, Account):
            answer = self._remember_account(answer)
            if isinstance(answer, Reply):
                self._log_refusal(answer, Refusal("auth", answer.check), event.credentials.login)
        return session.login_answered(answer)

    def _offer(self) -> Offer:
        return make_offer(self._server.shared.verifier, self._wire)

    def _remember_account(self, account: Account) -> Account | Reply:
        sessions = self._server.shared.sessions
        most = cap(self._options.submission_sessions_per_account)
        # First counted, then compared: two workers at once never let in one too many.
        count = sessions.add(str(account.id), 1)
        if most is not None and count > most:
            sessions.add(str(account.id), -1)
            sessions.reap()  # of workers that died: the next try may succeed
            text = f"{account.address} has {most} connections open; close one first"
            return Reply(454, "7.0", text, "account_connections")
        self.account = account
        return account

    def _forget_account(self) -> None:
        if self.account is not None:
            self._server.shared.sessions.add(str(self.account.id), -1)
            self.account = None

    async def _start_tls(self, event: BeginTls) -> Say | None:
        """The STARTTLS box: see net/tls.py."""
        contexts = self._server.shared.tls
        assert contexts is not None
        if self._has_pending():
            return self._session.spoke_early()
        self._write(event.reply)
        self._flush()
        try:
            self._wire = await start_tls(
                self._wire,
                self,
                contexts.get(self._server.tls_kind, self._peer.ip),
                handshake_s=self._wait_s(self._options.tls_handshake_s),
            )
        except TlsFailed as error:
            self._is_lost = self._has_eof = True
            peer, write = self._peer.ip, self._server.shared.maillog.write
            write("tls_failed", refused_to=[peer], peer=peer, listener=self._server.name, why=error.why)
            return GONE
        self._session.tls_started(describe(self._wire))
        return None

    # -- the message ------------------------------------------------------------------------

    async def _data(self, event: BeginData) -> Say | None:
        if self._has_pending():
            return self._session.spoke_early()  # S34
        self._write(event.reply)
        self._flush()
        limits = {"max_octets": event.max_octets, "max_line_octets": self._options.line_octets}
        message = self._new_message(DotReader(**limits))
        try:
            interrupted = await self._read_to_dot(message, wait_s=self._data_wait_s())
            return self._log_lost(interrupted, message) or await self._end(message)
        finally:
            message.remove()

    async def _chunk(self, event: ReadChunk) -> Say:
        wait_s, latest = self._data_wait_s(), self._latest()
        if event.refusal is not None:
            if event.refusal.close:
                return event.refusal
            thrown_away = self._read_octets(event.octets, None, wait_s=wait_s, latest=latest)
            return await thrown_away or event.refusal
        if event.is_first:
            self._drop_message()
            limits = {"max_octets": event.max_octets, "max_line_octets": self._options.line_octets}
            self._message = self._new_message(ChunkReader(**limits, is_binary=event.is_binary))
        message = self._message
        assert message is not None
        interrupted = await self._read_octets(event.octets, message, wait_s=wait_s, latest=latest)
        if interrupted is not None or not event.is_last:
            return self._log_lost(interrupted, message) or self._session.chunk_taken(event.octets)
        message.end()
        self._flush()  # the answers to the chunks before do not wait for the disk
        try:
            return await self._end(message)
        finally:
            self._drop_message()

    def _new_message(self, reader: Text) -> Incoming:
        shared = self._server.shared
        spool = SpoolFile(shared.spool_folder, shared.acceptor.new_id(), shared.disk)
        one_from = self._server.name == "mx" and not self._server.is_relay(self._peer.ip)
        return Incoming(spool, self._options, reader, one_from=one_from)

    def _drop_message(self) -> None:
        if self._message is not None:
            self._message.remove()
            self._message = None

    def _data_wait_s(self) -> float:
        if not self._server.is_submission:
            return self._wait_s(self._options.data_wait_s)
        wait_s, account = self._options.submission_data_wait_s, self._session.account
        # A scanner pauses while it scans, also when we are in a hurry, and does not come again.
        return wait_s if account is not None and account.kind == "device" else self._wait_s(wait_s)

    def _log_lost(self, interrupted: Say | None, message: Incoming) -> Say | None:
        if interrupted is GONE:
            maillog = self._server.shared.maillog
            maillog.write("lost", message.accept_id, peer=self._peer.ip, at="data")
        return interrupted

    async def _end(self, message: Incoming) -> Say:
        """The message is complete: DATA and BDAT go the same way from here."""
        judged = message.judge_held() or await message.judge()
        if isinstance(judged, Reply):
            self._log_end(judged, message.accept_id)
            return self._session.message_ended(judged)
        return await self._accept(message.accept_id, judged)

    async def _accept(self, accept_id: str, body: Body) -> Say:
        acceptor, session = self._server.shared.acceptor, self._session
        envelope = session.envelope(accept_id, acceptor.now())
        self._arm(self.loop.time() + self._options.answer_wait_s)
        self._is_accepting = True
        try:
            if isinstance(session, LmtpSession):
                said = session.each_ended(await acceptor.accept_each(envelope, body))
            else:
                said = session.message_ended(await acceptor.accept(envelope, body, session.account))
        finally:
            self._is_accepting = False
            self._deadline = NEVER
        if self._has_eof and any(reply.is_ok for reply in (said.reply, *said.before)):
            # RFC 1047, S15: who hears no answer sends the message again.
            self._server.shared.maillog.write("unheard", accept_id, peer=self._peer.ip)
        return said

    def _log_end(self, reply: Reply, accept_id: str) -> None:
        envelope = self._session.envelope(accept_id, 0.0)
        self._server.shared.maillog.refused_message(
            envelope,
            reply,
            check="message",
            received_by=[str(recipient.address) for recipient in envelope.recipients],
        )
