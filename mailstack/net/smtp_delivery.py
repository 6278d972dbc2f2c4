"""Brings one message to the hosts of one destination: which hosts, which TLS, which connection.

Hosts are tried in order until every recipient has a final answer; connections that are
still good are kept for the next message to the same destination.

Standards: RFC 5321 sections 4.5.4.1 and 5.1, RFC 7504 (521), RFC 8689 (REQUIRETLS).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from mailstack.delivery import convert, wishes
from mailstack.delivery.entry import Entry, EntryRecipient, Facts
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.remote import Host, Hosts, NoHost, Self, find_hosts, next_hop
from mailstack.delivery.spool import Content
from mailstack.delivery.tls_policy import is_tls_optional
from mailstack.delivery.ways import Way, route_of, way_of
from mailstack.model.dns import Lookup
from mailstack.model.reply import Reply
from mailstack.net.resolver import DnsSource, run_check
from mailstack.net.smtp_client import Connection, OpenFailed, has_address
from mailstack.net.smtp_opening import Opener, Wanted, Watch
from mailstack.net.unreachable import Unreachable
from mailstack.smtp.client_events import Answer, Done, OutgoingRecipient, Transaction

MAX_IDLE = 100
#: Of what a host does not announce or offer; another host may.
_LACKS = ("3.4", "6.3", "6.7", "6.9", "7.10", "7.30")
#: RFC 5321 section 4.5.3.1.10: 452 for too many recipients; old servers say 552.
_TOO_MANY = ((452, "5.3"), (552, "5.3"))


_log = logging.getLogger(__name__)

#: A connection that is kept serves whoever would have made just the same: next hop, and how.
Key: TypeAlias = tuple[str, Way]


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one recipient.

    Attributes:
        host: who said so, `name[ip]`; "" when nobody was asked.
        relays_report: the host reports success to the sender itself (RFC 3461).
        is_final: the host answered for the mailbox (LMTP).
    """

    answer: Answer
    host: str = ""
    tls: str = ""
    relays_report: bool = False
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt for one destination.

    Attributes:
        recipients: in the order of the entry's.
        is_dead: no host could be talked to at all.
        wants_less: a host asked us to slow down (421, or 4.7.x).
        wants_pause: it said so for the connection as a whole (421).
    """

    recipients: tuple[Tried, ...]
    is_dead: bool
    wants_less: bool
    wants_pause: bool


class SmtpDelivery:
    """Deliveries of one process.  Belongs to one event loop."""

    def __init__(
        self,
        options: QueueOptions,
        *,
        helo: str,
        dns: DnsSource,
        chance: Callable[[], float],
        watch: Watch | None = None,
    ) -> None:
        """Nothing happens before `deliver`.

        Args:
            helo: our full name, in EHLO and against loops.
            chance: 0 to 1; shuffles hosts of equal preference.
            watch: what other domains ask of TLS; None: it is not looked up.
        """
        self._options = options
        self._dns = dns
        self.opener = Opener(options, helo=helo, dns=dns, watch=watch)
        names = {helo.lower(), "localhost", *(r.helo.lower() for r in options.route if r.helo)}
        outside = {ipaddress.ip_address(ip) for ip in options.public_ips}
        self._me = Self(names, lambda ip: ipaddress.ip_address(ip) in outside or has_address(ip), chance)
        self._idle = _Idle(options)
        self._unreachable = Unreachable(options.unreachable_s)

    def is_too_much(self, facts: Facts, extensions: Mapping[str, str]) -> bool:
        """True when a server does not take the message's octets as they are."""
        if facts.body == "BINARYMIME":
            return not {"BINARYMIME", "CHUNKING"} <= extensions.keys()
        if facts.smtputf8 and facts.has_8bit_header and "SMTPUTF8" not in extensions:
            return True
        return facts.has_8bit and "8BITMIME" not in extensions and self._options.eight_bit != "send"

    async def close(self) -> None:
        """Says goodbye to idle hosts."""
        await self._idle.close()

    async def deliver(self, entry: Entry, content: Content) -> Trial:
        """Tries to deliver a message to the recipients of an entry; never raises for the far side.

        Nor for anything else, once a host has taken it for one of them: that must be written down.
        """
        attempt = _Attempt(self, entry, content)
        try:
            await self._carry(attempt, entry)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not attempt.was_taken or task is None:
                raise
            task.uncancel()
        except Exception:
            if not attempt.was_taken:
                raise
            _log.exception("queue id %s is done for some, and makes us fail", entry.facts.queue_id)
        return attempt.trial()

    async def _carry(self, attempt: _Attempt, entry: Entry) -> None:
        domain = entry.recipients[0].destination
        way = way_of(route_of(domain, self._options), self._options)
        key = next_hop(domain, self._options), way
        # RFC 8689 wants a verified server: a connection of its own is no great price.
        idle = None if entry.facts.requiretls else self._idle.take(key)
        used = idle.host if idle is not None and await attempt.use(idle, key) else None
        if attempt.is_complete:
            return
        found = await self.find(domain)
        if isinstance(found, Hosts):
            await self._try_hosts(attempt, found, key, used)
        elif used is None:
            attempt.give_all(Tried(Answer(found.reply, "check", is_ours=True)))

    async def find(self, domain: str) -> Hosts | NoHost:
        """Who takes the mail of a domain, in the order they are tried."""

        def check(lookup: Lookup) -> Hosts | NoHost:
            return find_hosts(domain, lookup, self._options, self._me)

        return await run_check(check, self._dns, budget=self._dns.new_budget())

    async def _try_hosts(self, attempt: _Attempt, found: Hosts, key: Key, used: Host | None) -> None:
        """Every host at most once in one attempt, `used` included."""
        sessions = int(used is not None)
        for host in self._unreachable.last(found.hosts):
            if attempt.is_complete or sessions >= self._options.max_sessions:
                return
            if used is not None and (host.ip, host.port) == (used.ip, used.port):
                continue
            try:
                connection = await self.opener.open(
                    host, found, key[0], wanted=attempt.tls, is_tls_optional=attempt.is_tls_optional
                )
            except OpenFailed as error:
                attempt.note_refused(host, error)
                sessions += error.was_connected
                if not error.was_connected and error.answer.stage == "greeting":
                    self._unreachable.note(host)
            else:
                self._unreachable.forget(host)
                sessions += 1
                await attempt.use(connection, key)

    def keep(self, connection: Connection, key: Key) -> None:
        """A connection that is still good waits for the next message, or is closed."""
        self._idle.put(connection, key)

    def transaction(
        self, entry: Entry, numbers: Sequence[int], content: Content, *, host: Host, is_converted: bool
    ) -> Transaction:
        """The message as it goes over the wire to some of its recipients."""
        facts = entry.facts
        return Transaction(
            sender=facts.sender,
            recipients=tuple(_outgoing(facts, entry.recipients[n]) for n in numbers),
            size_octets=content.size_octets,
            has_8bit=facts.has_8bit and not is_converted,
            needs_utf8=facts.smtputf8 and facts.has_8bit_header and not is_converted,
            # RFC 3461 section 6.1: not for reports.
            ret="" if facts.kind == "dsn" else facts.ret,
            envid=facts.envid,
            send_8bit=self._options.eight_bit == "send",
            is_binary=facts.body == "BINARYMIME" and not is_converted,
            requiretls=facts.requiretls and not host.is_here,
        )


def _outgoing(facts: Facts, recipient: EntryRecipient) -> OutgoingRecipient:
    notify = wishes.passed_on(recipient.notify) if facts.kind == "forward" else recipient.notify
    return OutgoingRecipient(recipient.address, notify, recipient.orcpt)


class _Attempt:
    """The answers of one attempt, as they come in."""

    def __init__(self, delivery: SmtpDelivery, entry: Entry, content: Content) -> None:
        self._delivery = delivery
        self._entry = entry
        self._content = content
        self._tried: list[Tried | None] = [None] * len(entry.recipients)
        self._open = list(range(len(entry.recipients)))
        self._was_heard = False
        self._wants_less = False
        self._wants_pause = False
        self._refusals: list[Reply] = []

    @property
    def tls(self) -> Wanted:
        """What TLS the message wants."""
        facts = self._entry.facts
        if not facts.requiretls:
            return "any"
        # RFC 8689 section 5: a report is not lost for want of it.
        return "verified" if facts.sender else "verified if possible"

    async def is_tls_optional(self) -> bool:
        """True when the message says so (RFC 8689 section 3); REQUIRETLS counts more than that."""
        if self._entry.facts.requiretls:
            return False
        return is_tls_optional(await asyncio.to_thread(_head_of, self._content))

    @property
    def is_complete(self) -> bool:
        """Nobody is left to try."""
        return not self._open

    @property
    def was_taken(self) -> bool:
        """Somebody has the message by now."""
        return any(tried is not None and tried.answer.reply.code < 300 for tried in self._tried)

    def trial(self) -> Trial:
        """The result; whoever was never answered gets the last host's refusal."""
        missing = Tried(Answer(Reply(451, "4.1", "No host could be reached"), "greeting", is_ours=True))
        recipients = tuple(_for_now(tried or missing, self._refusals) for tried in self._tried)
        return Trial(recipients, not self._was_heard, self._wants_less, self._wants_pause)

    def give_all(self, tried: Tried) -> None:
        """The same for everybody still open."""
        for number in self._open:
            self._tried[number] = tried
        self._open = []

    def note_refused(self, host: Host, error: OpenFailed) -> None:
        """A host that gives no session: the next one may."""
        reply = error.answer.reply
        self._refusals.append(reply)
        self._note_pace(reply)
        for number in self._open:
            tried = self._tried[number]
            # A host that was reached cannot take the message; only one that can changes that.
            # That one host is ourselves says nothing about another that is down (Q11).
            if tried is None or not (_cannot(tried.answer) or _is_loop(error.answer)):
                self._tried[number] = Tried(error.answer, str(host))

    def _note_pace(self, reply: Reply) -> None:
        self._wants_pause |= reply.code == 421
        self._wants_less |= reply.code == 421 or (reply.is_temporary and reply.status.startswith("7."))

    async def use(self, connection: Connection, key: Key) -> bool:
        """Sends to everybody still open; False when the connection had died while it was idle."""
        is_reused = connection.sent > 0
        while self._open and connection.is_usable:
            numbers = list(self._open)
            try:
                done = await self._send(connection, numbers)
            except BaseException:  # cancelled, or the message cannot be read any more
                connection.abort()
                raise
            if is_reused and _is_stale(done):
                connection.abort()
                return False
            is_reused = False
            if not self._note(connection, numbers, done):
                break
        self._delivery.keep(connection, key)
        return True

    async def _send(self, connection: Connection, numbers: Sequence[int]) -> Done:
        content = await self._content_for(connection)
        transaction = self._delivery.transaction(
            self._entry,
            numbers,
            content,
            host=connection.host,
            is_converted=content is not self._content,
        )
        return await connection.deliver(transaction, content)

    async def _content_for(self, connection: Connection) -> Content:
        """The message, as 7-bit when it is ours to change and the server takes nothing else."""
        facts = self._entry.facts
        if not self._delivery.is_too_much(facts, connection.extensions):
            return self._content
        if facts.kind not in convert.OWN or facts.size_octets > convert.MAX_OCTETS:
            return self._content
        return await asyncio.to_thread(convert.seven_bit, self._content)

    def _note(self, connection: Connection, numbers: list[int], done: Done) -> bool:
        """Takes the answers; True when the same connection should be used once more."""
        self._was_heard = True
        accepted = any(answer.reply.code < 300 for answer in done.answers)
        again = False
        for number, answer in zip(numbers, done.answers, strict=True):
            reply = answer.reply
            self._tried[number] = Tried(
                answer,
                "" if answer.stage == "check" and answer.is_ours else str(connection.host),
                connection.protection,
                done.relays_reports,
                done.is_final,
            )
            self._note_pace(reply)
            if accepted and answer.stage == "rcpt" and (reply.code, reply.status) in _TOO_MANY:
                again = True
            elif not _cannot(answer) and (not reply.is_temporary or answer.is_possible_duplicate):
                self._open.remove(number)
        if again:
            self._open = [n for n, a in zip(numbers, done.answers, strict=True) if _is_too_many(a)]
        return again


def _head_of(content: Content) -> bytes:
    """The message's first block; its header, unless that is larger than any should be."""
    return next(iter(content.chunks()), b"")


def _cannot(answer: Answer) -> bool:
    """True when we did not offer a message to a host, for what it lacks."""
    return answer.is_ours and answer.stage in ("check", "starttls") and answer.reply.status in _LACKS


def _is_loop(answer: Answer) -> bool:
    return answer.is_ours and answer.reply.status == "4.6"


def _is_too_many(answer: Answer) -> bool:
    return answer.stage == "rcpt" and (answer.reply.code, answer.reply.status) in _TOO_MANY


def _is_stale(done: Done) -> bool:
    """The server had left before it answered anything: a new connection is no second try."""
    return all(
        answer.stage == "mail"
        and (answer.is_ours or answer.reply.code == 421)
        and not answer.is_possible_duplicate
        for answer in done.answers
    )


def _for_now(tried: Tried, refusals: Sequence[Reply]) -> Tried:
    """A host's refusal to talk concerns the host; the message waits (Q2).

    Unless every host says that it never takes mail: RFC 7504 section 4.
    """
    reply = tried.answer.reply
    if reply.is_temporary or reply.code < 400 or tried.answer.stage not in ("greeting", "ehlo"):
        return tried
    if refusals and all(one.code == 521 for one in refusals):
        return replace(tried, answer=replace(tried.answer, reply=Reply(556, "1.10", reply.text)))
    text = f"The server refuses to talk to us: {reply.code} {reply.text}"
    return replace(tried, answer=replace(tried.answer, reply=Reply(451, reply.status or "3.2", text)))


class _Idle:
    """Connections that wait for another message, by destination."""

    def __init__(self, options: QueueOptions) -> None:
        self._options = options
        self._kept: dict[Connection, tuple[Key, asyncio.Task[None]]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def take(self, key: Key) -> Connection | None:
        """One that is still good."""
        for connection, (kept_key, task) in list(self._kept.items()):
            if kept_key == key:
                del self._kept[connection]
                task.cancel()
                if connection.is_usable:
                    return connection
                connection.abort()
        return None

    def put(self, connection: Connection, key: Key) -> None:
        """Keeps it for a while, or says goodbye."""
        if not connection.is_usable:
            connection.abort()
            return
        is_full = len(self._kept) >= MAX_IDLE
        if (
            is_full
            or not connection.is_kept
            or connection.sent >= self._options.messages_per_session
            or not self._options.session_idle_s
        ):
            self._leave(connection)
            return
        task = asyncio.get_running_loop().create_task(self._watch(connection))
        self._kept[connection] = (key, task)

    async def _watch(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._options.session_idle_s):
                await connection.wait_until_heard()
        except TimeoutError:
            self._kept.pop(connection, None)
            self._leave(connection)
            return
        self._kept.pop(connection, None)
        connection.abort()

    def _leave(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(connection.quit())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Says goodbye to all of them, without waiting long."""
        for connection, (_, task) in self._kept.items():
            task.cancel()
            self._leave(connection)
        self._kept.clear()
        if self._leaving:
            _, left = await asyncio.wait(set(self._leaving), timeout=1.0)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0)  # sockets are closed one round after their transports
