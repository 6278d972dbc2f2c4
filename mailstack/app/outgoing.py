"""What leaves through the queue: submissions, forwards with SRS, replies, reports, retries."""

from __future__ import annotations

from collections.abc import Sequence

from mailstack.app import loops, sealing, success, trace
from mailstack.app.letters import chosen
from mailstack.app.mail import Mail, Services
from mailstack.app.signing import sign_report
from mailstack.app.whereabouts import return_path
from mailstack.delivery import dsn
from mailstack.delivery.decide import Decision
from mailstack.delivery.entry import HAS_COPY, QueueMessage, QueueRecipient, RecipientKind
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
    stored = frozenset(store.target.account.id for store in decision.stores)
    made = [_remote(services, mail, group, n, stored) for n, group in enumerate(groups.values(), 1)]
    for target, reply in decision.mails:
        made.append(
            QueueMessage(
                queue_id=services.new_id(),
                accept_id=mail.envelope.accept_id,
                sender=reply.envelope_from,
                recipients=tuple(QueueRecipient(address) for address in reply.recipients),
                data=reply.message,
                kind="vacation",
                # RFC 8689 section 6: as far as that can be done without losing it.
                requiretls=mail.envelope.requiretls and not reply.envelope_from,
                owner=str(target.account.address),
            )
        )
    if decision.rejections and (told := report(services, mail, _rejected(decision))) is not None:
        made.append(told)
    return made


def _rejected(decision: Decision) -> list[dsn.Reported]:
    return [
        dsn.Reported(
            str(r.recipient.address), "failed", r.reply, notify=r.recipient.notify, orcpt=r.recipient.orcpt
        )
        for r in decision.rejections
    ]


def retries(services: Services, mail: Mail) -> list[QueueMessage]:
    """One entry per local copy that failed for the moment."""
    message = trace.without(trace.read(mail.body), mail.answer.cuts)
    made = []
    for number, (store, _) in enumerate(mail.later, 1):
        account, recipient = store.target.account, store.target.recipient
        owner = str(account.address)
        made.append(
            QueueMessage(
                queue_id=f"{mail.envelope.accept_id}-l{number}",
                accept_id=mail.envelope.accept_id,
                sender=mail.envelope.sender,
                recipients=(
                    QueueRecipient(
                        owner,
                        notify=success.notify_later(mail.ends, recipient, account.id),
                        orcpt=recipient.orcpt,
                        kind="local",
                        owner=owner,
                        original=str(recipient.address),
                        detail=dump_retry(store.target.number, mail.envelope.received_at, store.actions),
                    ),
                ),
                data=message,
                prefix=trace.stored_prefix(mail, store, key=services.arrivals.key),
                kind="local",
                smtputf8=mail.envelope.smtputf8,
                body=_body_type(mail),
                ret=mail.envelope.ret,
                envid=mail.envelope.envid,
                requiretls=mail.envelope.requiretls,
                owner=owner,
                is_sender_verified=mail.is_sender_verified,
            )
        )
    return made


def _remote(
    services: Services, mail: Mail, group: Sequence[RemoteTarget], number: int, stored: frozenset[int]
) -> QueueMessage:
    """`stored`: ids of accounts that keep a copy."""
    first, envelope = group[0], mail.envelope
    return QueueMessage(
        queue_id=f"{envelope.accept_id}-{number}",
        accept_id=envelope.accept_id,
        sender=_sender(services, mail, first),
        recipients=tuple(
            QueueRecipient(
                str(remote.address),
                notify=success.notify_of(mail.ends, remote),
                orcpt=_orcpt(remote),
                owner=str(remote.owner or ""),
                detail=HAS_COPY if remote.via in stored else "",
                original=str(remote.recipient.address),
            )
            for remote in group
        ),
        data=mail.body.data,
        path=mail.body.path,
        prefix=_prefix(services, mail, first),
        kind=first.kind,
        smtputf8=envelope.smtputf8,
        body=_body_type(mail),
        ret=envelope.ret,
        envid=envelope.envid,
        requiretls=envelope.requiretls,
        owner=str(first.owner or envelope.client.login),
        is_sender_verified=mail.is_sender_verified,
    )


def _prefix(services: Services, mail: Mail, remote: RemoteTarget) -> bytes:
    """What is put in front of a message that leaves; the message itself stays as it came."""
    prefix = mail.received + loops.lines(services.arrivals.key, _owners(remote)) + mail.signature
    if remote.kind != "forward" or remote.owner is None:
        return prefix
    return sealing.lines(services, mail, remote.owner.domain) + prefix


def _orcpt(remote: RemoteTarget) -> str:
    """ORCPT as given; of a forward else the address written to (RFC 3461 section 5.2.1 (d))."""
    recipient = remote.recipient
    if recipient.orcpt or remote.kind != "forward":
        return recipient.orcpt
    return f"{'rfc822' if recipient.address.is_ascii else 'utf-8'};{recipient.address}"


def _body_type(mail: Mail) -> str:
    """BODY as declared; what was declared binary and is not can go to more servers."""
    body = mail.envelope.body
    return "8BITMIME" if body == "BINARYMIME" and not mail.body.is_binary else body


def _owners(remote: RemoteTarget) -> tuple[Address, ...]:
    """Whose address sends it on, to be known again should it come back."""
    return (remote.owner,) if remote.kind == "forward" and remote.owner is not None else ()


def _sender(services: Services, mail: Mail, remote: RemoteTarget) -> str:
    """The envelope sender of what leaves: SRS for foreign senders of forwards, else as it came."""
    sender = mail.envelope.reverse_path
    if sender is None or remote.kind == "srs-bounce":
        return ""
    if remote.kind != "forward" or remote.owner is None or services.directory.domain(sender.domain):
        return str(sender)
    if services.directory.domain(remote.address.domain) is not None:
        return str(sender)  # a domain of ours whose mail lies elsewhere, such as that of lists
    domain = services.config.srs.domain or remote.owner.domain
    secrets, now = services.directory.srs_secrets(), mail.envelope.received_at
    rewritten = rewrite.forward(sender, domain=domain, secrets=secrets, now=now)
    if isinstance(rewritten, Address):
        return str(rewritten)
    made = short.shorten(sender, domain=domain, secrets=secrets, now=now)
    services.long_senders.remember(made.key, sender, now=now)
    return str(made.address)


def report(services: Services, mail: Mail, told: Sequence[dsn.Reported]) -> QueueMessage | None:
    """The report about recipients of this message; None when nobody is to be told."""
    envelope, limit = mail.envelope, services.config.queue.dsn_full_octets
    whole = mail.body.size_octets <= limit
    original = dsn.Original(
        id=envelope.accept_id,
        kind="submission" if mail.account is not None else "relay",
        sender=envelope.sender,
        owner=envelope.client.login,
        octets=trace.read(mail.body) if whole else trace.head(mail.body),
        size_octets=mail.body.size_octets,
        arrived_at=envelope.received_at,
        ret=envelope.ret,
        envid=envelope.envid,
        smtputf8=envelope.smtputf8,
        is_binary=_body_type(mail) == "BINARYMIME",
        requiretls=envelope.requiretls,
    )
    now = envelope.received_at
    site = dsn.Site(
        services.config.hostname,
        route=lambda address: whereabouts(services, mail, address),
        sign=lambda message, domain: sign_report(services.directory, message, domain, now=now),
        full_octets=limit,
        chosen=lambda address: chosen(address, services.directory),
        language=services.config.server.language,
    )
    return dsn.report(original, told, site, now=now, report_id=services.new_id())


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
