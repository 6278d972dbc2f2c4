"""What a worker of port 25 counts for DMARC reports.

Noted in memory at the end of each message, written by a thread every few seconds for all
workers together.  What is not written when the power fails is missing in a report, nothing else.

Source: RFC 9990 section 2.1: counts are of all messages received, also of those refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from mailstack.app.beside import go_on
from mailstack.app.report_options import ReportOptions
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.model.verdict import Authentication, DkimResult, DmarcResult
from mailstack.state.dmarc_facts import MAX_SIGNATURES, MAX_TEXT, DmarcFact, DmarcFacts, Noted, Signature

if TYPE_CHECKING:
    from mailstack.app.mail import Mail

#: Different facts held in memory; more are left out until these are written.
MAX_PENDING = 5_000
#: How a report can be told from other mail (RFC 9990 section 2.6.2, RFC 8460 section 5.3).
_MARKS = (b"Report Domain:", b"report-type=tlsrpt", b'report-type="tlsrpt"')

_log = logging.getLogger(__name__)


class DmarcCounting:
    """One worker's counts."""

    def __init__(
        self, state_db: Path, options: ReportOptions, *, now: Callable[[], float], disk: Executor
    ) -> None:
        self._options = options
        self._facts = DmarcFacts(
            state_db, domains=options.domains, rows=options.rows, rows_per_day=options.rows_per_day
        )
        self._now = now
        self._disk = disk
        self._pending: dict[Noted, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Writes from now on; call it in the running loop."""
        if self._options.dmarc:
            self._task = asyncio.get_running_loop().create_task(go_on("counting for DMARC reports", self._go))

    async def close(self) -> None:
        """Writes what is left."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self.write()
        self._facts.close()

    def count(self, mail: Mail, reply: Reply) -> None:
        """Notes a message that is done with; no waiting.  What comes again (4xx) counts then."""
        verdict = mail.answer.verdict
        published = verdict.authentication.dmarc.published
        if published is None or not self._options.dmarc or reply.code // 100 == 4 or not mail.origin.ip:
            return
        fact = fact_of(mail, is_taken=reply.is_ok)
        if len(self._pending) < MAX_PENDING or (published, fact) in self._pending:
            self._pending[published, fact] = self._pending.get((published, fact), 0) + 1

    async def write(self) -> None:
        """Writes what was counted."""
        counts, self._pending = self._pending, {}
        if not counts:
            return
        at = self._now()
        try:
            left_out = await asyncio.get_running_loop().run_in_executor(
                self._disk, lambda: self._facts.note(counts, at=at)
            )
        except TemporaryFailure as error:
            _log.error("%d messages are missing in DMARC reports: %s", sum(counts.values()), error.why)
            return
        if left_out:
            _log.warning(
                "%d messages are left out of DMARC reports: reports.rows, .rows_per_day or .domains", left_out
            )

    async def _go(self) -> None:
        while True:
            await asyncio.sleep(self._options.flush_s)
            await self.write()


def is_report(header: bytes) -> bool:
    """True for the header of what looks like a DMARC or TLS report: two servers that report on each
    other's reports would go on for ever."""
    return any(mark in header for mark in _MARKS)


def fact_of(mail: Mail, *, is_taken: bool) -> DmarcFact:
    """The row a message belongs to.

    Args:
        is_taken: it was accepted, whatever the filter wanted (a relay brought it, or postmaster).
    """
    found = mail.answer.verdict.authentication
    dmarc, spf, path = found.dmarc, found.spf, mail.envelope.reverse_path
    disposition, override, comment = _applied(dmarc, is_taken=is_taken)
    return DmarcFact(
        source_ip=mail.origin.ip,
        disposition=disposition,
        dkim=_word(dmarc.is_dkim_aligned),
        spf=_word(dmarc.is_spf_aligned),
        header_from=dmarc.domain,
        envelope_from=path.domain if path is not None else "",
        override=override,
        comment=comment[:MAX_TEXT],
        signatures=_signatures(found),
        spf_domain=spf.domain,
        spf_result=spf.result,
        # An explanation of a "fail" is the domain's own text, with the sender's address in it.
        spf_why=spf.why[:MAX_TEXT] if spf.result in ("temperror", "permerror") else "",
        is_report=mail.is_report,
    )


def _applied(dmarc: DmarcResult, *, is_taken: bool) -> tuple[str, str, str]:
    """Disposition, and why it is less than the policy; RFC 9990 section 2.1.1.10."""
    assert dmarc.published is not None
    if dmarc.result == "pass" and dmarc.policy in ("quarantine", "reject"):
        return "pass", "", ""
    if dmarc.disposition == "reject" and is_taken:
        return "quarantine", "local_policy", "it was filed as spam, because refusing would bounce it"
    return dmarc.disposition, dmarc.override, dmarc.override_why


def _signatures(found: Authentication) -> tuple[Signature, ...]:
    """RFC 9990 section 2.1.4: those that pass and are the author's first."""

    def rank(one: DkimResult) -> tuple[bool, bool]:
        return one.result != "pass", one.domain != found.dmarc.domain

    return tuple(
        Signature(one.domain, one.selector, one.result, "" if one.result == "pass" else one.why[:MAX_TEXT])
        for one in sorted(found.dkim, key=rank)[:MAX_SIGNATURES]
        if one.domain
    )


def _word(is_aligned: bool) -> str:
    return "pass" if is_aligned else "fail"
