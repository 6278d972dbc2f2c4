"""One message by LMTP: a reply of its own for each recipient.

Differs from app/transaction.py where it speaks of one reply for all:

- Who refuses says so, and the client reports it; unless the sender may be forged: then it is
  kept, as for every relay.
- Who cannot be stored for the moment is told so and retried by the client, not by us;
  unless the same recipient (a group) has been stored or queued in part.
- A queue that is full is so for those alone whose mail has to go there.
- Content is never refused: the client is a mail server or list manager that would have to
  bounce it to a forged sender.  It is filed as spam instead.
- Its address says nothing about who sent the message; its Received field does (smtp/relays.py).

Promises P1 to P3 hold for each recipient that is answered with 250.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mailstack.app import outgoing
from mailstack.app.leads import leaves
from mailstack.app.mail import Services
from mailstack.app.transaction import Transaction
from mailstack.delivery.decide import Decision, Rejection, Store
from mailstack.model.envelope import Body, Envelope, Recipient
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.routing.expand import Plan
from mailstack.routing.route import Facts


class EachTransaction(Transaction):
    """Carries one message to its end, recipient by recipient."""

    def __init__(self, services: Services, envelope: Envelope, body: Body, *, facts: Facts) -> None:
        """`facts`: what routing needs."""
        super().__init__(services, envelope, body, account=None, facts=facts)
        self._recipients = envelope.recipients
        self._said: dict[int, Reply] = {}
        self._leads_to: dict[int, tuple[Plan, set[int]]] = {}

    async def run_each(self) -> Sequence[Reply]:
        """A reply for each recipient, in the envelope's order.

        Raises:
            TemporaryFailure: nothing is promised to anybody.
        """
        refusal = await self._prepare()
        if refusal is not None:
            self._refuse(refusal, "submission")
            return [refusal] * len(self._recipients)
        refusal = await self._resolve() or self._content_refusal()
        if refusal is not None:
            await self._note_scripts()
            self._refuse(refusal, "policy")
            return [refusal] * len(self._recipients)
        mail = self._mail
        decision = await self._decide()
        refusals = await self._no_room(decision)
        if refusals:
            return await self._without(decision, refusals)
        decision = self._refusals(decision)
        ok = Reply(250, "0.0", f"Ok id={mail.envelope.accept_id}")
        if len(self._said) < len(self._recipients):
            self._still_wanted()
            ok = await self._carry(await self._settle(decision))
        else:
            await self._notify(decision)
        return [self._said.get(recipient.number, ok) for recipient in self._recipients]

    async def _without(self, decision: Decision, refusals: Mapping[str, Reply]) -> Sequence[Reply]:
        """452 for who needs room that the queue does not have; all others as if they were alone.

        Who shares a mailbox or a target with one of them is told so too: the client brings the
        message again for the one, and would bring the other a second copy.
        """
        mail = self._mail
        crowded = [r for r in decision.forwards if outgoing.owner_of(mail, r) in refusals]
        waiting: set[int | str] = {remote.address.key for remote in crowded}
        left = {recipient.number: self._all_ends(recipient) for recipient in self._recipients}
        while more := [number for number, ends in left.items() if ends & waiting]:
            for number in more:
                waiting |= left.pop(number)
        assert len(left) < len(self._recipients), "a target nobody's mail goes to"
        refusal = refusals[outgoing.owner_of(mail, crowded[0])]
        for recipient in self._recipients:
            if recipient.number not in left:
                self._tell(recipient, refusal, "queue_full")
        others = tuple(recipient for recipient in self._recipients if recipient.number in left)
        if others:
            envelope = replace(mail.envelope, recipients=others)
            again = EachTransaction(self._s, envelope, mail.body, facts=self._facts)
            self._said |= zip(left, await again.run_each(), strict=True)
        return [self._said[recipient.number] for recipient in self._recipients]

    def _all_ends(self, recipient: Recipient) -> set[int | str]:
        """Accounts and outside targets the message comes to on the way of this recipient."""
        plan = self._leads.plan(recipient)
        ids = self._leads.ends(plan)
        return {*ids, *(remote.address.key for remote in self._leads.remotes(plan, ids))}

    def _content_refusal(self) -> Reply | None:
        return super()._content_refusal() if self._mail.answer.verdict.unfiltered else None

    # -- who refuses ---------------------------------------------------------------------

    def _refusals(self, decision: Decision) -> Decision:
        """Notes the recipients that take nothing; gives what is left to do."""
        taking = {target.account.id for target in self._leads.takers(decision)}
        leaving = decision.leaving
        refusing = {r.target.account.id: r for r in decision.rejections if r.target is not None}
        of_alias = {r.recipient.number: r for r in decision.rejections if r.target is None}
        if not self._mail.is_sender_verified:
            # The client would bounce to a sender that may be forged: `_settle` keeps it instead.
            taking |= refusing.keys()
        told: set[int] = set()
        kept: set[int] = set()
        for recipient in self._recipients:
            plan, number = self._leads.plan(recipient), recipient.number
            ids = self._leads.ends(plan, refusing.keys())
            self._leads_to[number] = plan, ids
            takes = bool(ids & taking) or leaves(plan, leaving, refusing)
            takes = takes or (number in of_alias and not self._mail.is_sender_verified)
            (kept if takes else told).update(ids & refusing.keys())
            if not takes:
                self._tell(recipient, self._why_not(recipient, ids, decision), "recipient")
        left = [r for i, r in refusing.items() if i in kept or i not in told]
        left += [r for number, r in of_alias.items() if number not in self._said]
        return replace(decision, rejections=tuple(left))

    def _why_not(self, recipient: Recipient, ids: set[int], decision: Decision) -> Reply:
        for rejection in decision.rejections:
            owner = rejection.target
            if (
                (rejection.recipient.number == recipient.number)
                if owner is None
                else (owner.account.id in ids)
            ):
                return rejection.reply
        refused = [reply for other, reply in self._mail.plan.refused if other.number == recipient.number]
        return refused[0] if refused else _nobody(recipient)

    def _unreachable(self) -> list[Rejection]:
        return []  # they have been told

    def _tell(self, recipient: Recipient, reply: Reply, check: str, why: str = "") -> None:
        self._said[recipient.number] = reply
        envelope = replace(self._mail.envelope, recipients=(recipient,))
        received_by = [str(recipient.address)]
        self._s.maillog.refused_message(envelope, reply, check=check, why=why, received_by=received_by)

    def _still_wanted(self) -> None:
        """Whoever has been told no is not in the log's line about who got the message."""
        left = tuple(r for r in self._recipients if r.number not in self._said)
        self._mail.envelope = replace(self._mail.envelope, recipients=left)

    # -- who cannot be stored now ----------------------------------------------------------

    async def _store_all(self, stores: Sequence[Store]) -> None:
        await super()._store_all(stores)
        mail = self._mail
        if not mail.later:
            return
        failed = {store.target.account.id: error for store, error in mail.later}
        done = {store.target.account.id for store, _ in mail.stored}
        leaving = {recipient.address.lower() for entry in mail.entries for recipient in entry.recipients}
        done |= {remote.via for remote in mail.plan.remotes if str(remote.address).lower() in leaving}
        retried: set[int] = set()
        # Found out before anything was stored: an error now would bring all of it twice.
        open_ = {recipient.number: self._leads_to[recipient.number] for recipient in mail.envelope.recipients}
        while ours := [
            number
            for number, (plan, ids) in open_.items()
            if ids & (done | retried) or any(str(r.address).lower() in leaving for r in plan.remotes)
        ]:
            # What we try again for one is nothing the client shall send again for another.
            for number in ours:
                retried |= open_.pop(number)[1] & failed.keys()
        for recipient in mail.envelope.recipients:
            ids = open_[recipient.number][1] if recipient.number in open_ else set()
            if ids & failed.keys():
                error = failed[min(ids & failed.keys())]
                self._tell(recipient, _not_now(recipient, error), "local_error", error.why)
        mail.later = [(store, error) for store, error in mail.later if store.target.account.id in retried]
        self._still_wanted()
        if not mail.envelope.recipients and not mail.entries:
            raise _NobodyLeft

    async def _carry(self, decision: Decision) -> Reply:
        try:
            return await super()._carry(decision)
        except _NobodyLeft:
            return Reply(451, "3.0", "The message cannot be taken at the moment; try again later")


class _NobodyLeft(Exception):
    """Everybody has been told to try again; there is no event of acceptance."""


def _nobody(recipient: Recipient) -> Reply:
    return Reply(550, "1.1", f"{recipient.address} leads to nobody any more", "nowhere")


def _not_now(recipient: Recipient, error: TemporaryFailure) -> Reply:
    if error.status == "2.2":
        return Reply(452, "2.2", f"The mailbox of {recipient.address} is full; try again later")
    if error.status == "3.1":
        return Reply(452, "3.1", "There is no space for the message; try again later")
    return Reply(451, error.status, f"{recipient.address} cannot be delivered to at the moment")
