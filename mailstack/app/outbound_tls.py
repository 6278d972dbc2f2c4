"""What becomes of what the queue sees of TLS: results for reports, levels, and who is told of a fall.

    session ─► noted in memory ─► state.db, some at a time ─► TLSRPT, `queue test`
                               └► below what the domain held ─► log event `tls_fell`, daily letter

Runs in the queue daemon.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mailstack.app.owner_mail import OwnerMail
from mailstack.app.whereabouts import postmaster
from mailstack.delivery import ratchet, texts
from mailstack.delivery.ratchet import Hold, Standing
from mailstack.model.errors import TemporaryFailure
from mailstack.net.mta_sts_fetch import StsSource
from mailstack.net.smtp_opening import Seen, Watch
from mailstack.state.sts_policies import StsPolicies
from mailstack.state.tls_facts import TlsFact, TlsFacts, day_of
from mailstack.state.tls_levels import Fall, TlsLevels

if TYPE_CHECKING:
    from mailstack.app.daemon import Context
    from mailstack.app.queue_home import Home
    from mailstack.delivery.queue import Queue
    from mailstack.delivery.security_options import OutboundTlsOptions
    from mailstack.model.language import Language
    from mailstack.net.resolver import DnsSource
    from mailstack.state.maillog import MailLog

#: Sessions are written down at most this much later, in seconds.
FLUSH_S = 1.0
#: Sessions that wait while state.db is in trouble; the oldest go.
MAX_WAITING = 10_000
#: Seconds between two rounds of what has to be fetched again, or told.
ROUND_S = 3_600.0
#: Seconds between two letters.
LETTER_S = 86_400.0
#: Falls that a letter names.
MAX_NAMED = 50

_log = logging.getLogger(__name__)


class TlsKeeper:
    """Takes what was seen; writes it down when `flush` is called, from one thread at a time."""

    def __init__(
        self,
        options: OutboundTlsOptions,
        *,
        facts: TlsFacts,
        levels: TlsLevels,
        maillog: MailLog,
        now: Callable[[], float],
    ) -> None:
        self._options = options
        self._facts = facts
        self._levels = levels
        self._maillog = maillog
        self._now = now
        self._waiting: list[Seen] = []

    def note(self, seen: Seen) -> None:
        """A session; costs nothing."""
        self._waiting.append(seen)

    def note_fact(self, fact: TlsFact) -> None:
        """A policy that could not be had."""
        self.note(Seen(fact.policy.domain, "", fact))

    def flush(self) -> None:
        """Writes down what waits; blocking; never raises."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        now = self._now()
        try:
            self._facts.note([seen.fact for seen in waiting if seen.fact is not None], at=now)
        except TemporaryFailure as error:
            _log.error("results of TLS wait: %s", error.why)
            self._waiting = [*waiting, *self._waiting][-MAX_WAITING:]
            return
        try:
            self._judge([seen for seen in waiting if seen.level is not None], now)
        except TemporaryFailure as error:
            _log.error("levels of TLS are not kept: %s", error.why)

    def _judge(self, seen: Sequence[Seen], now: float) -> None:
        """Holds sessions against what their domains have shown before."""
        hold = Hold(self._options.ratchet_days, self._options.ratchet_sessions)
        standings: dict[str, dict[int, Standing]] = {}
        falls: dict[str, Fall] = {}
        for one in seen:
            level = one.level or ratchet.CLEAR
            if one.domain not in standings:
                rows = self._levels.of(one.domain)
                standings[one.domain] = {number: Standing(*row) for number, row in rows.items()}
            before = standings[one.domain]
            held = ratchet.held(before, hold, now=now)
            if level < held:
                falls[one.domain] = Fall(one.domain, now, held, level, one.host)
            standings[one.domain] = ratchet.after(before, level, now=now)
        changed = [
            (domain, {n: (s.since, s.last_at, s.sessions) for n, s in found.items()})
            for domain, found in standings.items()
        ]
        if changed:
            self._levels.keep(changed, list(falls.values()))
        for fall in falls.values():
            self._maillog.write(
                "tls_fell",
                domain=fall.domain,
                host=fall.host,
                held=ratchet.WORDS[fall.held],
                shown=ratchet.WORDS[fall.level],
                days=self._options.ratchet_days,
            )


@asynccontextmanager
async def watching(context: Context, dns: DnsSource, home: Home, queue: Queue) -> AsyncIterator[Watch]:
    """What the deliveries of this process need; what they see is written down meanwhile."""
    options, path = context.config.outbound_tls, context.paths.state_db
    facts, levels, policies = TlsFacts(path), TlsLevels(path), StsPolicies(path)
    keeper = TlsKeeper(options, facts=facts, levels=levels, maillog=context.maillog, now=context.now)
    sts = StsSource(
        options,
        dns=dns,
        table=policies,
        now=context.now,
        note=keeper.note_fact,
        ca_file=context.config.queue.ca_file,
    )
    tasks = [asyncio.create_task(_keep_flushing(keeper))]
    if context.worker == 0:
        tasks.append(asyncio.create_task(_look_after(context, levels, sts, home, queue)))
    try:
        yield Watch(options, sts=sts if options.mta_sts else None, note=keeper.note)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await sts.close()
        await asyncio.to_thread(keeper.flush)
        for table in (facts, levels, policies):
            table.close()


async def _keep_flushing(keeper: TlsKeeper) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        try:
            await asyncio.to_thread(keeper.flush)
        except Exception:  # what one server shows must not end the counting of all, and pile up what waits
            _log.exception("results of TLS are not kept")


async def _look_after(context: Context, levels: TlsLevels, sts: StsSource, home: Home, queue: Queue) -> None:
    """Now and then: policies that grow old, falls that nobody heard of."""
    while True:
        await asyncio.sleep(ROUND_S)
        try:
            if context.config.outbound_tls.mta_sts:
                await sts.refresh()
            await asyncio.to_thread(tell_falls, context.config.outbound_tls, levels, home, queue)
        except TemporaryFailure as error:
            _log.error("looking after outbound TLS: %s", error.why)
        except Exception:  # what one domain publishes must not leave the policies of all to grow old
            _log.exception("looking after outbound TLS")


def tell_falls(options: OutboundTlsOptions, levels: TlsLevels, home: Home, queue: Queue) -> int:
    """The postmaster hears of domains that fell, at most once a day; blocking.

    Returns:
        How many were told.

    Raises:
        TemporaryFailure: state.db, directory or queue is in trouble; told next time.
    """
    falls = levels.untold()
    now = home.now()
    if not falls or now - levels.last_told() < LETTER_S:
        return 0
    operator = postmaster(home.config, home.directory)
    if operator is not None:
        mail = OwnerMail(home.config, home.directory, home.long_senders, queue.new_id, home.now)
        letters = mail.letter(
            operator,
            str(operator),
            "tls_fell",
            count=str(len(falls)),
            days=str(options.ratchet_days),
            entries="\n".join(_entries(falls, mail.language(operator))),
        )
        if letters:
            queue.enqueue(letters)
    levels.tell(falls)
    return len(falls)


def _entries(falls: Sequence[Fall], language: Language) -> list[str]:
    """A line for each, as far as there is room."""
    lines = [
        texts.say(
            language,
            "letter.tls_fell.entry",
            when=f"{datetime.datetime.fromtimestamp(fall.at, datetime.UTC):%Y-%m-%d %H:%M}",
            domain=fall.domain,
            host=fall.host,
            shown=texts.say(language, f"letter.tls_fell.level_{fall.level}"),
            held=texts.say(language, f"letter.tls_fell.level_{fall.held}"),
        )
        for fall in falls[:MAX_NAMED]
    ]
    if len(falls) > MAX_NAMED:
        lines.append(texts.say(language, "letter.tls_fell.more", count=str(len(falls) - MAX_NAMED)))
    return lines


def forget_old(context: Context) -> int:
    """Removes results and levels nobody needs any more; gives how many rows."""
    options, now = context.config.outbound_tls, context.now()
    facts, levels = TlsFacts(context.paths.state_db), TlsLevels(context.paths.state_db)
    try:
        return facts.forget(before=day_of(now - options.facts_keep_days * ratchet.DAY_S)) + levels.forget(
            before=now - options.ratchet_keep_days * ratchet.DAY_S
        )
    finally:
        facts.close()
        levels.close()
