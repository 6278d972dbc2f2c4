"""Where each RCPT of a message leads by itself: several may lead to one mailbox, which is decided on once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from mailstack.app import loops
from mailstack.delivery.decide import Decision, Rejection, forward_spam
from mailstack.model.envelope import Recipient
from mailstack.routing.expand import Expansion, LocalTarget, Plan, RemoteTarget
from mailstack.routing.route import Facts

if TYPE_CHECKING:
    from mailstack.app.mail import Mail, Services


def leaves(plan: Plan, leaving: Collection[str], refusing: Collection[int]) -> bool:
    """True when a target outside gets the message for whom this plan is; not by accounts that refuse."""
    return any(remote.address.key in leaving for remote in plan.remotes if remote.via not in refusing)


class Leads:
    """The ways of one message's recipients."""

    def __init__(self, services: Services, mail: Mail, facts: Facts) -> None:
        """`facts`: as routing had them for the message."""
        self._services = services
        self._mail = mail
        self._facts = facts

    def plan(self, recipient: Recipient) -> Plan:
        """Where this recipient alone leads, but for what rules send on."""
        return Expansion(self._services.directory, self._facts, self._services.config.routing).add(
            [recipient]
        )

    def ends(self, plan: Plan, refusing: Collection[int] = ()) -> set[int]:
        """Ids of accounts the message comes to on this way: also by what their rules send on.

        Args:
            refusing: accounts that send nothing on.
        """
        reached = {target.account.id for target in plan.locals}
        while more := self._sent_on_by(reached - set(refusing)) - reached:
            reached |= more
        return reached

    def _sent_on_by(self, ids: Collection[int]) -> set[int]:
        return {to for source, to in self._mail.plan.edges if source in ids}

    def remotes(self, plan: Plan, ids: Collection[int]) -> list[RemoteTarget]:
        """Outside targets on this way, also those of the accounts it comes to."""
        return [*plan.remotes, *(remote for remote in self._mail.plan.remotes if remote.via in ids)]

    def takers(self, decision: Decision) -> list[LocalTarget]:
        """Accounts with which the message ends well: a copy, a rule's discard, a forward of theirs."""
        # Who refuses sends nothing on.
        leaving = decision.leaving
        via = {remote.via for remote in self._mail.plan.remotes if remote.address.key in leaving}
        via -= {rejection.target.account.id for rejection in decision.rejections if rejection.target}
        return [
            *(store.target for store in decision.stores),
            *decision.discards,
            *(target for target in self._mail.plan.locals if target.account.id in via),
        ]

    def also_refused(self, decision: Decision, rejections: Sequence[Rejection]) -> list[Rejection]:
        """Refusals of recipients nobody takes it for, and that are not named in `rejections`."""
        named = {rejection.recipient.number for rejection in rejections}
        by_account = {r.target.account.id: r for r in rejections if r.target is not None}
        taking = {target.account.id for target in self.takers(decision)}
        leaving = decision.leaving
        found = []
        for recipient in self._mail.envelope.recipients:
            if recipient.number in named:
                continue
            plan = self.plan(recipient)
            ids = self.ends(plan, by_account)
            if ids & taking or leaves(plan, leaving, by_account):
                continue
            why = next((by_account[i] for i in sorted(ids) if i in by_account), None)
            if why is not None:
                found.append(Rejection(recipient, why.reply, why.target, why.verdict))
            elif (cut := self._cut(recipient, plan)) is not None:
                found.append(cut)
        return found

    def _cut(self, recipient: Recipient, plan: Plan) -> Rejection | None:
        """The refusal of an alias what it leads to does not leave for, whoever else leads there too."""
        mail = self._mail
        often = {held.remote.address.key for held in mail.plan.held_back}
        owners = {remote.owner.key for remote in plan.remotes if remote.owner is not None}
        if owners & mail.circling or any(remote.address.key in often for remote in plan.remotes):
            return Rejection(recipient, loops.refusal(recipient.address))
        if plan.remotes:
            return forward_spam(recipient)
        return None if plan.locals else Rejection(recipient, plan.refused[0][1])
