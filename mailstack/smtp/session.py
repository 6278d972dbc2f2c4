"""One SMTP session as a state machine: a command line in; a reply, or a question, out.

    event = session.receive(line)
    Say          send it; wait `delay_s` before, close after it when `close`
    AskSender    -> session.sender_answered(reply or None)
    AskRecipient -> session.recipient_answered(reply)
    AskLogin     -> session.login_answered(account or reply)
    BeginTls     -> say `reply`, do the handshake, session.tls_started("TLSv1.3 ...")
    BeginData    -> say `reply`, read the message, session.message_ended(reply)
    ReadChunk    -> read so many octets, say `refusal` or session.chunk_taken(n),
                    after the last chunk session.message_ended(reply)

While a question is open no further line may be given.  Order matters to pipelining:
`is_last` marks replies after which RFC 2920 lets nothing be in the air; octets that
were there already are an attack or a broken client (T2).

Standards: RFC 5321, RFC 2920 section 3.1, RFC 3030 section 2, RFC 3207 section 4,
RFC 4954 section 4.
Imports: model, sasl.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final, TypeAlias

from mailstack.model.directory import Account
from mailstack.model.envelope import Client, Envelope
from mailstack.model.errors import PeerError
from mailstack.model.reply import Reply
from mailstack.sasl import exchange as sasl
from mailstack.smtp import command, login, replies, strangers
from mailstack.smtp.events import (
    AskRecipient,
    AskSender,
    At,
    BeginData,
    BeginTls,
    Event,
    ReadChunk,
    Refusal,
    Say,
)
from mailstack.smtp.extensions import Offer, ehlo
from mailstack.smtp.login import Login
from mailstack.smtp.options import cap
from mailstack.smtp.patience import Patience
from mailstack.smtp.policy import limits
from mailstack.smtp.policy.errors import NONE
from mailstack.smtp.setting import Setting
from mailstack.smtp.transaction import Transaction, chunk_refusal, data_refusal

#: RFC 5321 section 4.5.3.1.2.
MAX_HELO: Final = 255

_RCPT_OK: Final = Say(replies.RECIPIENT_OK)
_MAIL_OK: Final = Say(replies.SENDER_OK)
#: Refused chunks below this, in octets, are noise.
_CHUNK_OF_USE: Final = 1024
_CHUNK_OK: Final = Say(replies.CHUNK_OK)


class Session(Patience):
    """The server's side of one connection.

    Args:
        client: ip, port, listener, and `tls` when the connection is encrypted already.
        offer: what this connection may log in with now.

    Attributes:
        client: who it is, as far as it has said.
        account: who logged in; None before.
        has_good_command: something that belongs to SMTP was said.
        handlers: what each command does; LMTP knows others.
    """

    handlers: ClassVar[Mapping[str, _Handler]] = {}

    def __init__(
        self, setting: Setting, client: Client, *, offer: Callable[[], sasl.Offer] = lambda: sasl.PASSWORDS
    ) -> None:
        super().__init__(setting.options)
        self._setting = setting
        self._logins = offer
        self._options = setting.options
        self._is_submission = setting.is_submission
        self._dialect = setting.dialect_under_tls if client.tls else setting.dialect
        self._transaction: Transaction | None = None
        self._asked_mail: command.Mail | None = None
        self._asked_rcpt: command.Rcpt | None = None
        self._login = Login()
        self._messages = 0
        self._has_hello = False
        self.client = client
        self.account: Account | None = None
        self.has_good_command = False

    def greeting(self) -> Reply:
        """What to say first."""
        return replies.greeting(self._setting.hostname)

    def line_limit(self, held: bytes | bytearray) -> int:
        """How long the line that begins with `held` may be, in octets without its end."""
        options = self._options
        return options.auth_octets if self._login.owns(held) else options.command_octets

    # -- lines ---------------------------------------------------------------------

    def receive(self, line: bytes) -> Event:
        """Takes a line, without its CRLF."""
        if self._login.is_open:
            return self._log_in(self._login.respond(line))
        try:
            said = command.parse(line)
        except PeerError as error:
            if self.is_foreign(line + b"\r\n"):
                return self.spoke_tls()
            if not self.has_good_command and strangers.is_foreign(line):
                return self._foreign()
            return self._error(error.reply, "command", "syntax")
        handler = self.handlers.get(said.verb)
        if handler is None:
            if strangers.is_foreign(line) or (
                not self.has_good_command and not said.verb.isalnum() and said.verb
            ):
                return self._foreign()
            return self._error(replies.UNKNOWN_COMMAND, "command", "unknown")
        self.has_good_command = True
        if self._needs_tls and self._has_hello and said.verb not in _BEFORE_TLS:
            return self._error(replies.TLS_FIRST, "command", "tls_first")
        try:
            return handler(self, said.argument)
        except PeerError as error:
            at: At = "mail" if said.verb == "MAIL" else "rcpt" if said.verb == "RCPT" else "command"
            given = command.shown_path(said.argument) if at == "rcpt" else ""
            return self._error(error.reply, at, "syntax").of_recipient(given)

    def line_too_long(self, held: bytes | bytearray) -> Say:
        """The line that begins with `held` passed its limit: the rest can no longer be trusted (T6)."""
        is_auth = self._login.owns(held)
        return Say(
            replies.AUTH_TOO_LONG if is_auth else replies.LINE_TOO_LONG,
            close=True,
            refusal=Refusal("auth" if is_auth else "command", "too_long"),
            then=replies.LINE_CLOSING,
        )

    def spoke_early(self) -> Say:
        """Octets stood behind a command that must be the last of its group (RFC 2920, T2)."""
        self._transaction = None
        return Say(replies.EARLY, close=True, refusal=Refusal("command", "early_talker"))

    def is_foreign(self, held: bytes | bytearray) -> bool:
        """True when the first octets of a connection are TLS or SSL on a clear-text port."""
        if self.has_good_command or self._login.is_open:
            return False
        return strangers.speaks_tls(held)

    def spoke_tls(self) -> Say:
        """See is_foreign."""
        refusal = Refusal("command", "tls_on_plain_port")
        return Say(replies.TLS_ON_PLAIN_PORT, close=True, refusal=refusal)

    def _foreign(self) -> Say:
        return Say(replies.NOT_SMTP, close=True, refusal=Refusal("command", "not_smtp"))

    @property
    def _needs_tls(self) -> bool:
        # RFC 3207 section 4: a submission port that wants TLS says so to everything else.
        return self._is_submission and not self.client.tls

    # -- hello ---------------------------------------------------------------------

    def _ehlo(self, argument: bytes) -> Event:
        return self._hello(argument, esmtp=True)

    def _helo(self, argument: bytes) -> Event:
        return self._hello(argument, esmtp=False)

    def _hello(self, argument: bytes, *, esmtp: bool) -> Event:
        # Saying it once is no noise, also when patience is short.
        penalty = self._counters.junk() if self._has_hello else NONE
        if penalty.goodbye is not None:
            return self._goodbye(penalty)
        # Printers say anything, other servers one word (RFC 5321 section 4.1.1.1).
        has_more = b" " in argument and not self._is_submission
        if not argument or len(argument) > MAX_HELO or has_more:
            return self._error(replies.HELO_SYNTAX, "helo", "syntax", is_last=True)
        # RFC 5321 section 4.1.4: a second EHLO is a RSET too.
        self._transaction = None
        self._has_hello = True
        known = self.client
        self.client = Client(
            known.ip, known.port, argument.decode("ascii"), esmtp, known.tls, known.login, known.listener
        )
        if not esmtp:
            return Say(Reply(250, "", self._setting.hostname), is_last=True)
        return self._said_ehlo()

    def _said_ehlo(self) -> Say:
        # Most clients are offered the same; making the text each time would cost as much as a MAIL.
        if self.account is not None:
            return Say(ehlo(self._offer()), is_last=True)
        key = bool(self.client.tls), self._mechanisms()
        said = self._setting.offers.get(key)
        if said is None:
            said = self._setting.offers[key] = Say(ehlo(self._offer()), is_last=True)
        return said

    def _offer(self) -> Offer:
        setting, options = self._setting, self._options
        return Offer(
            hostname=setting.hostname,
            size_octets=limits.message_octets(self.account, options),
            recipients=limits.recipients(self.account, options),
            messages=None if self._is_submission else cap(options.mx_messages_per_session),
            starttls=setting.starttls and not self.client.tls,
            auth=self._mechanisms() if self.account is None else (),
            chunking=options.chunking,
            binarymime=self._dialect.binarymime,
            smtputf8=self._dialect.smtputf8,
            dsn=self._dialect.dsn,
            requiretls=self._dialect.requiretls,
        )

    def _mechanisms(self) -> tuple[str, ...]:
        """For logins that are possible on this connection now."""
        return sasl.mechanisms(self._logins()) if self._is_submission and self.client.tls else ()

    # -- TLS -----------------------------------------------------------------------

    def _starttls(self, argument: bytes) -> Event:
        if argument:
            return self._error(replies.NO_ARGUMENT, "command", "syntax", is_last=True)
        if self.client.tls:
            return self._error(replies.HAS_TLS, "command", "order", is_last=True)
        if self._transaction is not None:
            return self._error(replies.IN_TRANSACTION, "command", "order", is_last=True)
        if not self._has_hello:
            return self._error(replies.SAY_HELLO, "command", "order", is_last=True)
        if not self._setting.starttls:
            return Say(replies.NO_TLS, is_last=True)
        return BeginTls()

    def tls_started(self, description: str) -> None:
        """The handshake is done: everything said in clear is forgotten (RFC 3207 section 4.2)."""
        self.client = replace(self.client, tls=description, helo="", esmtp=True)
        self._dialect = self._setting.dialect_under_tls
        self._has_hello = False
        self._transaction = None
        self._asked_mail = None
        self._asked_rcpt = None

    # -- login ---------------------------------------------------------------------

    def _auth(self, argument: bytes) -> Event:
        if not self._is_submission:
            return self._error(replies.NO_AUTH_HERE, "auth", "not_offered")
        if not self._has_hello:
            return self._error(replies.SAY_HELLO, "auth", "order")
        if self.account is not None:
            return self._error(replies.LOGGED_IN_ALREADY, "auth", "order")
        if self._transaction is not None:
            return self._error(replies.IN_TRANSACTION, "auth", "order")
        return self._log_in(self._login.begin(argument, self._logins()))

    def _log_in(self, step: login.Step) -> Event:
        return self._error(step.reply, "auth", step.check) if isinstance(step, login.Refused) else step

    def login_answered(self, answer: Account | Reply) -> Say:
        """What became of the credentials, which is in the log already; a refusal counts when it is 5xx."""
        if isinstance(answer, Account):
            self.account = answer
            self.client = replace(self.client, login=str(answer.address))
            return Say(replies.LOGGED_IN)
        answer = replies.told(answer, has_utf8=False)
        if answer.is_temporary:
            return Say(answer, close=answer.code == 421)
        self._login.failures += 1
        most = cap(self._options.login_failures)
        if most is not None and self._login.failures >= most:
            return Say(answer, close=True, then=replies.TOO_MANY_LOGINS)
        return Say(answer)

    # -- the transaction -------------------------------------------------------------

    @property
    def sender(self) -> str:
        """Of the message under way, for the log; "" while there is none."""
        return str(self._transaction.mail.reverse_path or "") if self._transaction is not None else ""

    def _mail(self, argument: bytes) -> Event:
        if not self._has_hello:
            return self._error(replies.SAY_HELLO, "mail", "order")
        if self._is_submission and self.account is None:
            return self._error(replies.LOGIN_FIRST, "mail", "login_first")
        if self._transaction is not None and not self._transaction.is_failed:
            return self._error(replies.NESTED_MAIL, "mail", "order")
        if self._has_enough_messages():
            return Say(replies.ENOUGH_MESSAGES, close=True, refusal=Refusal("mail", "messages"))
        mail = command.parse_mail(argument, self._dialect)
        most = limits.message_octets(self.account, self._options)
        if mail.size_octets > most:
            reply = Reply(552, "3.4", f"The message is larger than {most} octets")
            return self._error(reply, "mail", "size").of_sender(mail.reverse_path)
        self._asked_mail = mail
        return AskSender(self.account, mail)

    def _has_enough_messages(self) -> bool:
        if self._is_submission:
            return False
        most = 1 if self.is_stressed else cap(self._options.mx_messages_per_session)
        return most is not None and self._messages >= most

    def sender_answered(self, reply: Reply | None) -> Say:
        """None: the sender may be used."""
        mail, self._asked_mail = self._asked_mail, None
        assert mail is not None
        if reply is not None and not reply.is_ok:
            reply = replies.told(reply, has_utf8=mail.smtputf8)
            return self._error(reply, "mail", "sender").of_sender(mail.reverse_path)
        account = self.account
        if account is not None and account.kind == "device" and mail.reverse_path is not None:
            # A device sends as itself, whatever it was set up with.
            mail = mail._replace(reverse_path=account.address)
        self._transaction = Transaction(mail)
        return _MAIL_OK

    def _rcpt(self, argument: bytes) -> Event:
        transaction = self._transaction
        if transaction is None:
            return self._error(replies.NEED_MAIL if self._has_hello else replies.SAY_HELLO, "rcpt", "order")
        if transaction.has_chunks:
            return self._error(transaction.out_of_order(), "rcpt", "order")
        rcpt = command.parse_rcpt(argument, self._dialect, has_utf8=transaction.mail.smtputf8)
        if rcpt.address.key in transaction.recipients:
            return _RCPT_OK
        most = limits.recipients(self.account, self._options)
        if len(transaction.recipients) >= most:
            # One line in the log is enough, however many more are tried.
            key = limits.recipients_key(self.account)
            is_first = not transaction.is_over_limit
            refusal = Refusal("rcpt", "too_many", str(rcpt.address), key) if is_first else None
            transaction.is_over_limit = True
            return Say(limits.too_many_recipients(self.account, most), refusal=refusal)
        self._asked_rcpt = rcpt
        return AskRecipient(self.account, transaction.mail.reverse_path, rcpt.address)

    def recipient_answered(self, reply: Reply) -> Say:
        """Whether the recipient is taken: any 2xx."""
        rcpt, self._asked_rcpt = self._asked_rcpt, None
        transaction = self._transaction
        assert rcpt is not None
        assert transaction is not None
        reply = replies.told(reply, has_utf8=transaction.mail.smtputf8)
        if reply.is_ok:
            transaction.add(rcpt)
            self._counters.good_recipient()
            return Say(reply)
        transaction.was_refused = True
        refusal = Refusal("rcpt", "unknown_user" if reply.status == "1.1" else "recipient", str(rcpt.address))
        if reply.is_temporary:
            return Say(reply, close=reply.code == 421, refusal=refusal)
        if reply.status == "1.1":
            return self._punished(reply, self._counters.unknown_recipient(), refusal)
        return self._punished(reply, self._counters.error(stressed=self.is_stressed), refusal)

    def _data(self, argument: bytes) -> Event:
        if argument:
            return self._error(replies.NO_ARGUMENT, "data", "syntax", is_last=True)
        transaction = self._transaction
        refusal = data_refusal(transaction, has_hello=self._has_hello, is_login=self.account is not None)
        if refusal is None:
            return BeginData(limits.message_octets(self.account, self._options))
        if refusal is not replies.SENT_TO_NOBODY:
            return self._error(refusal, "data", "order", is_last=True)
        self._transaction = None
        key = limits.recipients_key(self.account)
        return Say(refusal, is_last=True, refusal=Refusal("data", "too_many", key=key))

    def _bdat(self, argument: bytes) -> Event:
        if not self._options.chunking:
            return self._not_implemented(argument)
        transaction = self._transaction
        try:
            octets, is_last = command.parse_bdat(argument)
        except PeerError as error:
            # Where the next command begins is not known: what is there already ends the session.
            if transaction is not None:
                transaction.fail()
            return self._error(error.reply, "data", "syntax", is_last=True)
        most = limits.message_octets(self.account, self._options)
        refusal = chunk_refusal(
            transaction,
            octets,
            max_octets=most,
            has_hello=self._has_hello,
            is_login=self.account is not None,
        )
        if transaction is None or refusal is not None:
            # RFC 3030 section 2: the octets come all the same.
            if transaction is not None:
                transaction.fail()
            said = self._refused_chunk(refusal or replies.NEED_MAIL, octets)
            return ReadChunk(octets, is_last=is_last, refusal=said)
        is_first = transaction.add_chunk(octets)
        return ReadChunk(octets, is_first, is_last, None, most, transaction.mail.body == "BINARYMIME")

    @property
    def is_chunking(self) -> bool:
        """True while chunks of a message have been taken and more may come."""
        transaction = self._transaction
        return transaction is not None and transaction.has_chunks and not transaction.is_failed

    def _refused_chunk(self, reply: Reply, octets: int) -> Say:
        if reply is not replies.CHUNK_REFUSED:
            return self._error(reply, "data", "order")
        # The first one counted; these were on their way (RFC 3030 section 2), unless somebody plays.
        return Say(reply) if octets >= _CHUNK_OF_USE else self._junk(reply)

    def chunk_taken(self, octets: int) -> Say:
        """A chunk that is not the last was read."""
        return _CHUNK_OK if octets else self._junk(replies.CHUNK_OK)

    def envelope(self, accept_id: str, now: float) -> Envelope:
        """The facts of the transaction; valid between BeginData and message_ended.

        Args:
            now: Unix seconds.
        """
        assert self._transaction is not None
        return self._transaction.envelope(accept_id, self.client, now)

    def message_ended(self, reply: Reply) -> Say:
        """The message was read to its end and `reply` is the answer to it."""
        transaction, self._transaction = self._transaction, None
        reply = replies.told(reply, has_utf8=transaction is not None and transaction.mail.smtputf8)
        self._messages += 1
        if reply.is_ok:
            self._counters.message_taken()
            return Say(reply)
        if reply.is_temporary:
            return Say(reply, close=reply.code == 421)
        return self._punished(reply, self._counters.error(stressed=self.is_stressed), None)

    # -- the rest --------------------------------------------------------------------

    def _rset(self, argument: bytes) -> Event:
        if argument:
            return self._error(replies.NO_ARGUMENT, "command", "syntax")
        self._transaction = None
        return self._junk(replies.OK)

    def _noop(self, argument: bytes) -> Event:
        return self._junk(replies.OK)

    def _help(self, argument: bytes) -> Event:
        return self._junk(replies.HELP)

    def _vrfy(self, argument: bytes) -> Event:
        # The same for everybody, known or not (S33, T12).
        return self._junk(replies.CANNOT_VERIFY if argument else replies.ARGUMENT_MISSING)

    def _not_implemented(self, argument: bytes) -> Event:
        return self._junk(replies.NOT_IMPLEMENTED)

    def _quit(self, argument: bytes) -> Event:
        return Say(replies.BYE, close=True)


_Handler: TypeAlias = Callable[[Session, bytes], Event]

Session.handlers = {
    "EHLO": Session._ehlo,
    "HELO": Session._helo,
    "MAIL": Session._mail,
    "RCPT": Session._rcpt,
    "DATA": Session._data,
    "RSET": Session._rset,
    "NOOP": Session._noop,
    "QUIT": Session._quit,
    "VRFY": Session._vrfy,
    "EXPN": Session._not_implemented,
    "HELP": Session._help,
    "STARTTLS": Session._starttls,
    "AUTH": Session._auth,
    "BDAT": Session._bdat,
    # Known to be unknown: these are noise, not errors.
    "ETRN": Session._not_implemented,
    "TURN": Session._not_implemented,
    "SEND": Session._not_implemented,
    "SOML": Session._not_implemented,
    "SAML": Session._not_implemented,
}
_BEFORE_TLS: Final = frozenset(("EHLO", "HELO", "STARTTLS", "NOOP", "QUIT", "HELP", "EXPN", "BDAT"))
