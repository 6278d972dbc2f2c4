"""What follows from an attempt: outcome, reports, copies for people here, log lines.

The rule above all others: a failure ends with exactly one person who knows.  That is the
sender when we know it was the sender (P11), else whoever forwarded it, else the
postmaster; what not even the postmaster's mailbox takes is held for the operator.

Blocking; called from the queue daemon's threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from mailstack.app import queue_log, undelivered
from mailstack.app.hourly import Hourly
from mailstack.delivery import dsn, rows, schedule, texts, upkeep
from mailstack.delivery.entry import (
    HAS_COPY,
    HAS_COPY_REPORTED,
    Entry,
    EntryRecipient,
    Facts,
    QueueMessage,
    QueueRecipient,
    Result,
)
from mailstack.delivery.queue import LeaseLost, Queue
from mailstack.delivery.spool import Content
from mailstack.delivery.undelivered import Undelivered, note
from mailstack.disk.durable import guarded
from mailstack.disk.fault import fault_point
from mailstack.mime import generate
from mailstack.model.errors import TemporaryFailure
from mailstack.model.outcome import Deferred, Delivered, Failed
from mailstack.model.reply import Reply
from mailstack.smtp.options import cap

if TYPE_CHECKING:
    from mailstack.app.queue_home import Home
    from mailstack.net.smtp_delivery import Trial, Tried


_log = logging.getLogger(__name__)


def results_of(entry: Entry, trial: Trial) -> list[Result]:
    """A trial's answers as outcomes; on the last attempt "later" means never."""
    found = []
    for recipient, tried in zip(entry.recipients, trial.recipients, strict=True):
        reply = tried.answer.reply
        if tried.answer.is_possible_duplicate:
            reply = replace(reply, text=f"{reply.text} (it may have arrived: possible duplicate)")
        outcome = Delivered(tried.host, str(reply)) if reply.code < 300 else refused(recipient, reply)
        found.append(
            Result(
                recipient,
                outcome,
                tried.host,
                # Redirections are private: the next host was not asked to report (`delivery/wishes`).
                needs_relayed_report=not tried.relays_report or entry.facts.kind == "forward",
                is_final=tried.is_final,
                tls=tried.tls,
                is_ours=tried.answer.is_ours,
            )
        )
    return found


def refused(recipient: EntryRecipient, reply: Reply) -> Deferred | Failed:
    """A refusal as an outcome."""
    return Deferred(reply) if reply.is_temporary and not recipient.is_last else Failed(reply)


@dataclass(frozen=True, slots=True)
class _Follow:
    """What an attempt leaves behind beside its outcome.

    Attributes:
        told: what the log says about who knows of the failures.
        hold: not even the last resort took it.
        undelivered: reports for the postmaster's list.
    """

    messages: tuple[QueueMessage, ...] = ()
    told: str = ""
    hold: bool = False
    undelivered: tuple[Undelivered, ...] = ()


class Settler:
    """Writes outcomes down and tells those who must know."""

    def __init__(
        self,
        queue: Queue,
        home: Home,
        *,
        lease_owner: str,
        bounced: Callable[[str, int], None] = lambda owner, recipients: None,
        settled: Callable[[Entry, Sequence[Result], Content | None], None] = lambda *outcome: None,
    ) -> None:
        """Takes what it works with.

        Args:
            bounced: told how many recipients refused mail of a login here for good.
            settled: told of every outcome, after its commit.
        """
        self._queue = queue
        self._bounced = bounced
        self._settled = settled
        self._home = home
        self._lease_owner = lease_owner
        texts.load()
        self._forward_reports = Hourly(cap(queue.options.forward_reports_per_hour))

    def settle(self, entry: Entry, results: Sequence[Result], content: Content | None) -> bool:
        """Commits the outcome with everything that follows from it, then logs it.

        Returns:
            False when the attempt was not ours any more.

        Raises:
            TemporaryFailure: nothing was written; may be repeated.
        """
        log = self._home.maillog
        follow = self._follow_safely(entry, results, content)
        if follow.hold:
            results = [_held(result) for result in results]
        if any(isinstance(result.outcome, Delivered) for result in results):
            with guarded("writing to the queue"):
                fault_point("queue.remote_accepted")
        try:
            self._queue.finish(
                entry.facts.queue_id,
                results,
                lease_owner=self._lease_owner,
                reports=follow.messages,
                hold=follow.hold,
                also=lambda connection: note(connection, follow.undelivered),
            )
        except LeaseLost:
            log.write("lease_lost", entry.facts.queue_id)
            return False
        for result in results:
            queue_log.outcome(log, entry.facts, result, now=self._queue.now(), told=follow.told)
        if follow.hold:
            log.write("alarm", entry.facts.queue_id, why="held: nobody can be given this message")
        for message in follow.messages:
            queue_log.queued(log, message)
        self._go_on(entry, results, content, follow)
        return True

    def _go_on(
        self, entry: Entry, results: Sequence[Result], content: Content | None, follow: _Follow
    ) -> None:
        """What is no part of the commit: trouble in it must not have the outcome settled again."""
        facts = entry.facts
        jobs: list[Callable[[], None]] = [partial(self._settled, entry, results, content)]
        refusing = sum(isinstance(r.outcome, Failed) and r.outcome.reply.code >= 500 for r in results)
        if refusing and facts.kind == "submission" and facts.owner:
            jobs.append(partial(self._bounced, facts.owner, refusing))
        if any(isinstance(r.outcome, Deferred) and self._is_late(r.recipient) for r in results):
            jobs.append(partial(self.tell_late, facts.queue_id))
        if follow.undelivered:
            jobs.append(self.tell_undelivered)
        for job in jobs:
            try:
                job()
            except TemporaryFailure as error:
                if error.fatal:
                    raise
                _log.error("queue id %s is settled, but not what follows: %s", facts.queue_id, error.why)
            except Exception:  # hooks of other parts: their mistakes are not this message's
                _log.exception("queue id %s is settled, but not what follows", facts.queue_id)

    def _is_late(self, recipient: EntryRecipient) -> bool:
        return not recipient.delay_told and schedule.is_late(recipient.waited_s, self._queue.options)

    # -- who is told ------------------------------------------------------------------

    def _follow_safely(self, entry: Entry, results: Sequence[Result], content: Content | None) -> _Follow:
        """As `_follow`; a report that cannot be made must not undo what the far server said."""
        try:
            return self._follow(entry, results, content)
        except TemporaryFailure:
            raise
        except Exception:  # text from outside went into the report: the outcome counts all the same
            _log.exception("queue id %s: its report cannot be made", entry.facts.queue_id)
            has_failed = any(isinstance(result.outcome, Failed) for result in results)
            return _Follow(told="held: the report cannot be made", hold=has_failed)

    def _follow(self, entry: Entry, results: Sequence[Result], content: Content | None) -> _Follow:
        failed = [result for result in results if isinstance(result.outcome, Failed)]
        good = [
            result for result in results if isinstance(result.outcome, Delivered) and _wants_success(result)
        ]
        if not failed and not good:
            return _Follow()
        facts = entry.facts
        if facts.is_sender_verified and facts.sender and facts.kind != "dsn":
            return self._report(facts, failed, good, content)
        return self._keep(entry, failed, content) if failed else _Follow()

    def _report(
        self, facts: Facts, failed: list[Result], good: list[Result], content: Content | None
    ) -> _Follow:
        has_mailbox = facts.kind == "forward" and self._has_mailbox(facts.owner)
        told = [
            _reported(result, "failed", self._queue.now())
            for result in failed
            # The address written to has it; only what it sends on has failed.
            if not (has_mailbox and result.recipient.detail == HAS_COPY)
        ]
        for result in good:
            is_final = result.recipient.kind == "local" or result.is_final
            told.append(_reported(result, "delivered" if is_final else "relayed", self._queue.now()))
        wanted = [one for one in told if dsn.is_wanted(one.action, one.notify)]
        if not wanted:
            if failed and has_mailbox:
                # The sender wants to hear nothing; whoever redirects it wanted the message.
                return self._to_owner(facts, failed, content)
            return _Follow(told="not wanted (NOTIFY)")
        if failed and self._is_flooded(facts):
            return self._to_owner(facts, failed, content)
        report = dsn.report(
            self._original(facts, content),
            wanted,
            self._home.site,
            now=self._queue.now(),
            report_id=self._queue.new_id(),
        )
        if report is not None:
            return _Follow((report,), told=report.queue_id)
        if not failed:
            return _Follow()
        # The return path leads nowhere.
        keep = self._to_owner if has_mailbox else self._to_postmaster
        return keep(facts, failed, content)

    def _is_flooded(self, facts: Facts) -> bool:
        """True for redirected mail that can stay, and whose sender elsewhere has had enough reports (Q26)."""
        if facts.kind != "forward" or not self._has_mailbox(facts.owner):
            return False
        to, kind = self._home.where(facts.sender)
        return kind == "remote" and not self._forward_reports.may(to.lower(), self._queue.now())

    def _keep(self, entry: Entry, failed: list[Result], content: Content | None) -> _Follow:
        """Nobody outside may be told: somebody here gets the message itself."""
        facts = entry.facts
        if facts.kind == "forward" and self._has_mailbox(facts.owner):
            # Q26: the redirection's owner wanted it in the first place.
            return self._to_owner(facts, failed, content)
        if facts.kind == "dsn" and self._home.postmaster():
            said = [(result, str(_reply(result))) for result in failed]
            entries = undelivered.listed(facts, said, content, now=self._queue.now())
            return _Follow(told="the postmaster's list", undelivered=entries)
        if facts.kind in ("dsn", "relay", "forward"):
            return self._to_postmaster(facts, failed, content)
        if facts.kind == "local":
            is_last_resort = any(not result.recipient.detail for result in failed)
            return (
                _Follow(told="held", hold=True)
                if is_last_resort
                else self._to_postmaster(facts, failed, content)
            )
        return _Follow(told="nobody: null sender")

    def _has_mailbox(self, owner: str) -> bool:
        """False for an alias: what it forwards has no mailbox to stay in."""
        return bool(owner) and self._home.where(owner) == (owner, "local")

    def _to_owner(self, facts: Facts, failed: list[Result], content: Content | None) -> _Follow:
        """What is not sent on stays in the mailbox, where it may be already."""
        if all(result.recipient.detail in (HAS_COPY, HAS_COPY_REPORTED) for result in failed):
            return _Follow(told=f"{facts.owner} has a copy")
        return self._copy(facts, facts.owner, failed, content)

    def _to_postmaster(self, facts: Facts, failed: list[Result], content: Content | None) -> _Follow:
        """Mail that nobody else can be given ends here, once."""
        postmaster = self._home.postmaster()
        if not postmaster:
            return _Follow(told="held: there is no postmaster mailbox", hold=True)
        return self._copy(facts, postmaster, failed, content)

    def _copy(self, facts: Facts, owner: str, failed: list[Result], content: Content | None) -> _Follow:
        if content is None:
            return _Follow(told="held", hold=True)
        prefix = b"".join(
            generate.header("X-Mailstack-Note", f"not delivered to {r.recipient.address}: {_reply(r)}")
            for r in failed
        )
        copy = QueueMessage(
            queue_id=self._queue.new_id(),
            accept_id=facts.accept_id or facts.queue_id,
            recipients=(QueueRecipient(owner, kind="local", owner=owner),),
            path=str(content.path),
            path_octets=content.size_octets,
            prefix=prefix,
            kind="local",
            smtputf8=facts.smtputf8,
            body=facts.body,
            owner=owner,
        )
        return _Follow((copy,), told=f"{owner} has it")

    def _original(self, facts: Facts, content: Content | None) -> dsn.Original:
        octets = b""
        if content is not None:
            whole = facts.size_octets <= self._home.config.queue.dsn_full_octets
            octets = content.read() if whole else next(content.chunks(), b"")
        return dsn.Original(
            id=facts.accept_id or facts.queue_id,
            kind=facts.kind,
            sender=facts.sender,
            owner=facts.owner,
            octets=octets,
            size_octets=facts.size_octets,
            arrived_at=facts.created_at,
            ret=facts.ret,
            envid=facts.envid,
            smtputf8=facts.smtputf8,
            is_binary=facts.body == "BINARYMIME",
            requiretls=facts.requiretls,
        )

    def tell_undelivered(self) -> None:
        """Queues the postmaster's letter about reports nobody could be given, once it is due (Q16).

        Raises:
            TemporaryFailure: nothing was written; they stay on the list.
        """
        letter = undelivered.tell(self._queue, self._home)
        if letter is not None:
            queue_log.queued(self._home.maillog, letter)

    # -- delays -----------------------------------------------------------------------

    def tell_late(self, queue_id: str) -> None:
        """Sends a local sender the one notice that a message is still here (P12).

        Raises:
            TemporaryFailure: nothing was written.
        """
        late = self._late(queue_id)
        if not late:
            return
        facts, waiting = late
        reports = self._delay_report(facts, waiting)
        numbers = [row.number for row in waiting]
        try:
            self._queue.enqueue_with(reports, lambda connection: upkeep.note_told(connection, numbers))
        except LeaseLost:
            return  # another process has told them
        for report in reports:
            queue_log.queued(self._home.maillog, report)

    def _delay_report(self, facts: Facts, waiting: Sequence[rows.LateRow]) -> list[QueueMessage]:
        told = [row for row in waiting if self._is_told_of_delay(facts, row)]
        if not told:
            return []
        content = self._queue.content(facts)
        try:
            report = dsn.report(
                self._original(facts, content if isinstance(content, Content) else None),
                [self._delayed(facts, row) for row in told],
                self._home.site,
                now=self._queue.now(),
                report_id=self._queue.new_id(),
            )
        except TemporaryFailure:
            raise
        except Exception:  # text from outside went into it; it is left out, and not tried every minute
            _log.exception("queue id %s: its delay notice cannot be made", facts.queue_id)
            return []
        return [report] if report is not None else []

    def _late(self, queue_id: str) -> tuple[Facts, list[rows.LateRow]] | None:
        found = self._queue.read(
            f"SELECT {rows.FACT_COLUMNS} FROM message WHERE id = ?",  # noqa: S608
            (queue_id,),
        )
        waiting = self._queue.read(
            f"SELECT {rows.LATE_COLUMNS} FROM recipient WHERE message = ? AND state = 0"  # noqa: S608
            " AND delay_told = 0 AND waited_s >= ?",
            (queue_id, self._queue.options.delay_notice_after_s),
        )
        if not found or not waiting:
            return None
        return rows.facts(found[0]), [rows.LateRow._make(row) for row in waiting]

    def _is_told_of_delay(self, facts: Facts, row: rows.LateRow) -> bool:
        # Limits, section 9: only senders here, and who asks for it; else it is nobody's business yet.
        if facts.kind in ("dsn", "vacation") or not facts.sender or not facts.is_sender_verified:
            return False
        if row.detail == HAS_COPY:
            return False  # to its sender it is delivered
        return "DELAY" in row.notify.split() or self._home.where(facts.sender)[1] == "local"

    def _delayed(self, facts: Facts, row: rows.LateRow) -> dsn.Reported:
        left_s = schedule.give_up_after_s(facts.kind, self._queue.options) - row.waited_s
        return dsn.Reported(
            address=row.address,
            action="delayed",
            reply=Reply(row.code or 451, row.status, row.reply),
            notify=frozenset(row.notify.split()),
            orcpt=row.orcpt,
            host=row.host,
            is_ours=bool(row.is_ours),
            at=row.last_at,
            shown=row.original,
            until=self._queue.now() + max(0.0, left_s),
        )

    # -- dead destinations --------------------------------------------------------------

    def postpone(self, destination: str, tried: Tried) -> None:
        """Puts off what else is due for a destination where nobody is there.

        Args:
            tried: what became of the message that was tried.

        Raises:
            TemporaryFailure: disk or database.
        """
        reply, is_ours = tried.answer.reply, tried.answer.is_ours
        while postponed := upkeep.postpone_due(
            self._queue, destination, reply=reply, host=tried.host, is_ours=is_ours
        ):
            for one in postponed:
                result = Result(one.recipient, Deferred(reply), tried.host, is_ours=is_ours)
                queue_log.outcome(self._home.maillog, one.facts, result, now=self._queue.now())
            if len(postponed) < upkeep.BATCH:
                return


def _wants_success(result: Result) -> bool:
    return "SUCCESS" in result.recipient.notify and (
        result.recipient.kind == "local" or result.needs_relayed_report
    )


def _reply(result: Result) -> Reply:
    outcome = result.outcome
    return Reply(250, "0.0", outcome.detail) if isinstance(outcome, Delivered) else outcome.reply


def _reported(result: Result, action: dsn.Action, now: float) -> dsn.Reported:
    r = result.recipient
    return dsn.Reported(
        r.address,
        action,
        _reply(result),
        notify=r.notify,
        orcpt=r.orcpt,
        host=result.host,
        is_ours=result.is_ours,
        at=now,
        shown=r.original,
    )


def _held(result: Result) -> Result:
    """A failure that nobody can be told of stays in the queue."""
    outcome = result.outcome
    return replace(result, outcome=Deferred(outcome.reply)) if isinstance(outcome, Failed) else result
