"""What leaves through the queue: submissions, forwards with SRS, replies, reports, retries."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mailstack.app import loops, sealing, success, trace
from mailstack.app.letters import chosen
from mailstack.app.mail import Mail, Services
from mailstack.app.signing import sign_report
from mailstack.app.whereabouts import return_path
from mailstack.delivery import dsn
from mailstack.delivery.decide import Decision, Store
from mailstack.delivery.entry import HAS_COPY, HAS_COPY_REPORTED, QueueMessage, QueueRecipient, RecipientKind
from mailstack.delivery.local import dump_retry, rebased, redirects_of
from mailstack.model.address import Address
from mailstack.model.verdict import Edited, FileInto, Keep, Redirect, SendMail
from mailstack.routing.expand import LocalTarget, RemoteTarget
from mailstack.srs import rewrite, short


def entries(services: Services, mail: Mail, decision: Decision) -> list[QueueMessage]:
    """Everything a decision sends; blocking, because large messages are read from disk.

    Forwards of one owner that have one sender travel together, submissions all together.
    """
    groups: dict[tuple[str, str, str, bool], list[RemoteTarget]] = {}
    for remote in decision.forwards:
        # What a rule changes goes alone.
        own = remote.rule if _has_wishes(rule_of(mail, remote.via, remote.rule)) else ""
        is_ours = services.directory.domain(remote.address.domain) is not None
        groups.setdefault((remote.kind, str(remote.owner or ""), own, is_ours), []).append(remote)
    stored = frozenset(store.target.account.id for store in decision.stores)
    made = [_remote(services, mail, group, n, stored) for n, group in enumerate(groups.values(), 1)]
    made += [_composed(services, mail, target, one) for target, one in decision.mails]
    if decision.rejections and (told := report(services, mail, _rejected(decision))) is not None:
        made.append(told)
    return made


def _composed(services: Services, mail: Mail, target: LocalTarget, one: SendMail) -> QueueMessage:
    """An automatic answer, or a notification: no report about it ever goes to anybody."""
    owner = str(target.account.address)
    recipients = []
    for address in one.recipients:
        where, kind = whereabouts(services, mail, address)
        recipients.append(
            QueueRecipient(
                where or address,
                notify=frozenset({"NEVER"}),
                kind=kind if where else "remote",
                owner=where if kind == "local" and where else "",
            )
        )
    domain, now = target.account.address.domain, mail.envelope.received_at
    return QueueMessage(
        queue_id=services.new_id(),
        accept_id=mail.envelope.accept_id,
        sender=one.envelope_from,
        recipients=tuple(recipients),
        data=one.message,
        prefix=sign_report(services.directory, one.message, domain, services.config.dkim, now=now),
        kind="vacation",
        smtputf8=not all(r.address.isascii() for r in recipients),
        body="7BIT" if one.message.isascii() else "8BITMIME",
        # RFC 8689 section 6: as far as that can be done without losing it.
        requiretls=mail.envelope.requiretls and not one.envelope_from,
        owner=owner,
    )


def rule_of(mail: Mail, via: int, rule: str) -> Redirect | None:
    """The redirect of an account's scripts that led somewhere."""
    if not rule:
        return None
    said = next((mail.verdicts.get(t.number) for t in mail.plan.locals if t.account.id == via), None)
    return next((r for r in redirects_of(said) if r.address == rule), None) if said is not None else None


def copies(mail: Mail, wanted: Store) -> tuple[Keep | FileInto, ...]:
    """The copies of an account, as another one's rule that sent it there had changed the message."""
    rule = rule_of(mail, wanted.target.via, wanted.target.rule)
    if rule is None or rule.edited is None:
        return wanted.actions
    return tuple(
        one if one.edited is not None else msgspec.structs.replace(one, edited=rule.edited)
        for one in wanted.actions
    )


def _has_wishes(rule: Redirect | None) -> bool:
    return rule is not None and (rule.notify, rule.ret, rule.envelope_from, rule.edited) != (None,) * 4


def _rejected(decision: Decision) -> list[dsn.Reported]:
    return [
        dsn.Reported(
            str(r.recipient.address), "failed", r.reply, notify=r.recipient.notify, orcpt=r.recipient.orcpt
        )
        for r in decision.rejections
    ]


def retries(services: Services, mail: Mail) -> list[QueueMessage]:
    """One entry per mailbox some copies for which failed for the moment; what it has is not made again."""
    message = trace.without(trace.read(mail.body), mail.answer.cuts)
    done = {store.target.account.id: len(stored) for store, stored in mail.stored}
    made = []
    for number, (store, _) in enumerate(mail.later, 1):
        account, recipient = store.target.account, store.target.recipient
        owner, has = str(account.address), done.get(account.id, 0)
        prefix = trace.stored_prefix(
            mail, store, key=services.arrivals.key, required=services.config.filter.spam_score
        )
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
                        detail=dump_retry(
                            store.target.number,
                            mail.envelope.received_at,
                            rebased(copies(mail, store)[has:], prefix, mail.answer.cuts),
                            first=has + 1,
                        ),
                    ),
                ),
                data=message,
                prefix=prefix,
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
    rule = rule_of(mail, first.via, first.rule)
    edited = rule.edited if rule is not None else None
    has_copy = HAS_COPY if rule is None or rule.notify is None else HAS_COPY_REPORTED
    return QueueMessage(
        queue_id=f"{envelope.accept_id}-{number}",
        accept_id=envelope.accept_id,
        sender=_sender(services, mail, first, rule),
        recipients=tuple(
            QueueRecipient(
                str(remote.address),
                notify=_notify(mail, remote, rule),
                orcpt=_orcpt(remote),
                owner=str(remote.owner or ""),
                detail=has_copy if remote.via in stored else "",
                original=str(remote.recipient.address),
            )
            for remote in group
        ),
        data=mail.body.data if edited is None else _edited(mail, edited),
        path=mail.body.path if edited is None else "",
        prefix=_prefix(services, mail, first, is_edited=edited is not None),
        kind=first.kind,
        smtputf8=envelope.smtputf8,
        body=_body_type(mail),
        ret=(rule.ret if rule is not None else None) or envelope.ret,
        envid=envelope.envid,
        requiretls=envelope.requiretls,
        owner=owner_of(mail, first),
        is_sender_verified=mail.is_sender_verified,
    )


def _notify(mail: Mail, remote: RemoteTarget, rule: Redirect | None) -> frozenset[str]:
    """What the rule wants reported of this copy (RFC 6009), else what the sender does."""
    if rule is not None and rule.notify is not None:
        return frozenset(word.strip().upper() for word in rule.notify.split(","))
    return success.notify_of(mail.ends, remote)


def _edited(mail: Mail, edited: Edited) -> bytes:
    """The message as a rule changed it."""
    return edited.head + (trace.read(mail.body)[edited.body_at :] if edited.body is None else edited.body)


def owner_of(mail: Mail, remote: RemoteTarget) -> str:
    """Whose mail it is in the queue: the address that sends it on, or the login; "": a relay's."""
    return str(remote.owner or mail.envelope.client.login)


def _prefix(services: Services, mail: Mail, remote: RemoteTarget, *, is_edited: bool = False) -> bytes:
    """What is put in front of a message that leaves; the message itself stays as it came.

    Args:
        is_edited: unless a rule of its recipient changed it: then no seal vouches for it.
    """
    prefix = mail.received + loops.lines(services.arrivals.key, _owners(remote)) + mail.signature
    if remote.kind != "forward" or remote.owner is None or is_edited:
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


def _sender(services: Services, mail: Mail, remote: RemoteTarget, rule: Redirect | None) -> str:
    """The envelope sender of what leaves: SRS for foreign senders of forwards, else as it came."""
    sender = mail.envelope.reverse_path
    if sender is None or remote.kind == "srs-bounce":
        return ""
    if rule is not None and rule.envelope_from is not None:
        return rule.envelope_from  # the operator's settings want it
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
        sign=lambda message, domain: sign_report(
            services.directory, message, domain, services.config.dkim, now=now
        ),
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
