"""What leaves through the queue: submissions, forwards with SRS, replies, reports, retries."""

from __future__ import annotations

from collections.abc import Sequence

from mailstack.app import trace
from mailstack.app.mail import Mail, Services
from mailstack.app.whereabouts import return_path
from mailstack.delivery import dsn
from mailstack.delivery.decide import Decision, Rejection
from mailstack.delivery.entry import QueueMessage, QueueRecipient, RecipientKind
from mailstack.delivery.local import dump_retry
from mailstack.model.address import Address
from mailstack.routing.expand import RemoteTarget
from mailstack.srs import rewrite, short


def entries(services: Services, mail: Mail, decision: Decision) -> list[QueueMessage]:
    """Everything a decision sends; blocking, because large messages are read from disk.

    Forwards of one owner travel together, submissions all together.
    """
    groups: dict[tuple[str, str], list[RemoteTarget]] = {}
    for remote in decision.forwards:
        groups.setdefault((remote.kind, str(remote.owner or "")), []).append(remote)
    made = [_remote(services, mail, group, n) for n, group in enumerate(groups.values(), 1)]
    for target, reply in decision.mails:
        made.append(
            QueueMessage(
                queue_id=services.new_id(),
                accept_id=mail.envelope.accept_id,
                sender=reply.envelope_from,
                recipients=tuple(QueueRecipient(address) for address in reply.recipients),
                data=reply.message,
                kind="vacation",
                owner=str(target.account.address),
            )
        )
    if decision.rejections and (told := _report(services, mail, decision.rejections)) is not None:
        made.append(told)
    return made


def retries(services: Services, mail: Mail) -> list[QueueMessage]:
    """One entry per local copy that failed for the moment."""
    message = trace.without(trace.read(mail.body), mail.answer.cuts)
    made = []
    for number, (store, _) in enumerate(mail.later, 1):
        owner = str(store.target.account.address)
        made.append(
            QueueMessage(
                queue_id=f"{mail.envelope.accept_id}-l{number}",
                accept_id=mail.envelope.accept_id,
                sender=mail.envelope.sender,
                recipients=(
                    QueueRecipient(
                        owner,
                        kind="local",
                        owner=owner,
                        detail=dump_retry(store.target.number, mail.envelope.received_at, store.actions),
                    ),
                ),
                data=message,
                prefix=trace.stored_prefix(mail, store, services.config),
                kind="local",
                owner=owner,
                is_sender_verified=mail.is_sender_verified,
            )
        )
    return made


def _remote(services: Services, mail: Mail, group: Sequence[RemoteTarget], number: int) -> QueueMessage:
    first, envelope = group[0], mail.envelope
    return QueueMessage(
        queue_id=f"{envelope.accept_id}-{number}",
        accept_id=envelope.accept_id,
        sender=_sender(services, mail, first),
        recipients=tuple(
            QueueRecipient(
                str(remote.address),
                notify=remote.recipient.notify,
                orcpt=remote.recipient.orcpt,
                owner=str(remote.owner or ""),
            )
            for remote in group
        ),
        data=mail.body.data,
        path=mail.body.path,
        prefix=mail.received + mail.signature,
        kind=first.kind,
        smtputf8=envelope.smtputf8,
        body=envelope.body,
        ret=envelope.ret,
        envid=envelope.envid,
        owner=str(first.owner or envelope.client.login),
        is_sender_verified=mail.is_sender_verified,
    )


def _sender(services: Services, mail: Mail, remote: RemoteTarget) -> str:
    """The envelope sender of what leaves: SRS for foreign senders of forwards, else as it came."""
    sender = mail.envelope.reverse_path
    if sender is None or remote.kind == "srs-bounce":
        return ""
    if remote.kind != "forward" or remote.owner is None or services.directory.domain(sender.domain):
        return str(sender)
    domain = services.config.srs.domain or remote.owner.domain
    secrets, now = services.directory.srs_secrets(), mail.envelope.received_at
    rewritten = rewrite.forward(sender, domain=domain, secrets=secrets, now=now)
    if isinstance(rewritten, Address):
        return str(rewritten)
    made = short.shorten(sender, domain=domain, secrets=secrets, now=now)
    services.long_senders.remember(made.key, sender, now=now)
    return str(made.address)


def _report(services: Services, mail: Mail, rejections: Sequence[Rejection]) -> QueueMessage | None:
    envelope = mail.envelope
    original = dsn.Original(
        id=envelope.accept_id,
        kind="submission" if mail.account is not None else "relay",
        sender=envelope.sender,
        owner=envelope.client.login,
        octets=trace.read(mail.body),
        size_octets=mail.body.size_octets,
        arrived_at=envelope.received_at,
        ret=envelope.ret,
        envid=envelope.envid,
        smtputf8=envelope.smtputf8,
    )
    failed = [
        dsn.Reported(
            str(r.recipient.address), "failed", r.reply, notify=r.recipient.notify, orcpt=r.recipient.orcpt
        )
        for r in rejections
    ]
    site = dsn.Site(
        services.config.hostname,
        route=lambda address: whereabouts(services, mail, address),
        full_octets=services.config.queue.dsn_full_octets,
    )
    return dsn.report(original, failed, site, now=envelope.received_at, report_id=services.new_id())


def whereabouts(services: Services, mail: Mail, address: str) -> tuple[str, RecipientKind]:
    """Where mail for an address goes when we are the sender; see `whereabouts.return_path`."""
    return return_path(
        address,
        services.config,
        services.directory,
        long_senders=services.long_senders,
        now=mail.envelope.received_at,
    )


def can_report(services: Services, mail: Mail) -> bool:
    """True when the sender is known to be the sender, and a report can reach it (T9)."""
    if mail.envelope.reverse_path is None or not mail.is_sender_verified:
        return False
    return bool(whereabouts(services, mail, mail.envelope.sender)[0])
