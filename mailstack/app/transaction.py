"""One message at the end of DATA: from its octets to the one reply.

    prepare  submission checks, fix-ups, signature, Received
    resolve  routing and filter in rounds, until rules redirect to nobody new
    decide   delivery/decide.py: what is stored, forwarded, sent, refused
    carry    queue first (COMMIT), then the mailboxes (fsync), both before the reply
    reply    by the table "one message, several recipients, one reply"

Promises P1 to P3: after `run` has returned 250 every recipient's copy is durable; an
exception means nothing is promised and the client will send again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar, TypeVarTuple

from mailstack.app import devices, events, loops, outgoing, sealing, submission, success, trace
from mailstack.app.arrival import is_always_reached
from mailstack.app.leads import Leads
from mailstack.app.mail import Mail, Services
from mailstack.app.owner_mail import OwnerMail
from mailstack.app.redirect import is_author_proven
from mailstack.delivery import dsn
from mailstack.delivery.decide import Decision, Rejection, Store, decide, implicit_verdict
from mailstack.delivery.local import Copy, Job, redirects_of, store
from mailstack.disk.fault import fault_point
from mailstack.filters.explain import is_junk
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Envelope, Recipient
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.model.verdict import FileInto, FilterAnswer, FilterRecipient, FilterRequest, Keep
from mailstack.routing.expand import Expansion, LocalTarget
from mailstack.routing.route import Facts
from mailstack.smtp.policy.sender import Resent

#: Rules that redirect to accounts whose rules redirect ... are followed so far.
MAX_ROUNDS = 6

_NO_ROOM = "The queue is full and holds many messages for this recipient; try again later"

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_log = logging.getLogger(__name__)


class Transaction:
    """Carries one message to its end."""

    def __init__(
        self, services: Services, envelope: Envelope, body: Body, *, account: Account | None, facts: Facts
    ) -> None:
        """`account`: who logged in; None on MX.  `facts`: what routing needs."""
        self._s = services
        self._mail = Mail(envelope, body, account)
        self._facts = facts
        self._expansion = Expansion(services.directory, facts, services.config.routing)
        self._leads = Leads(services, self._mail, facts)

    @property
    def mail(self) -> Mail:
        """The message, as far as it has come."""
        return self._mail

    async def run(self) -> Reply:
        """Gives the reply; see the module's head for what it promises.

        Raises:
            TemporaryFailure: nothing is promised; the caller answers 451.
        """
        refusal = await self._prepare()
        if refusal is not None:
            return self._refuse(refusal, "submission")
        refusal = await self._resolve()
        if refusal is not None:
            return self._refuse(refusal, "loop")
        refusal = self._content_refusal() or await self._s.arrivals.greylist(self._mail)
        if refusal is not None:
            await self._note_scripts()
            return self._refuse(refusal, "policy")
        mail = self._mail
        decision = await self._decide()
        is_taken = decision.stores or decision.forwards or decision.discards
        # A relay would have to bounce what a rule refuses, to a sender that may be forged.
        if not is_taken and not (mail.is_relayed and decision.rejections):
            await self._note_scripts()
            await self._notify(decision)
            return self._all_refused(decision)
        refusals = await self._no_room(decision)
        if refusals:
            return self._refuse(next(iter(refusals.values())), "queue_full")
        return await self._carry(await self._settle(decision))

    # -- prepare ------------------------------------------------------------------------

    async def _prepare(self) -> Reply | None:
        """Received line; for submissions also checks, fix-ups and DKIM signature."""
        mail, config = self._mail, self._s.config
        if mail.account is not None:
            async with self._s.large if mail.body.data is None else contextlib.nullcontext():
                prepared = await self._blocking(submission.prepare, self._s, mail, mail.account)
                if isinstance(prepared, Resent):
                    prepared = await self._redirected(prepared, mail.account)
            if isinstance(prepared, Reply):
                return prepared
            mail.body, mail.signature = prepared
        shows_client = config.smtp.submission_shows_client
        mail.received = trace.received(mail.envelope, config.hostname, show_client=shows_client)
        in_memory = mail.body.data is not None
        head = trace.head(mail.body) if in_memory else await self._blocking(trace.head, mail.body)
        mail.message_id = trace.message_id(head)
        if mail.account is None:
            self._s.arrivals.begin(mail, head)
        return None

    async def _redirected(self, resent: Resent, account: Account) -> Reply | tuple[Body, bytes]:
        """Another one's mail, resent by the login: only as the author's domain signed it."""
        mail, services = self._mail, self._s
        if not await is_author_proven(
            mail.body, resolver=services.resolver, threads=services.disk, now=mail.envelope.received_at
        ):
            return resent.refusal
        return await self._blocking(submission.finish, services, mail, account)

    # -- resolve ------------------------------------------------------------------------

    async def _resolve(self) -> Reply | None:
        """Where it may go and what the filter says; a refusal when it only goes in a circle."""
        mail, arrivals = self._mail, self._s.arrivals
        mail.plan = self._expansion.add(mail.envelope.recipients)
        mail.circling = loops.circling(mail.plan, mail.tokens, arrivals.key)
        if mail.circling and loops.is_only_circling(mail.plan, mail.circling):
            text = "The message was delivered to this address before: it goes round in a circle"
            return Reply(554, "4.6", text, "loop")
        if mail.account is None:
            mail.hints = await arrivals.hints(mail)
        await self._evaluate()
        mail.verdicts.update(arrivals.trapped(mail))
        if mail.circling:
            mail.plan = loops.without(mail.plan, mail.circling)
            mail.verdicts.update(loops.verdicts(mail.plan, mail.circling))
        if any(remote.owner is not None for remote in mail.plan.remotes):
            mail.plan = await self._blocking(self._s.forwards.hold_back, mail)
        return None

    async def _evaluate(self) -> None:
        mail = self._mail
        asked: set[int] = set()
        for round_ in range(MAX_ROUNDS):
            new = [target for target in mail.plan.locals if target.number not in asked]
            if not new and (round_ > 0 or mail.account is not None):
                return
            asked.update(target.number for target in new)
            answer = await self._ask(new)
            if round_ == 0:
                mail.answer = answer
                events.verdict(self._s, mail, answer)
                if mail.account is None and answer.verdict.authentication.proves_author_only:
                    mail.author = await self._blocking(trace.author, mail.body)
            mail.verdicts.update((account.recipient, account) for account in answer.accounts)
            if answer.verdict.unfiltered:
                cuts = await self._blocking(trace.find_cuts, mail.body, self._s.config)
                mail.answer = FilterAnswer(
                    mail.answer.verdict, cuts=cuts, results_header=mail.answer.results_header
                )
                return
            self._follow_rules(new)

    def _follow_rules(self, targets: Sequence[LocalTarget]) -> None:
        for target in targets:
            said = self._mail.verdicts.get(target.number)
            if target.account.address.key in self._mail.circling:
                continue
            if said is not None and (redirects := redirects_of(said)):
                self._mail.plan = self._expansion.redirect(target, [r.address for r in redirects])

    async def _ask(self, targets: Sequence[LocalTarget]) -> FilterAnswer:
        mail = self._mail
        envelope, client, body = mail.envelope, mail.origin, mail.body
        recipients = tuple(
            FilterRecipient(
                t.number,
                t.account.id,
                str(t.account.address),
                str(t.original),
                t.catch_all,
                notify=",".join(sorted(t.recipient.notify)),
                orcpt=t.recipient.orcpt,
            )
            for t in targets
        )
        return await self._s.filter.ask(
            FilterRequest(
                accept_id=envelope.accept_id,
                ip=client.ip,
                helo=client.helo,
                sender=envelope.sender,
                recipients=recipients,
                received_at=envelope.received_at,
                message=body.data,
                path=body.path,
                size_octets=body.size_octets,
                tls=client.tls,
                login=client.login,
                smtputf8=envelope.smtputf8,
                hints=mail.hints,
                wants_codes=self._s.arrivals.wants_codes(mail),
                ret=envelope.ret,
                envid=envelope.envid,
            )
        )

    async def _decide(self) -> Decision:
        """What is to happen, with what rules may still send on today."""
        mail = self._mail
        if any(remote.by_rule for remote in mail.plan.remotes):
            # Not before: what is refused, or comes again later, is not counted.
            mail.plan = await self._blocking(self._s.scripts.hold, mail)
        return decide(mail.plan, mail.answer.verdict, mail.verdicts, is_login=mail.account is not None)

    # -- refusals -------------------------------------------------------------------------

    def _content_refusal(self) -> Reply | None:
        """What the filter says no to as a whole."""
        verdict = self._mail.answer.verdict
        may_wait = not devices.is_patient(self._mail.account)
        if verdict.unfiltered and may_wait and self._s.config.filter.on_unfiltered == "tempfail":
            return Reply(451, "3.2", "The message cannot be checked now; try again later", "unfiltered")
        if self._mail.account is not None or verdict.action not in ("reject", "tempfail"):
            return None
        if self._mail.is_relayed or is_always_reached(self._mail):
            return None  # filed as spam instead
        check = "virus" if verdict.virus.is_unwelcome else ""
        return Reply(verdict.reply_code or 550, verdict.reply_status or "7.1", verdict.reply_text, check)

    def _refuse(self, reply: Reply, check: str) -> Reply:
        events.refused(self._s, self._mail, reply, check)
        return reply

    def _all_refused(self, decision: Decision) -> Reply:
        if decision.rejections:
            return self._refuse(decision.rejections[0].reply, "recipient")
        if self._mail.plan.refused:
            return self._refuse(self._mail.plan.refused[0][1], "recipient")
        raise AssertionError("a message that goes nowhere and is refused by nobody")

    async def _no_room(self, decision: Decision) -> dict[str, Reply]:
        """452 for each login, or address that sends on, whose mail would overfill the queue."""
        refusals = {}
        for owner in {outgoing.owner_of(self._mail, remote) for remote in decision.forwards}:
            refusal = await self._blocking(self._s.queue.room_for, owner)
            if refusal is not None:
                is_own = owner != "" and owner == self._mail.envelope.client.login
                refusals[owner] = refusal if is_own else replace(refusal, text=_NO_ROOM)
        return refusals

    async def _settle(self, decision: Decision) -> Decision:
        """Some accept, some refuse: a report to a verified sender, else it is kept and marked.

        Raises:
            TemporaryFailure: nobody here can keep it; nothing has been stored or queued yet.
        """
        rejections = [*decision.rejections, *self._unreachable()]
        also = self._also_refused(decision, rejections)
        if not rejections and not also:
            return decision
        if await self._blocking(outgoing.can_report, self._s, self._mail):
            return replace(decision, rejections=(*rejections, *also))
        # Of a mailbox that keeps it one copy is enough, whoever leads there.
        rejections += [rejection for rejection in also if rejection.target is None]
        stores = {store_.target.number: store_ for store_ in decision.stores}
        for rejection in rejections:
            kept = self._keep(rejection)
            known = stores.get(kept.target.number)
            # One store per account, or two copies would want the same file name.
            stores[kept.target.number] = (
                kept if known is None else replace(known, note=f"{known.note}; {kept.note}".strip("; "))
            )
        return replace(decision, stores=tuple(stores.values()), rejections=())

    def _also_refused(self, decision: Decision, rejections: Sequence[Rejection]) -> list[Rejection]:
        """Refusals of recipients that join the way of one who refuses, or whose target is not sent to."""
        leaving, plan = decision.leaving, self._mail.plan
        is_cut = any(not r.via and r.address.key not in leaving for r in plan.remotes)
        if len(self._mail.envelope.recipients) < 2 or not (rejections or is_cut or plan.refused):
            return []
        return self._leads.also_refused(decision, rejections)

    def _unreachable(self) -> list[Rejection]:
        """Recipients none of whose targets can be reached, such as an alias to a deleted address."""
        plan = self._mail.plan
        refused = {recipient.number: (recipient, reply) for recipient, reply in plan.refused}
        return [Rejection(*refused[number]) for number in refused if number not in plan.reached]

    def _keep(self, rejection: Rejection) -> Store:
        """The copy somebody here gets of what a recipient refuses and nobody can be told of."""
        if rejection.target is not None:
            verdict = rejection.verdict or implicit_verdict(rejection.target)
            home: Keep | FileInto = Keep()
            if is_junk(verdict):
                home = FileInto(rejection.target.account.filters.spam_folder, create=True)
            return Store(rejection.target, (home,), verdict, "could not be rejected")
        # An alias without a mailbox refuses beside others who accept: the postmaster sees it.
        address = rejection.recipient.address
        postmaster = Recipient(Address("postmaster", address.domain), -rejection.recipient.number)
        plan = self._expansion.add([postmaster])
        account = self._postmasters_account(postmaster.address)
        for target in plan.locals:
            if account is not None and target.account.id == account.id:
                folder = FileInto(target.account.filters.spam_folder)
                note = f"{address}: {rejection.reply.text}"
                return Store(target, (folder,), implicit_verdict(target), note)
        raise TemporaryFailure(f"{address} refuses, and no postmaster has a mailbox to keep it")

    def _postmasters_account(self, address: Address) -> Account | None:
        where, kind = outgoing.whereabouts(self._s, self._mail, str(address))
        if kind != "local" or not where:
            return None
        found = self._s.directory.find(Address.parse(where))
        return found if isinstance(found, Account) else None

    async def _notify(self, decision: Decision) -> None:
        """What rules send that refuse the message: a notification undoes no refusal (RFC 5435)."""
        if decision.mails:
            alone = Decision((), (), decision.mails, (), ())
            await self._queue(await self._blocking(self._s.scripts.release, self._mail, alone))
            events.queued(self._s, self._mail)

    # -- carry ----------------------------------------------------------------------------

    async def _carry(self, decision: Decision) -> Reply:
        mail = self._mail
        mail.ends = success.find(self._s, mail, decision, self._facts)
        if decision.forwards and sealing.is_sealed(self._s, mail):
            mail.chain = await sealing.find_chain(
                mail.body, resolver=self._s.resolver, threads=self._s.disk, now=mail.envelope.received_at
            )
        if decision.mails:
            decision = await self._blocking(self._s.scripts.release, mail, decision)
        if decision.forwards or decision.mails or decision.rejections:
            await self._queue(decision)
        await self._store_all(decision.stores)
        if mail.later:
            await self._retry_later()
        fault_point("accept.before_reply")
        try:
            await self._afterwards(decision)
        except Exception:
            # Everything is durable by now: a 4xx would only bring the message a second time.
            _log.exception("%s was stored; what comes after that", mail.envelope.accept_id)
        return Reply(250, "0.0", f"Ok id={mail.envelope.accept_id}")

    async def _queue(self, decision: Decision) -> None:
        try:
            entries = await self._blocking(outgoing.entries, self._s, self._mail, decision)
            await self._blocking(self._s.queue.enqueue, entries)
        except BaseException:
            if decision.mails:
                await self._blocking(self._s.scripts.take_back, decision)
            raise
        self._mail.entries.extend(entries)

    async def _afterwards(self, decision: Decision) -> None:
        """Reports of success, the log, what is learned: for a message that is durable already."""
        mail = self._mail
        if any(remote.kind == "forward" for remote in decision.forwards):
            # Not before: what we answered with 451 was not sent on, however often it comes again.
            await self._blocking(self._s.forwards.begun, mail, decision.forwards)
        if told := success.reported(mail):
            await self._tell_success(told)
        if self._s.forwards.has_news(mail, decision) or self._s.scripts.has_work(mail, decision):
            await self._blocking(self._tell_owners, decision)
        events.done(self._s, mail, decision)
        self._s.arrivals.learn(mail)

    def _tell_owners(self, decision: Decision) -> None:
        """What was not sent on, where rules send mail for the first time, scripts that failed."""
        services, mail = self._s, self._mail
        letters = OwnerMail(
            services.config,
            services.directory,
            services.long_senders,
            services.new_id,
            lambda: mail.envelope.received_at,
        )
        made = services.forwards.done(mail, decision, letters, key=services.arrivals.key)
        made += services.scripts.done(mail, decision, services.store, letters)
        try:
            services.queue.enqueue(made)
        except TemporaryFailure as error:
            _log.error("%s: owners are not told: %s", mail.envelope.accept_id, error.why)
        else:
            mail.entries.extend(made)

    async def _note_scripts(self) -> None:
        """Although nothing is taken: scripts the filter died in, else a 451 would never end; CPU time."""
        said = self._mail.verdicts.values()
        if any(one.failed is not None and one.failed.died for one in said):
            await self._blocking(self._tell_owners, Decision((), (), (), (), ()))
        elif any(one.cpu_s for one in said):
            await self._blocking(self._s.scripts.charge, self._mail)

    async def _tell_success(self, told: Sequence[dsn.Reported]) -> None:
        try:
            report = await self._blocking(outgoing.report, self._s, self._mail, told)
            if report is not None:
                await self._blocking(self._s.queue.enqueue, [report])
                self._mail.entries.append(report)
        except TemporaryFailure as error:
            _log.error("%s: nobody is told that it arrived: %s", self._mail.envelope.accept_id, error.why)

    async def _store_all(self, stores: Sequence[Store]) -> None:
        made: list[list[Copy]] = [[] for _ in stores]
        results = await asyncio.gather(
            *(self._s.disk.run(self._store, *one) for one in zip(stores, made, strict=True)),
            return_exceptions=True,
        )
        for wanted, copies, result in zip(stores, made, results, strict=True):
            if isinstance(result, TemporaryFailure) and result.fatal:
                raise result
            if copies:
                # Those before one that failed too: whoever sent it must not send them again.
                self._mail.stored.append((replace(wanted, actions=wanted.actions[: len(copies)]), copies))
            if result is None:
                continue
            if isinstance(result, TemporaryFailure):
                self._mail.later.append((wanted, result))
            elif isinstance(result, PermanentFailure):
                self._mail.later.append((wanted, TemporaryFailure(result.why, status=result.status)))
            elif isinstance(result, Exception):
                # A mistake of ours for one recipient must not send the others their mail twice.
                _log.error("%s", self._mail.envelope.accept_id, exc_info=result)
                why = "an error of ours, see the daemon's log"
                self._mail.later.append((wanted, TemporaryFailure(why)))
            else:
                raise result

    def _store(self, wanted: Store, made: list[Copy]) -> None:
        mail, account = self._mail, wanted.target.account
        job = Job(
            accept_id=mail.envelope.accept_id,
            number=wanted.target.number,
            received_at=mail.envelope.received_at,
            host=self._s.config.hostname,
            body=mail.body,
            prefix=trace.stored_prefix(
                mail, wanted, key=self._s.arrivals.key, required=self._s.config.filter.spam_score
            ),
            cuts=mail.answer.cuts,
        )
        store(self._s.store.of(account), job, outgoing.copies(mail, wanted), made)

    async def _retry_later(self) -> None:
        """Some are stored, some failed for the moment: these are retried from the queue."""
        mail = self._mail
        if not mail.stored and not mail.entries and not devices.is_patient(mail.account):
            raise mail.later[0][1]
        entries = await self._blocking(outgoing.retries, self._s, mail)
        await self._blocking(self._s.queue.enqueue, entries)
        mail.entries.extend(entries)

    async def _blocking(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await self._s.disk.run(work, *arguments)
