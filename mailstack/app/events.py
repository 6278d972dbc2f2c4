"""What one transaction tells the mail log and the bus."""

from __future__ import annotations

from mailstack.app import forwards
from mailstack.app.mail import Mail, Services
from mailstack.delivery.decide import Decision
from mailstack.delivery.local import Copy
from mailstack.filters import explain
from mailstack.model.reply import Reply
from mailstack.model.verdict import FilterAnswer

_SHOWN = 5
#: Of whom the message does not reach, so many have a line of their own.
_LOST_SHOWN = 50


def verdict(services: Services, mail: Mail, answer: FilterAnswer) -> None:
    """`filtered`, or `unfiltered` and why."""
    found = answer.verdict
    if found.virus.result in ("found", "unscanned"):
        said = f"found {found.virus.name}" if found.virus.name else f"not scanned, {found.virus.why}"
        services.maillog.write("virus", mail.envelope.accept_id, said=said)
    if found.unfiltered:
        services.maillog.unfiltered(mail.envelope.accept_id, why=found.unfiltered, aside=found.aside)
        services.arrivals.alarm(mail)
        return
    if mail.account is not None:
        return  # a login is not judged
    who = found.authentication
    services.maillog.filtered(
        mail.envelope.accept_id,
        klass=found.klass,
        score=found.score,
        action=found.action,
        spf=who.spf.result,
        dkim=",".join(f"{d.result}:{d.domain}" for d in who.dkim) or "none",
        dmarc=who.dmarc.result,
        reasons=explain.reasons(found.reasons),
        why=explain.sentences(found.reasons),
    )


def refused(services: Services, mail: Mail, reply: Reply, check: str, why: str = "") -> None:
    """`refused` at the end of DATA."""
    received_by = [t.account.address.key for t in mail.plan.locals]
    services.maillog.refused_message(mail.envelope, reply, check=check, why=why, received_by=received_by)


def done(services: Services, mail: Mail, decision: Decision) -> None:
    """`accepted`, and what becomes of it for each recipient; wakes imap and queue."""
    envelope = mail.envelope
    services.maillog.accepted(
        envelope.accept_id,
        peer=envelope.client.ip,
        sender=envelope.sender,
        recipients=[str(r.address) for r in envelope.recipients],
        size_octets=mail.body.size_octets,
        login=envelope.client.login,
        message_id=mail.message_id,
        tls=envelope.client.tls,
        why="without a login, known by its address" if envelope.client.by_address else "",
    )
    queued(services, mail)
    _filed(services, mail)
    for target in decision.discards:
        services.maillog.discarded(envelope.accept_id, to=str(target.account.address), why="rule")
    _lost(services, mail)
    for rejection in decision.rejections:
        to, reply = str(rejection.recipient.address), rejection.reply
        owner = rejection.target and str(rejection.target.account.address)
        services.maillog.write(
            "rejected",
            envelope.accept_id,
            received_by=dict.fromkeys((to, owner or to)),
            to=to,
            check=reply.check,
            code=reply.code,
            status=reply.enhanced,
            why=reply.text,
        )


def _filed(services: Services, mail: Mail) -> None:
    for store, copies in mail.stored:
        account = store.target.account
        for copy, action in zip(copies, store.actions, strict=True):
            services.maillog.filed(
                mail.envelope.accept_id,
                to=str(account.address),
                original=str(store.target.original),
                mailbox=copy.mailbox,
                uid=copy.uid,
                klass=store.verdict.klass,
                sieve=copy.action,
                why=store.note
                or store.verdict.script_error
                or _elsewhere(copy, action.mailbox)
                or explain.sentences(store.verdict.reasons),
                score=store.verdict.score
                if explain.is_personal(store.verdict, mail.answer.verdict)
                else None,
                reasons=explain.reasons(store.verdict.reasons),
            )
            services.bus.publish(
                "imap", {"event": "mailbox", "account": account.address.key, "folder": copy.mailbox}
            )


def _lost(services: Services, mail: Mail) -> None:
    """`unreached`: a member of a group, or a target of a redirection, that does not get it."""
    taken = {recipient.number for recipient in mail.envelope.recipients}
    found = [lost for lost in mail.plan.lost if lost.recipient.number in taken]
    for number, lost in enumerate(found[:_LOST_SHOWN], 1):
        more = len(found) - _LOST_SHOWN if number == _LOST_SHOWN else 0
        services.maillog.write(
            "unreached",
            mail.envelope.accept_id,
            received_by=[str(lost.recipient.address)],
            to=str(lost.recipient.address),
            check=lost.check,
            why=f"{lost.why}; and {more} more" if more > 0 else lost.why,
        )


def queued(services: Services, mail: Mail) -> None:
    """`queued` and `forwarded`; wakes the queue."""
    # A login's own mail is signed by us; what others sent may not be.
    warning = "" if mail.account is not None else forwards.warning(mail.answer.verdict.authentication)
    for entry in mail.entries:
        services.maillog.queued(
            mail.envelope.accept_id,
            queue_id=entry.queue_id,
            sender=entry.sender,
            to=",".join(recipient.address for recipient in entry.recipients[:_SHOWN]),
            kind=entry.kind,
            owner=entry.owner,
        )
        if entry.kind != "forward":
            continue
        for recipient in entry.recipients:
            services.maillog.forwarded(
                mail.envelope.accept_id,
                owner=entry.owner,
                to=recipient.address,
                sender=entry.sender,
                queue_id=entry.queue_id,
                warning=warning,
            )
    if mail.entries:
        services.bus.publish("queue", {"event": "queued"})


def _elsewhere(copy: Copy, wanted: str) -> str:
    if copy.again or copy.mailbox.upper() == wanted.upper():
        return ""
    return f"there is no folder {wanted}"
