"""Opens a session with a host, with the TLS it needs: what others ask, what the host manages.

    DANE, MTA-STS ─► decided per host (`delivery/tls_policy`) ─► must: that TLS, or no session
                                                              ─► else: the best the host manages (L13)

Every session is told to whoever keeps results for reports and for the ratchet.

Standards: RFC 7435, RFC 7672, RFC 8461, RFC 8689, RFC 8460 section 4.3.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

from cryptography.x509.verification import Store

from mailstack.delivery import certificates, dane, ratchet
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.remote import Host, Hosts
from mailstack.delivery.security_options import OutboundTlsOptions
from mailstack.delivery.tls_policy import Barred, Security, decide, open_to_all, protected
from mailstack.delivery.ways import Way
from mailstack.model.reply import Reply
from mailstack.net.mta_sts_fetch import StsSource
from mailstack.net.resolver import DnsSource, run_check
from mailstack.net.smtp_client import Connection, Grade, OpenFailed, connect, context_of
from mailstack.smtp.client_events import Answer
from mailstack.state.tls_facts import TlsFact, TlsResult

#: How long we remember that TLS does not work with a host.
TLS_MEMORY_S = 600.0
MAX_TLS_MEMORY = 1_000
#: Certificates whose judgement is remembered, for so long.
MAX_JUDGED = 1_000
_JUDGED_S = 3_600.0
_NOTHING_WRONG: Final[TlsResult] = ""
_WORSE: dict[Grade, Grade] = {"verified": "modern", "modern": "legacy", "legacy": "clear"}

#: What the sender asked for (RFC 8689).
Wanted = Literal["any", "verified if possible", "verified"]
_UNSIGNED = Reply(
    550,
    "7.30",
    "The recipient's domain does not protect the names of its mail servers (DNSSEC, MTA-STS), as the"
    " sender wants",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one session, or its failure, says about a domain's TLS.

    Attributes:
        fact: for a report; None: nothing to report.
        level: what the session had (`delivery/ratchet`); None without a session.
        host: `name[ip]`.
    """

    domain: str
    host: str
    fact: TlsFact | None
    level: int | None = None


class Watch:
    """What an Opener needs to heed DANE and MTA-STS."""

    def __init__(
        self, options: OutboundTlsOptions, *, sts: StsSource | None, note: Callable[[Seen], None]
    ) -> None:
        """Keeps what it is given.

        Args:
            sts: policies of other domains; None: MTA-STS is not heeded.
            note: takes what was seen; must not wait.
        """
        self.options = options
        self.sts = sts
        self.note = note


class Opener:
    """Opens sessions.  Belongs to one event loop."""

    def __init__(
        self, options: QueueOptions, *, helo: str, dns: DnsSource, watch: Watch | None = None
    ) -> None:
        """Nothing happens before `open`.

        Args:
            watch: None: nobody's policy is heeded, and nothing is noted.
        """
        self._options = options
        self._helo = helo
        self._dns = dns
        self._watch = watch
        self._grades: OrderedDict[tuple[str, int], tuple[Grade, float]] = OrderedDict()
        self._judged: OrderedDict[tuple[bytes, str], tuple[TlsResult, float]] = OrderedDict()

    async def decide(self, domain: str, host: Host, found: Hosts) -> Security | Barred:
        """What a session with one of a domain's hosts needs.

        Where the operator says where mail goes, or that TLS is not wanted, that is all that counts.
        """
        watch = self._watch
        if watch is None or not _is_public(domain, found):
            return open_to_all("")
        records = await self._dane(host) if watch.options.dane and found.is_secure else None
        sts = await watch.sts.policy(domain) if records is None and watch.sts is not None else None
        return decide(domain, host.name, dane=records, sts=sts)

    async def open(
        self,
        host: Host,
        found: Hosts,
        domain: str,
        *,
        wanted: Wanted,
        is_tls_optional: Callable[[], Awaitable[bool]],
    ) -> Connection:
        """A session that is as safe as the domain, the sender and the operator want.

        Args:
            found: what the host is one of.
            is_tls_optional: whether the message says `TLS-Required: No` (RFC 8689 section 3).

        Raises:
            OpenFailed: none.
        """
        security = await self.decide(domain, host, found)
        if wanted == "any" and _binds(security) and await is_tls_optional():
            # RFC 8689 section 4.2.2: as if nobody had published anything; nothing is reported.
            connection = await self._climb_down(host, found.way, open_to_all(""))
            connection.is_kept = False
            return connection
        if isinstance(security, Barred):
            self._note(domain, host, security.fact)
            raise OpenFailed(Answer(security.reply, "starttls", is_ours=True))
        if wanted != "any" and not host.is_here:
            return await self._open_protected(host, found, security, wanted)
        return await self._climb_down(host, found.way, security)

    # -- inside -------------------------------------------------------------------------

    async def _dane(self, host: Host) -> dane.Dane | dane.Unknown | None:
        return await run_check(
            lambda lookup: dane.find(host.name, host.port, lookup), self._dns, budget=self._dns.new_budget()
        )

    async def _open_protected(
        self, host: Host, found: Hosts, security: Security, wanted: Wanted
    ) -> Connection:
        """RFC 8689 section 4.2.1; a report takes what it can get (section 5)."""
        is_strict = wanted == "verified"
        strong = protected(security, is_mx_signed=found.is_secure or not is_strict)
        if strong is None and is_strict:
            raise OpenFailed(Answer(_UNSIGNED, "check", is_ours=True))
        if strong is not None:
            try:
                return await self._climb_down(host, found.way, strong)
            except OpenFailed as error:
                if is_strict:
                    raise _for_good(error) from error
                if security.must or not error.result:
                    raise
        return await self._climb_down(host, found.way, security)

    async def _climb_down(self, host: Host, way: Way, security: Security) -> Connection:
        """The best TLS the host manages; no worse than it must be."""
        grade, failed = self._first_grade(host, way, security), _NOTHING_WRONG
        is_remembered = grade not in ("verified", "modern")
        while True:
            try:
                connection = await connect(
                    host, helo=self._helo, options=self._options, grade=grade, way=way, security=security
                )
            except OpenFailed as error:
                failed = error.result or ("starttls-not-supported" if _has_no_tls(error) else failed)
                worse = None if security.must or way.tls == "verify" else self._worse(grade, error, way)
                if worse is None:
                    self._note_failure(host, security, failed, error)
                    raise _explained(error, security, failed) from error
                grade = worse
                self._remember(host, grade)
            else:
                if not is_remembered or connection.tls:
                    self._note_session(connection, failed)
                return connection

    def _first_grade(self, host: Host, way: Way, security: Security) -> Grade:
        if way.tls == "verify" or security.proof == "certificate":
            return "verified"
        if security.must:
            return "modern"
        grade, until = self._grades.get((host.ip, host.port), ("modern", 0.0))
        if until < asyncio.get_running_loop().time() or (grade == "clear" and way.tls == "require"):
            return "modern"
        return grade

    def _worse(self, grade: Grade, error: OpenFailed, way: Way) -> Grade | None:
        """The next grade to try; None when the failure has nothing to do with TLS, or nothing is left."""
        worse = _WORSE.get(grade) if error.is_tls else None
        return None if worse == "clear" and way.tls == "require" else worse

    def _remember(self, host: Host, grade: Grade) -> None:
        until = asyncio.get_running_loop().time() + TLS_MEMORY_S
        self._grades[(host.ip, host.port)] = (grade, until)
        while len(self._grades) > MAX_TLS_MEMORY:
            self._grades.popitem(last=False)

    # -- what is told ---------------------------------------------------------------------

    def _note(self, domain: str, host: Host, fact: TlsFact | None, level: int | None = None) -> None:
        if self._watch is not None and domain:
            self._watch.note(Seen(domain, str(host), fact, level))

    def _note_failure(self, host: Host, security: Security, result: TlsResult, error: OpenFailed) -> None:
        if result and self._watch is not None and security.policy.domain:
            ours, theirs = error.ends
            fact = TlsFact(security.policy, result, host.name, ours, theirs, error.answer.reply.text)
            self._note(security.policy.domain, host, fact)

    def _note_session(self, connection: Connection, failed: TlsResult) -> None:
        """A session came to be; with a policy that is only tested, its faults are found here."""
        security, host = connection.security, connection.host
        if self._watch is None or not security.policy.domain:
            return
        problem = self.problem(connection)
        result: TlsResult = "" if connection.tls else failed or "starttls-not-supported"
        reason = ""
        if connection.tls and security.watches:
            result = "validation-failure" if security.is_refused_host else problem
            reason = "MX host is not in the policy" if security.is_refused_host else ""
        ours, theirs = connection.ends
        level = ratchet.level_of(connection.tls, is_verified=not problem)
        fact = TlsFact(security.policy, result, host.name, ours, theirs, reason)
        self._note(security.policy.domain, host, fact, level)

    def problem(self, connection: Connection) -> TlsResult:
        """What is wrong with a server's certificate, where nobody asks that it be right."""
        if connection.is_verified or not connection.chain:
            return "" if connection.is_verified else "validation-failure"
        key = (hashlib.sha256(b"".join(connection.chain)).digest(), connection.host.name)
        clock = asyncio.get_running_loop().time()
        problem, until = self._judged.get(key, (_NOTHING_WRONG, 0.0))
        if until < clock:
            anchors = _anchors(self._options.ca_file)
            problem = certificates.check(connection.chain, anchors, (connection.host.name,), at=time.time())
            self._judged[key] = (problem, clock + _JUDGED_S)
            while len(self._judged) > MAX_JUDGED:
                self._judged.popitem(last=False)
        return problem


@lru_cache(maxsize=4)
def _anchors(ca_file: str) -> Store | None:
    """Whom a verified session would trust."""
    try:
        ders = context_of("verified", ca_file).get_ca_certs(binary_form=True)
    except OSError:
        return None
    return certificates.trusting(certificates.load_all(ders))


def _is_public(domain: str, found: Hosts) -> bool:
    """True where the hosts are those DNS names for a domain, and TLS is ours to choose."""
    return not (found.way.is_set or found.way.tls == "none" or domain.startswith("["))


def _binds(security: Security | Barred) -> bool:
    return isinstance(security, Barred) or security.must


def _has_no_tls(error: OpenFailed) -> bool:
    return error.answer.is_ours and error.answer.reply.status == "7.4"


def _explained(error: OpenFailed, security: Security, result: TlsResult) -> OpenFailed:
    """L13, L14: what the domain wants, and did not get, is said; the message waits."""
    answer = error.answer
    if security.why and security.must and result:
        reply = Reply(451, "7.5", f"{answer.reply.text} ({security.why}: not sent without)")
        answer = replace(answer, reply=reply, stage="starttls")
    return OpenFailed(answer, is_tls=error.is_tls, was_connected=error.was_connected, result=result)


def _for_good(error: OpenFailed) -> OpenFailed:
    """RFC 8689 section 4.2.1: without TLS, or with a certificate of somebody else, it is not sent."""
    if not error.result:
        return error
    reply = Reply(550, "7.10", f"{error.answer.reply.text}; the sender wants verified TLS")
    return OpenFailed(replace(error.answer, reply=reply, stage="starttls"), was_connected=True)
