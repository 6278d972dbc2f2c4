"""Who is told that a message arrived: each RCPT with NOTIFY=SUCCESS has one answer.

    the recipient's own mailbox keeps a copy     "delivered", when it is stored
    it leads to one place                        that place: "delivered", or with the queue's copy
    it leads to several                          "expanded", now; their copies want no answer

Nobody is told whose sender address may be forged, or whose mail was taken for spam: a
confirmation is what spammers pay for.

Source: RFC 3461 sections 5.2.3 and 5.2.7, RFC 3464 section 2.3.3; `delivery/wishes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.app.leads import Leads
from mailstack.delivery import dsn, wishes
from mailstack.model.envelope import Recipient
from mailstack.model.reply import Reply
from mailstack.routing.expand import RemoteTarget
from mailstack.routing.route import Facts, Local, route

if TYPE_CHECKING:
    from mailstack.app.mail import Mail, Services
    from mailstack.delivery.decide import Decision

_STORED = Reply(250, "0.0", "Stored in the mailbox")
_EXPANDED = Reply(250, "0.0", "Passed on to the addresses behind this one")


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the wishes for success of one message end.

    Attributes:
        delivered: recipient and id of the account whose copy is its answer.
        expanded: recipients that lead to several places.
        kept: (number of a RCPT, key of an outside address): this copy takes the wish along.
    """

    delivered: tuple[tuple[Recipient, int], ...] = ()
    expanded: tuple[Recipient, ...] = ()
    kept: frozenset[tuple[int, str]] = frozenset()


def find(services: Services, mail: Mail, decision: Decision, facts: Facts) -> Ends:
    """Follows every recipient whose sender wants to hear of success.

    Args:
        facts: as routing had them for the message.
    """
    delivered: list[tuple[Recipient, int]] = []
    expanded: list[Recipient] = []
    kept: set[tuple[int, str]] = set()
    for recipient in mail.envelope.recipients:
        if "SUCCESS" not in recipient.notify:
            continue
        here, outside, own = _ends(services, mail, decision, facts, recipient)
        if own in here:
            delivered.append((recipient, own))
        elif len(here) + len(outside) > 1:
            expanded.append(recipient)
        elif here:
            delivered.append((recipient, min(here)))
        elif outside:
            kept.add((outside[0].recipient.number, outside[0].address.key))
    return Ends(tuple(delivered), tuple(expanded), frozenset(kept))


def _ends(
    services: Services, mail: Mail, decision: Decision, facts: Facts, recipient: Recipient
) -> tuple[set[int], list[RemoteTarget], int]:
    """Accounts that have it, outside addresses it goes to, and the recipient's own account (0: none)."""
    leads = Leads(services, mail, facts)
    plan = leads.plan(recipient)
    reached = leads.ends(plan)
    # What a rule threw away was delivered to its owner.
    taken = [*(store.target for store in decision.stores), *decision.discards]
    here = {target.account.id for target in taken} & reached
    # One copy leaves for an address, whoever else sends it there.
    keys = {remote.address.key for remote in leads.remotes(plan, reached)}
    outside = [remote for remote in decision.forwards if remote.address.key in keys]
    found = route(recipient.address, services.directory, facts)
    return here, outside, found.account.id if isinstance(found, Local) else 0


def notify_of(ends: Ends, remote: RemoteTarget) -> frozenset[str]:
    """What the queue's copy for an outside address is asked to report."""
    recipient = remote.recipient
    if (recipient.number, remote.address.key) in ends.kept:
        return wishes.with_success(recipient.notify)
    return wishes.passed_on(recipient.notify)


def notify_later(ends: Ends, recipient: Recipient, account_id: int) -> frozenset[str]:
    """The same for a local copy that is retried from the queue."""
    if any(account == account_id for _, account in ends.delivered):
        return wishes.with_success(recipient.notify)
    return wishes.passed_on(recipient.notify)


def reported(mail: Mail) -> list[dsn.Reported]:
    """What the sender is told once all copies are stored."""
    if not mail.is_sender_verified or (mail.account is None and mail.answer.verdict.klass == "spam"):
        return []
    later = {store.target.account.id for store, _ in mail.later}
    told = [_told(r, "delivered", _STORED) for r, account in mail.ends.delivered if account not in later]
    return told + [_told(recipient, "expanded", _EXPANDED) for recipient in mail.ends.expanded]


def _told(recipient: Recipient, action: dsn.Action, reply: Reply) -> dsn.Reported:
    return dsn.Reported(str(recipient.address), action, reply, notify=recipient.notify, orcpt=recipient.orcpt)
