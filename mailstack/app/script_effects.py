"""What scripts decided, carried out beside the storing: answers, counts, ids, failures.

    hold     before anything is decided: rules that send on more than they may
    release  before anything is queued: each automatic answer is taken out of the memory's hands once
    done     once the message is durable: ids, CPU time, copies of answers, failures told to owners

State that cannot be written stops what would leave (an answer), never what is kept (V15).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mailstack.delivery.decide import Decision
from mailstack.delivery.entry import QueueMessage
from mailstack.delivery.local import Job, store
from mailstack.model.envelope import Body
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.model.verdict import SendMail
from mailstack.routing.expand import HeldBack, LocalTarget, Plan
from mailstack.state.memory import Memory

if TYPE_CHECKING:
    from mailstack.app.mail import Mail
    from mailstack.app.owner_mail import OwnerMail
    from mailstack.filters.sieve_options import SieveOptions
    from mailstack.mailbox import MailStore
    from mailstack.state.maillog import MailLog

#: Characters of a line about scripts.
MAX_NOTE = 1_000
#: Copies of answers have names beside those of the message's own copies.
_COPY = "f"

_log = logging.getLogger(__name__)


class ScriptEffects:
    """One worker's; everything blocks."""

    def __init__(self, path: Path, options: SieveOptions, *, maillog: MailLog, hostname: str) -> None:
        """`path`: state.db; `hostname`: in the names of files."""
        self._memory = Memory(path)
        self._options = options
        self._maillog = maillog
        self._hostname = hostname

    def close(self) -> None:
        """Releases the database."""
        self._memory.close()

    # -- before -----------------------------------------------------------------------------

    def hold(self, mail: Mail) -> Plan:
        """The plan less what rules send on beyond what an account may in a day."""
        counts = Counter(r.via for r in mail.plan.remotes if r.by_rule)
        over: dict[int, int] = {}
        now = mail.envelope.received_at
        for target in mail.plan.locals:
            account = target.account
            wanted, most = counts[account.id], self._options.most_redirects(account.plan)
            if not wanted:
                continue
            try:
                if not self._memory.take(account.id, "redirects", wanted, most=most, now=now):
                    over[account.id] = most
            except TemporaryFailure as error:
                _log.error("%s: sent on uncounted: %s", mail.envelope.accept_id, error.why)
        if not over:
            return mail.plan
        cut = [r for r in mail.plan.remotes if r.by_rule and r.via in over]
        held = [
            HeldBack(
                remote,
                Reply(450, "7.1", "It cannot be sent on at the moment", "forward_limit"),
                f"its rules have sent on {over[remote.via]} messages within 24 hours",
            )
            for remote in cut
        ]
        left = tuple(remote for remote in mail.plan.remotes if remote not in cut)
        return replace(mail.plan, remotes=left, held_back=(*mail.plan.held_back, *held))

    def release(self, mail: Mail, decision: Decision) -> Decision:
        """The decision with only those messages of scripts that may leave now."""
        leaving = [(target, one) for target, one in decision.mails if self._may_leave(mail, target, one)]
        return replace(decision, mails=tuple(leaving))

    def _may_leave(self, mail: Mail, target: LocalTarget, one: SendMail) -> bool:
        account, now = target.account, mail.envelope.received_at
        try:
            if one.claim is not None:
                why = self._memory.claim_answer(
                    account.id,
                    one.claim.id,
                    who=one.claim.who,
                    period_s=one.claim.period_s,
                    per_hour=self._options.answers_per_hour,
                    now=now,
                    handle=one.claim.handle,
                )
            else:
                most = self._options.most_redirects(account.plan)
                counted = self._memory.take(account.id, "redirects", len(one.recipients), most=most, now=now)
                why = "" if counted else f"its rules have sent {most} messages within 24 hours"
        except TemporaryFailure as error:
            why = error.why
        if why:
            self._note(mail, target, f"{one.why}: not sent: {why}")
        return not why

    def take_back(self, decision: Decision) -> None:
        """Nothing left after all: who was to be answered is answered next time."""
        for target, one in decision.mails:
            if one.claim is None:
                continue
            try:
                self._memory.take_back_answer(target.account.id, one.claim.id)
            except TemporaryFailure as error:
                _log.error("%s gets no answer: %s", one.claim.who, error.why)

    def charge(self, mail: Mail) -> None:
        """The CPU time of scripts over a message that is not taken: also who refuses has a limit."""
        for target in mail.plan.locals:
            said = mail.verdicts.get(target.number)
            try:
                if said is not None and said.cpu_s:
                    now = mail.envelope.received_at
                    self._memory.spend(target.account.id, "cpu_s", said.cpu_s, now=now)
            except TemporaryFailure as error:
                _log.error("%s: CPU time is not counted: %s", mail.envelope.accept_id, error.why)

    # -- after ------------------------------------------------------------------------------

    def has_work(self, mail: Mail, decision: Decision) -> bool:
        """True when `done` has something to do; takes no time."""
        said = mail.verdicts.values()
        return any(one.copy is not None for _, one in decision.mails) or any(
            a.notes or a.marks or a.cpu_s or a.failed or a.script_error for a in said
        )

    def done(
        self, mail: Mail, decision: Decision, folders: MailStore, letters: OwnerMail
    ) -> list[QueueMessage]:
        """Takes note of the rest; gives letters for owners whose script failed.

        Never raises TemporaryFailure: the message is durable already.
        """
        made: list[QueueMessage] = []
        for target in mail.plan.locals:
            said = mail.verdicts.get(target.number)
            if said is None:
                continue
            if said.notes or said.script_error:
                self._note(mail, target, "; ".join(said.notes) or said.script_error)
            try:
                made += self._account(mail, target, letters)
            except TemporaryFailure as error:
                address = target.account.address
                _log.error("%s: scripts of %s: %s", mail.envelope.accept_id, address, error.why)
        for number, (target, one) in enumerate(decision.mails, 1):
            if one.copy is not None:
                self._keep_copy(mail, target, one, number, folders)
        return made

    def _account(self, mail: Mail, target: LocalTarget, letters: OwnerMail) -> Sequence[QueueMessage]:
        said, account, now = mail.verdicts[target.number], target.account, mail.envelope.received_at
        for id_, keep_s in said.marks:
            self._memory.mark(account.id, id_, keep_s=keep_s, most=self._options.duplicate_ids, now=now)
        if said.cpu_s:
            self._memory.spend(account.id, "cpu_s", said.cpu_s, now=now)
        failed = said.failed
        if failed is None:
            return ()
        is_new = self._memory.note_failure(
            account.id, failed.script, failed.version, failed.why, now=now, died=failed.died
        )
        if not is_new:
            return ()
        address = account.address
        values = {"address": str(address), "script": failed.script, "why": failed.why}
        return letters.letters(address, "script_failed", **values)

    def _keep_copy(
        self, mail: Mail, target: LocalTarget, one: SendMail, number: int, folders: MailStore
    ) -> None:
        """RFC 8580 section 3.1: that it cannot be kept does not undo the sending."""
        assert one.copy is not None
        envelope = mail.envelope
        job = Job(
            accept_id=f"{envelope.accept_id}{_COPY}{number}",
            number=target.number,
            received_at=envelope.received_at,
            host=self._hostname,
            body=Body(one.message, size_octets=len(one.message)),
            prefix=b"",
        )
        try:
            store(folders.of(target.account), job, [one.copy])
        except (TemporaryFailure, PermanentFailure) as error:
            self._note(mail, target, f"{one.why}: its copy is not kept: {error.why}")

    def _note(self, mail: Mail, target: LocalTarget, note: str) -> None:
        address = target.account.address
        self._maillog.write(
            "sieve",
            mail.envelope.accept_id,
            received_by=(address.key,),
            to=str(address),
            note=note[:MAX_NOTE],
        )
