"""The postmaster's letter about reports that nobody can be given (Q16).

Blocking; called from the queue daemon's threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailstack.app import letters
from mailstack.delivery import texts, undelivered
from mailstack.delivery.dsn_facts import MAX_HEADER_OCTETS
from mailstack.delivery.entry import Facts, QueueMessage, QueueRecipient, Result
from mailstack.delivery.queue import Queue
from mailstack.delivery.spool import Content
from mailstack.mime import generate
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import Headers
from mailstack.model.language import Language

if TYPE_CHECKING:
    from mailstack.app.queue_home import Home


def listed(
    facts: Facts, failed: Sequence[tuple[Result, str]], content: Content | None, *, now: float
) -> tuple[undelivered.Undelivered, ...]:
    """A report's recipients as entries of the list.

    Args:
        facts: of the report.
        failed: with what was said of each.
        content: None when it cannot be read.
    """
    head = next(content.chunks(), b"")[:MAX_HEADER_OCTETS] if content is not None else b""
    subject = generate.clean(decode_words(Headers.parse(head).first("subject") or b""))
    return tuple(
        undelivered.Undelivered(now, result.recipient.address, subject or facts.queue_id, said)
        for result, said in failed
    )


def tell(queue: Queue, home: Home) -> QueueMessage | None:
    """Queues the letter that is due; None when none is, or nobody can read it.

    Raises:
        TemporaryFailure: nothing was written; may be repeated.
    """
    now = queue.now()
    waiting = undelivered.due(queue, now=now)
    postmaster = home.postmaster() if waiting is not None else ""
    if waiting is None or not postmaster:
        return None
    site = home.site
    message = QueueMessage(
        queue_id=queue.new_id(),
        recipients=(QueueRecipient(postmaster, kind="local", owner=postmaster),),
        data=_letter(queue, waiting, site.chosen(postmaster) or site.language, to=postmaster, now=now),
        kind="local",
        owner=postmaster,
    )
    try:
        queue.enqueue_with([message], lambda connection: undelivered.told(connection, waiting, now=now))
    except undelivered.AlreadyTold:
        return None
    return message


def _letter(queue: Queue, waiting: undelivered.Waiting, language: Language, *, to: str, now: float) -> bytes:
    lines = []
    for one in waiting.listed:
        when = f"{datetime.fromtimestamp(one.at, UTC):%Y-%m-%d %H:%M}"
        key = "letter.undelivered_reports"
        lines.append(texts.say(language, f"{key}.entry", when=when, to=one.address, subject=one.subject))
        lines.append(texts.say(language, f"{key}.answer", reply=generate.clean(one.reply)))
    left = waiting.count - len(waiting.listed)
    return letters.write(
        "undelivered_reports",
        language,
        to=to,
        message_id=f"{queue.new_id()}@{to.rpartition('@')[2]}",
        at=now,
        count=str(waiting.count),
        entries="\n".join(lines),
        more=texts.say(language, "letter.undelivered_reports.more", count=str(left)) if left else "",
        hours=str(max(1, round(queue.options.undelivered_every_s / 3600))),
    )
