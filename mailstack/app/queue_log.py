"""What the queue writes into the mail log about attempts and what it queues itself."""

from __future__ import annotations

from mailstack.delivery.entry import Facts, QueueMessage, Result
from mailstack.model.outcome import Deferred, Delivered, Failed
from mailstack.state.maillog import MailLog


def outcome(log: MailLog, facts: Facts, result: Result, *, now: float, told: str = "") -> None:
    """One recipient's outcome.

    Args:
        told: of a failure, who knows of it.
    """
    r = result.recipient
    owner = r.owner or facts.owner
    match result.outcome:
        case Delivered(_, detail):
            if r.kind == "remote":
                log.delivered(
                    facts.queue_id,
                    to=r.address,
                    host=result.host,
                    answer=detail,
                    tries=r.tries,
                    tls=result.tls,
                    owner=owner,
                )
        case Deferred(reply):
            log.deferred(
                facts.queue_id,
                to=r.address,
                host=result.host,
                code=reply.code,
                why=str(reply),
                next_s=max(0, round(r.next_at - now)),
                tries=r.tries,
                owner=owner,
            )
        case Failed(reply):
            log.bounced(
                facts.queue_id,
                to=r.address,
                host=result.host,
                code=reply.code,
                why=str(reply),
                dsn=told,
                owner=owner,
            )


def queued(log: MailLog, message: QueueMessage) -> None:
    """A report, copy or letter of ours that is in the queue now."""
    log.queued(
        message.accept_id,
        queue_id=message.queue_id,
        sender=message.sender,
        to=message.recipients[0].address,
        kind=message.kind,
        owner=message.owner,
    )
