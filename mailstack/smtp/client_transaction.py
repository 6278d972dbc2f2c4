"""One message over one connection: MAIL to the answer, or answers, after the message.

Standards: RFC 5321 sections 3.3, 4.1.1 and 4.5.2, RFC 2033, RFC 2920, RFC 1870, RFC 6152,
RFC 3030, RFC 3461, RFC 6531, RFC 6533, RFC 8689.
Imports: model, mime.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from mailstack.mime.lines import normalise_chunks
from mailstack.model import unitext
from mailstack.model.address import Address, AddressError
from mailstack.model.reply import Reply
from mailstack.smtp.client_events import Answer, Done, OutgoingRecipient, Stage, Transaction

if TYPE_CHECKING:
    from mailstack.smtp.client import ClientSession

_NUMBER = re.compile(r"[0-9]{1,20}\Z")
_XTEXT = re.compile(r"[^!-~]|[+=]")


class Sending:
    """One transaction under way."""

    def __init__(self, session: ClientSession, transaction: Transaction) -> None:
        self._session = session
        self._t = transaction
        self._answers: list[Answer | None] = [None] * len(transaction.recipients)
        self._asked: list[int] = []
        self._is_open = False
        self._ending: list[int] = []
        self.sent_body = False

    def start(self) -> None:
        """Says MAIL, and with PIPELINING everything up to DATA."""
        whole = self._check_message()
        for number, recipient in enumerate(self._t.recipients):
            # What is wrong with the address says more than what follows for the header.
            refusal = self._check_recipient(recipient) or whole
            if refusal is not None:
                self._answers[number] = Answer(refusal, "check", is_ours=True)
            else:
                self._asked.append(number)
        if not self._asked:
            self._end()
            return
        self._session.say(self._mail_line())
        self._session.expect("mail", self._mail_answered)
        if self._is_pipelining:
            for number in self._asked:
                self._say_rcpt(number)
            if not self._waits_for_rcpt:
                self._say_data()

    # RFC 1870 section 6.1, RFC 6152 section 3, RFC 6531 section 3.2: what the server cannot take
    # must not be sent to it.
    def _check_message(self) -> Reply | None:
        extensions, t = self._session.extensions, self._t
        if t.sender and not _is_address(t.sender):
            return Reply(553, "1.7", "The sender is not an address that can be sent")
        limit = extensions.get("SIZE", "")
        if _NUMBER.match(limit) and 0 < int(limit) < t.size_octets:
            return Reply(552, "3.4", f"The server takes {int(limit)} octets, the message has {t.size_octets}")
        return self._check_octets() or self._check_tls()

    def _check_octets(self) -> Reply | None:
        extensions, t = self._session.extensions, self._t
        if "SMTPUTF8" not in extensions and not t.sender.isascii():
            return Reply(550, "6.7", "The server does not take mail from internationalized addresses")
        if "SMTPUTF8" not in extensions and t.needs_utf8:
            return Reply(554, "6.9", "The server does not take mail with an internationalized header")
        if t.is_binary and not {"BINARYMIME", "CHUNKING"} <= extensions.keys():
            return Reply(554, "6.3", "The server does not take binary mail, and it must not be changed")
        if t.has_8bit and not t.is_binary and not t.send_8bit and "8BITMIME" not in extensions:
            return Reply(554, "6.3", "The server does not take 8-bit mail, and it must not be changed")
        return None

    def _check_tls(self) -> Reply | None:
        # RFC 8689 section 5: a report is not lost for want of it.
        if self._t.requiretls and self._t.sender and "REQUIRETLS" not in self._session.extensions:
            return Reply(550, "7.30", "The server does not promise to pass the message on over TLS only")
        return None

    def _check_recipient(self, recipient: OutgoingRecipient) -> Reply | None:
        if not _is_address(recipient.address):
            return Reply(553, "1.3", "The recipient is not an address that can be sent")
        if not recipient.address.isascii() and "SMTPUTF8" not in self._session.extensions:
            return Reply(553, "6.7", "The server does not take internationalized addresses")
        return None

    def _mail_line(self) -> str:
        extensions, t = self._session.extensions, self._t
        words = [f"MAIL FROM:<{t.sender}>"]
        if "SIZE" in extensions:
            words.append(f"SIZE={t.size_octets}")
        if t.is_binary:
            words.append("BODY=BINARYMIME")
        elif t.has_8bit and "8BITMIME" in extensions:
            words.append("BODY=8BITMIME")
        addresses = (t.sender, *(t.recipients[n].address for n in self._asked))
        if "SMTPUTF8" in extensions and (t.needs_utf8 or not all(a.isascii() for a in addresses)):
            words.append("SMTPUTF8")
        if t.requiretls and "REQUIRETLS" in extensions and self._session.is_verified:
            words.append("REQUIRETLS")
        if "DSN" in extensions:
            words += [f"RET={t.ret}"] if t.ret else []
            words += [f"ENVID={xtext(t.envid)}"] if t.envid else []
        return " ".join(words)

    def _say_rcpt(self, number: int) -> None:
        recipient = self._t.recipients[number]
        words = [f"RCPT TO:<{recipient.address}>"]
        if "DSN" in self._session.extensions:
            words += [f"NOTIFY={','.join(sorted(recipient.notify))}"] if recipient.notify else []
            words += self._orcpt(recipient.orcpt)
        self._session.say(" ".join(words))
        self._session.expect("rcpt", lambda reply: self._rcpt_answered(number, reply))

    def _orcpt(self, orcpt: str) -> list[str]:
        kind, semicolon, address = orcpt.partition(";")
        if not semicolon:
            return []
        if kind.lower() != "utf-8":
            return [f"ORCPT={xtext(kind)};{xtext(address)}"]
        # RFC 6533 section 3: what is no ASCII is escaped where SMTPUTF8 is not spoken.
        is_utf8, plain = "SMTPUTF8" in self._session.extensions, unitext.decode(address)
        return [f"ORCPT={xtext(kind)};{unitext.encode(plain, keep_utf8=is_utf8)}"]

    def _say_data(self) -> None:
        self._session.say("DATA")
        self._session.expect("data", self._data_answered, wait="data")

    @property
    def _is_pipelining(self) -> bool:
        return "PIPELINING" in self._session.extensions

    @property
    def _waits_for_rcpt(self) -> bool:
        """What follows depends on the answers to RCPT, PIPELINING or not."""
        return self._t.is_binary or self._t.is_probe

    def _mail_answered(self, reply: Reply) -> None:
        if reply.code != 250:
            self._answer_rest(unless_ok(reply), "mail")
            if not self._is_pipelining:
                self._end()
            return
        self._is_open = True
        if not self._is_pipelining:
            self._say_rcpt(self._asked[0])

    def _rcpt_answered(self, number: int, reply: Reply) -> None:
        is_refused = reply.code not in (250, 251, 252)
        if self._answers[number] is None and (is_refused or self._t.is_probe):
            self._answers[number] = Answer(unless_ok(reply) if is_refused else reply, "rcpt")
        following = self._asked.index(number) + 1
        if following < len(self._asked):
            if not self._is_pipelining:
                self._say_rcpt(self._asked[following])
        elif self._waits_for_rcpt or not self._is_pipelining:
            self._go_on()

    def _go_on(self) -> None:
        """Every RCPT is answered, and DATA was not said yet."""
        if not self._is_anybody_there:
            self._end()
        elif self._t.is_binary:
            # RFC 3030 section 2: no answer comes before the chunk.
            self._session.say(f"BDAT {self._t.size_octets} LAST")
            self._session.begin_body(is_raw=True)
        else:
            self._say_data()

    @property
    def _is_anybody_there(self) -> bool:
        return any(self._answers[n] is None for n in self._asked)

    def _data_answered(self, reply: Reply) -> None:
        if reply.code == 354:
            if self._is_anybody_there:
                self._session.begin_body()
                return
            if self._session.protocol == "lmtp":
                # RFC 2033 section 4.2: no answer would ever come.
                self._session.give_up(Reply(451, "5.0", "The server wants a message for nobody"))
                return
            # RFC 2920 section 3.1: it goes ahead although nobody is there; an empty message ends it.
            self._session.say(".")
            self._session.expect("end", self._nobody_received, wait="end")
            return
        self._answer_rest(unless_ok(reply), "data")
        self._end()

    def body_left(self) -> None:
        """All of the message is on its way."""
        self.sent_body = True
        if self._session.protocol == "smtp":
            self._session.expect("end", self.ended, wait="end")
            return
        # RFC 2033 section 4.2: one answer for each RCPT that was accepted, in their order.
        self._ending = [n for n in self._asked if self._answers[n] is None]
        for number in self._ending:
            self._session.expect("end", self._ender(number), wait="end")

    def _ender(self, number: int) -> Callable[[Reply], None]:
        def take(reply: Reply) -> None:
            self._is_open = False
            accepted = 200 <= reply.code < 300
            self._answers[number] = Answer(reply if accepted else unless_ok(reply), "end")
            if number == self._ending[-1]:
                self._end()

        return take

    def ended(self, reply: Reply) -> None:
        """The answer to the final dot."""
        self._is_open = False
        # 2xx before the dot has left is no acceptance of anything.
        is_accepted = 200 <= reply.code < 300 and self.sent_body
        self._answer_rest(reply if is_accepted else unless_ok(reply), "end")
        self._end()

    def _nobody_received(self, reply: Reply) -> None:
        self._is_open = False
        self._end()

    def _answer_rest(self, reply: Reply, stage: Stage) -> None:
        for number, answer in enumerate(self._answers):
            if answer is None:
                self._answers[number] = Answer(reply, stage)

    def _end(self) -> None:
        # Without RSET the server would take the next MAIL for a nested one.
        needs_reset = self._is_open
        self._session.end_transaction(
            tuple(a for a in self._answers if a is not None), needs_reset=needs_reset
        )

    def broken(self, reply: Reply, stage: Stage, *, is_ours: bool) -> Done:
        """The connection broke: what has no answer gets this one."""
        lost = Answer(
            reply, stage, is_ours=is_ours, is_possible_duplicate=self.sent_body and stage == "end" and is_ours
        )
        return Done(tuple(lost if answer is None else answer for answer in self._answers))


def unless_ok(reply: Reply) -> Reply:
    """A refusal as it is; a success that makes no sense here becomes a temporary failure."""
    if reply.code >= 400:
        return reply
    return Reply(451, "5.0", f"The server answered {reply.code}, which makes no sense here")


def _is_address(text: str) -> bool:
    try:
        Address.parse(text)
    except AddressError:
        return False
    return True


def xtext(text: str) -> str:
    """RFC 3461 section 4; UTF-8 octets become hexadecimal too."""
    return _XTEXT.sub(lambda m: "".join(f"+{octet:02X}" for octet in m[0].encode("utf-8", "replace")), text)


def stuffed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The message as it goes over the wire: CRLF line ends, dots doubled, the final dot.

    A bare LF or CR never leaves: another server might take it for a line end (T1).

    Source: RFC 5321 section 4.5.2.
    """
    tail = b"\r\n"
    for chunk in normalise_chunks(chunks):
        out = chunk.replace(b"\r\n.", b"\r\n..")
        if chunk.startswith(b".") and tail == b"\r\n":
            out = b"." + out
        yield out
        tail = (tail + chunk)[-2:]
    yield b".\r\n" if tail == b"\r\n" else b"\r\n.\r\n"
