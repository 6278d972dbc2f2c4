"""Once a day: DMARC and TLS reports about yesterday, to the domains that ask for them.

    facts of a day ─► who wants it (DNS) ─► who agreed ─► document ─► message in the queue, or HTTPS

A message has the id of its kind, day, domain and target: whoever dies in between and begins
again finds it in the queue, or among what has left it, and does not send it twice.  What the
DNS does not answer now is asked again later; the ledger (state/report_ledger.py) knows.
Reports have no sender that could be answered, ask for no report about themselves, and none
is written when all we saw of a domain were reports.

Standards: RFC 9990, RFC 8460.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mailstack import __version__
from mailstack.app.signing import sign_report
from mailstack.app.whereabouts import return_path
from mailstack.app.workers import hold_lock
from mailstack.delivery import report_documents, report_mail
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.report_documents import Period, Reporter
from mailstack.delivery.report_mail import KINDS, Report, ReportKind
from mailstack.filters.authentication import rua
from mailstack.filters.authentication.rua import Mailbox, Target, Upload
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.net.https import HttpsFailed, Limits, request, trusting
from mailstack.net.resolver import DnsSource, run_check
from mailstack.state.dmarc_facts import DmarcFacts, DomainFacts
from mailstack.state.report_ledger import MAX_WAIT_S, Outcome, ReportLedger
from mailstack.state.tls_facts import PolicyFacts, TlsFacts, day_of

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.app.daemon import Context
    from mailstack.app.queue_home import Home
    from mailstack.delivery.queue import Queue
    from mailstack.directory import Directory
    from mailstack.state.maillog import MailLog
    from mailstack.state.senders import LongSenders

_DAY_S = 86_400
#: Reports written in one round; the next one is a minute later.
MAX_ROUND = 100
#: Seconds between two rounds.
ROUND_S = 60.0
#: Of an HTTPS server's answer, octets that are read.
_ANSWER_OCTETS = 65_536

_log = logging.getLogger(__name__)

Facts = DomainFacts | tuple[PolicyFacts, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes, or would become, of a report and one of its targets.

    Attributes:
        target: None: of the domain as a whole.
        report: None when there is none to send.
        why: why nothing is sent; "" when something is.
    """

    kind: ReportKind
    day: str
    domain: str
    target: Target | None = None
    report: Report | None = None
    outcome: Outcome = "skipped"
    why: str = ""


class _Known(Exception):
    """The queue has the message, or had it."""


class Reports:
    """Writes reports and sends them; belongs to one event loop."""

    def __init__(
        self,
        config: Config,
        directory: Directory,
        queue: Queue,
        *,
        dns: DnsSource,
        maillog: MailLog,
        long_senders: LongSenders,
        now: Callable[[], float],
    ) -> None:
        self._config = config
        self._options = config.reports
        self._directory = directory
        self._queue = queue
        self._dns = dns
        self._maillog = maillog
        self._long_senders = long_senders
        self._now = now
        path = config.paths.state_db
        self._dmarc, self._tls, self._ledger = DmarcFacts(path), TlsFacts(path), ReportLedger(path)
        self._said = ""

    def close(self) -> None:
        """Releases the database."""
        for table in (self._dmarc, self._tls, self._ledger):
            table.close()

    # -- rounds -------------------------------------------------------------------------

    async def round(self) -> int:
        """Sends what is due; gives how many domains were dealt with.

        Raises:
            TemporaryFailure: database, directory or queue is in trouble; the next round goes on.
        """
        reporter = await asyncio.to_thread(self.reporter)
        if reporter is None:
            return 0
        async with self._alone(wait_s=ROUND_S):
            due = await asyncio.to_thread(self._due)
            for kind, day, domain in due:
                try:
                    await self._deal_with(kind, day, domain, reporter)
                except TemporaryFailure:
                    raise
                except Exception:  # what a stranger's domain says must not cost the others their reports
                    _log.exception("the %s report about %s", kind, domain)
                    broken = Step(kind, day, domain, why="an error of ours, see the daemon's log")
                    await asyncio.to_thread(self._settle, kind, day, domain, [broken])
        return len(due)

    @asynccontextmanager
    async def _alone(self, *, wait_s: float) -> AsyncIterator[None]:
        """No other daemon and no command sends reports meanwhile; TemporaryFailure when one does."""
        lock = self._config.paths.state / "reports.lock"
        held = await asyncio.to_thread(lambda: hold_lock(lock, wait_s=wait_s))
        try:
            yield
        finally:
            os.close(held)

    async def send(self, day: str, *, domain: str = "", is_dry: bool = False) -> list[Step]:
        """Sends what is left of a day's reports now, about one domain or all; gives what became of each.

        Args:
            is_dry: say what would become of them, and do nothing.

        Raises:
            TemporaryFailure: database, directory or queue is in trouble.
        """
        reporter = await asyncio.to_thread(self.reporter)
        found: list[Step] = []
        if reporter is None:
            return found
        for kind in self._kinds():
            for name in await asyncio.to_thread(self._domains, kind, day):
                if domain not in ("", name):
                    continue
                if is_dry:
                    found += await self.steps(kind, day, name, reporter)
                    continue
                async with self._alone(wait_s=ROUND_S):
                    found += await self._deal_with(kind, day, name, reporter)
        return found

    async def _deal_with(self, kind: ReportKind, day: str, domain: str, reporter: Reporter) -> list[Step]:
        steps = await self.steps(kind, day, domain, reporter)
        done = [await self._carry(step) for step in steps]
        await asyncio.to_thread(self._settle, kind, day, domain, done)
        return done

    def _due(self) -> list[tuple[ReportKind, str, str]]:
        """Reports whose time has come, as many as fit in a round."""
        found: list[tuple[ReportKind, str, str]] = []
        now = self._now()
        for kind in self._kinds():
            for age in range(1, self._options.tries_days + 1):
                day = day_of(now - age * _DAY_S)
                done = self._ledger.of(kind, day)
                room = self._options.per_day - sum(row.outcome == "settled" for row in done.values())
                for domain in self._domains(kind, day):
                    row = done.get(domain)
                    is_open = row is None or row.is_due(now)
                    if is_open and room > 0 and now >= self._time_of(day, domain):
                        room -= 1
                        found.append((kind, day, domain))
        return found[:MAX_ROUND]

    def _kinds(self) -> Iterator[ReportKind]:
        for kind in KINDS:
            if getattr(self._options, kind):
                yield kind

    def _domains(self, kind: ReportKind, day: str) -> list[str]:
        return (self._dmarc if kind == "dmarc" else self._tls).domains(day)

    def _time_of(self, day: str, domain: str) -> float:
        """Spread by the name, so that not all servers of the world write at midnight to the same one."""
        part = int.from_bytes(_digest(domain, self._config.hostname)[:4], "big") / 2**32
        options = self._options
        return Period.of(day).end + 1 + 60 * options.send_minute + part * options.spread_s

    # -- one report -----------------------------------------------------------------------

    async def steps(self, kind: ReportKind, day: str, domain: str, reporter: Reporter) -> list[Step]:
        """What is to be done about a domain and a day; does nothing."""
        facts = await asyncio.to_thread(self._facts, kind, day, domain)
        base = Step(kind, day, domain)
        why = self._why_not(facts, domain)
        if why or facts is None:
            return [replace(base, why=why)]
        found = await self._targets(kind, domain, facts)
        if not found:
            return [replace(base, why="its record names nobody who could be sent a report")]
        report = _write(kind, day, domain, facts, reporter)
        return [
            replace(base, target=target, report=report, outcome="queued")
            if outcome == "queued"
            else replace(base, target=target, outcome=outcome, why=why)
            for target, outcome, why in found
        ]

    def _facts(self, kind: ReportKind, day: str, domain: str) -> Facts | None:
        return self._dmarc.of(day, domain) if kind == "dmarc" else self._tls.of(day, domain) or None

    def _why_not(self, facts: Facts | None, domain: str) -> str:
        if facts is None:
            return "nothing was counted"
        if any(f".{domain}".endswith(f".{name.lower()}") for name in self._options.opt_out):
            return "reports.opt_out names it"
        if isinstance(facts, DomainFacts) and all(fact.is_report for fact, _ in facts.rows):
            return "nothing but reports came from it"
        return ""

    async def _targets(
        self, kind: ReportKind, domain: str, facts: Facts
    ) -> list[tuple[Target | None, Outcome, str]]:
        """Targets that may be sent to, and why others may not."""
        later: Outcome = "waiting"
        if not isinstance(facts, DomainFacts):
            asked = await run_check(
                lambda k: rua.tls_targets(domain, k), self._dns, budget=self._dns.new_budget()
            )
            if asked is None:
                return [(None, later, "the DNS does not answer now")]
            return [(target, "queued", "") for target in asked[: self._options.targets]]
        published = facts.published
        found: list[tuple[Target | None, Outcome, str]] = []
        for target in rua.parse(published.rua)[: self._options.targets]:
            assert isinstance(target, Mailbox)
            found.append(await self._agreed(published.domain, published.organization, target))
        return found

    async def _agreed(self, domain: str, organization: str, target: Mailbox) -> tuple[Target, Outcome, str]:
        checked = await run_check(
            lambda k: rua.check(domain, organization, target, k), self._dns, budget=self._dns.new_budget()
        )
        if checked is None:
            return target, "waiting", "the DNS does not answer now"
        return (target, "skipped", checked) if isinstance(checked, str) else (checked, "queued", "")

    async def _carry(self, step: Step) -> Step:
        """Sends a report to a target and writes down what became of it; gives the same."""
        if step.target is None:
            return step
        known = await asyncio.to_thread(self._ledger.targets, step.kind, step.day, step.domain)
        row = known.get(str(step.target))
        if row is not None and row.outcome != "waiting":
            return replace(step, outcome=row.outcome, why=row.why)
        done = step
        if step.report is not None and await asyncio.to_thread(self._is_too_much, step, step.target):
            why = f"{_host(step.target)} has had {self._options.per_stranger} reports about others today"
            done = replace(step, outcome="skipped", why=why)
        elif step.report is not None and isinstance(step.target, Upload):
            done = await self._upload(step, step.target, step.report)
        elif step.report is not None:
            done = await asyncio.to_thread(self._enqueue, step, step.report)
        await asyncio.to_thread(self._note, done)
        return done

    def _is_too_much(self, step: Step, target: Target) -> bool:
        """T29: RFC 8460 asks nobody whether he wants reports about another's domain, as RFC 9990 does."""
        host = _host(target)
        if step.kind != "tls" or f".{host}".endswith(f".{step.domain}"):
            return False
        return self._ledger.sent_to(step.kind, step.day, host) >= self._options.per_stranger

    def _note(self, step: Step) -> None:
        name = str(step.target)
        self._ledger.note(
            step.kind,
            step.day,
            step.domain,
            name,
            outcome=step.outcome,
            now=self._now(),
            why=step.why,
            queue_id=_queue_id(step.kind, step.day, step.domain, name) if step.outcome == "queued" else "",
        )

    def _settle(self, kind: ReportKind, day: str, domain: str, done: Sequence[Step]) -> None:
        """The domain's own row: settled, unless something can be tried again."""
        now = self._now()
        waiting = [step for step in done if step.outcome == "waiting"]
        is_over = now + MAX_WAIT_S >= Period.of(day).end + self._options.tries_days * _DAY_S
        outcome: Outcome = "waiting" if waiting and not is_over else "settled"
        said = waiting or [step for step in done if step.target is None]
        self._ledger.note(kind, day, domain, outcome=outcome, now=now, why=said[0].why if said else "")

    # -- ways out -------------------------------------------------------------------------

    def _enqueue(self, step: Step, report: Report) -> Step:
        assert isinstance(step.target, Mailbox)
        to = str(step.target.address)
        where, kind = return_path(
            to, self._config, self._directory, long_senders=self._long_senders, now=self._now()
        )
        if not where:
            return replace(step, outcome="skipped", why=f"{to} leads nowhere")
        sender = self.sender()
        if sender is None:
            return replace(step, outcome="waiting", why="there is no domain with a DKIM key to send it from")
        octets = report_mail.message(report, [to], sender=str(sender), at=self._now())
        signature = sign_report(self._directory, octets, sender.domain, self._config.dkim, now=self._now())
        size = len(signature) + len(octets)
        most = min(self._options.max_octets, step.target.max_octets or self._options.max_octets)
        if size > most:
            return replace(step, outcome="skipped", why=f"it has {size} octets, more than the {most} allowed")
        message = QueueMessage(
            queue_id=_queue_id(step.kind, step.day, step.domain, str(step.target)),
            recipients=(QueueRecipient(where, frozenset({"NEVER"}), kind=kind),),
            data=octets,
            prefix=signature,
            kind="vacation",
            smtputf8=not (to.isascii() and where.isascii()),
        )
        if self._put(message):
            self._maillog.queued("", queue_id=message.queue_id, sender="", to=where, kind="report", owner="")
        return replace(step, outcome="queued")

    def _put(self, message: QueueMessage) -> bool:
        """Queues it once; False when that was done before."""

        def is_known(connection: sqlite3.Connection) -> None:
            if connection.execute(_KNOWN, (message.queue_id, message.queue_id)).fetchone():
                raise _Known

        # A file without rows is one that recovery will find and send.
        is_there = self._queue.spool.path(message.queue_id).exists()
        if is_there or self._queue.read(_KNOWN, (message.queue_id, message.queue_id)):
            return False
        try:
            self._queue.enqueue_with([message], is_known)
        except _Known:
            return False
        return True

    async def _upload(self, step: Step, target: Upload, report: Report) -> Step:
        """RFC 8460 section 5.4; the same report again is known by its id."""
        limits = Limits(self._options.https_s, _ANSWER_OCTETS, self._options.https_allow_private)
        try:
            response = await request(
                target.host,
                target.path,
                dns=self._dns,
                context=trusting(self._config.queue.ca_file),
                limits=limits,
                port=target.port,
                body=report.packed,
                kind=report_mail.TLS_TYPE,
            )
        except (HttpsFailed, OSError) as error:
            return replace(step, outcome="waiting", why=str(error))
        if 200 <= response.status < 300:
            return replace(step, outcome="uploaded")
        outcome: Outcome = "waiting" if response.status >= 500 else "skipped"
        return replace(step, outcome=outcome, why=f"{target.host} answered {response.status}")

    # -- who reports ------------------------------------------------------------------------

    def sender(self) -> Address | None:
        """The address reports come from; None: no domain here can sign them.

        RFC 9990 section 3.1 wants reports that pass DMARC themselves, RFC 8460 section 5.3 DKIM.
        """
        if self._options.sender:
            address = Address.parse(self._options.sender)
            return address if self._directory.dkim_keys(address.domain) else None
        for domain in self._directory.domains():
            if self._directory.dkim_keys(domain.name):
                return Address("postmaster", domain.name)
        return None

    def reporter(self) -> Reporter | None:
        """Who reports; None when nobody can, which is said once."""
        sender = self.sender()
        if sender is None:
            why = "no reports are sent: there is no domain with a DKIM key for them (reports.sender)"
            if why != self._said:
                self._said = why
                _log.warning("%s", why)
            return None
        self._said = ""
        organization = self._options.organization or sender.domain
        return Reporter(sender.domain, organization, str(sender), f"mailstack {__version__}")

    def document(self, kind: ReportKind, day: str, domain: str, reporter: Reporter) -> str:
        """The report about a domain and a day, unpacked; "" when nothing was counted."""
        facts = self._facts(kind, day, domain)
        return "" if facts is None else _document(kind, day, domain, facts, reporter).decode()


def _host(target: Target) -> str:
    return target.host if isinstance(target, Upload) else target.address.domain


_KNOWN = "SELECT 1 FROM message WHERE id = ? UNION ALL SELECT 1 FROM finished WHERE id = ?"


def _document(kind: ReportKind, day: str, domain: str, facts: Facts, reporter: Reporter) -> bytes:
    """The report as its readers unpack it."""
    period, report_id = Period.of(day), _report_id(kind, day, domain, reporter)
    if isinstance(facts, DomainFacts):
        return report_documents.dmarc_xml(facts, period, reporter, report_id)
    return report_documents.tls_json(facts, period, reporter, report_id)


def _write(kind: ReportKind, day: str, domain: str, facts: Facts, reporter: Reporter) -> Report:
    return report_mail.pack(
        kind,
        domain,
        _document(kind, day, domain, facts, reporter),
        period=Period.of(day),
        reporter=reporter,
        report_id=_report_id(kind, day, domain, reporter),
    )


def _report_id(kind: ReportKind, day: str, domain: str, reporter: Reporter) -> str:
    """The same for the same report, whenever it is written."""
    return f"{_digest(kind, day, domain, reporter.domain)[:16].hex()}@{reporter.domain}"


def _queue_id(kind: ReportKind, day: str, domain: str, target: str) -> str:
    return base64.b32encode(_digest("queue", kind, day, domain, target)[:10]).decode("ascii").lower()


def _digest(*words: str) -> bytes:
    return hashlib.sha256("\0".join(words).encode()).digest()


def forget_old(context: Context) -> int:
    """Removes facts and notes nobody needs any more; gives how many rows."""
    path, before = context.paths.state_db, day_of(context.now() - context.config.reports.keep_days * _DAY_S)
    facts, ledger = DmarcFacts(path), ReportLedger(path)
    try:
        return facts.forget(before=before) + ledger.forget(before=before)
    finally:
        facts.close()
        ledger.close()


async def keep_reporting(context: Context, home: Home, queue: Queue, dns: DnsSource) -> None:
    """Sends what is due, minute by minute, until it is cancelled."""
    reports = Reports(
        context.config,
        home.directory,
        queue,
        dns=dns,
        maillog=context.maillog,
        long_senders=home.long_senders,
        now=context.now,
    )
    try:
        while True:
            await asyncio.sleep(ROUND_S)
            try:
                await reports.round()
            except TemporaryFailure as error:
                _log.error("reports wait: %s", error.why)
    finally:
        reports.close()
