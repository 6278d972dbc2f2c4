"""What the far servers say to forwards: targets are paused and resumed, their owners told.

Runs in the queue daemon, after an attempt's outcome is committed, and once an hour for the
lists of what was not sent on.  Nothing here undoes an outcome: errors are logged.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mailstack.app import forward_letters
from mailstack.app.owner_lists import enqueue
from mailstack.app.owner_mail import OwnerMail
from mailstack.delivery import texts
from mailstack.delivery.entry import HAS_COPY, Entry, QueueMessage, Result
from mailstack.disk.lock import alone
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import MAX_BLOCK_OCTETS, Headers
from mailstack.model.address import Address, AddressError
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.outcome import Delivered, Failed
from mailstack.model.reply import Reply
from mailstack.state.forward_targets import ForwardTargets
from mailstack.state.withheld import Withheld, WithheldMail

if TYPE_CHECKING:
    from mailstack.app.queue_home import Home
    from mailstack.delivery.queue import Queue
    from mailstack.delivery.spool import Content
    from mailstack.model.language import Language

#: Messages a list names.
MAX_NAMED = 50
_MAX_TEXT = 200

_log = logging.getLogger(__name__)


class ForwardWatch:
    """One queue daemon's; blocking, thread-safe."""

    def __init__(self, queue: Queue, home: Home) -> None:
        self._queue = queue
        self._home = home
        self._options = home.config.forwarding
        state_db = home.config.paths.state_db
        self._targets = ForwardTargets(state_db)
        self._withheld = WithheldMail(state_db)
        self._letters = OwnerMail(home.config, home.directory, home.long_senders, queue.new_id, queue.now)

    def close(self) -> None:
        """Releases the database."""
        self._targets.close()
        self._withheld.close()

    # -- outcomes -------------------------------------------------------------------------

    def settled(self, entry: Entry, results: Sequence[Result], content: Content | None) -> None:
        """An attempt's outcome is committed."""
        if entry.facts.kind != "forward":
            return
        try:
            letters = [letter for result in results for letter in self._heed(entry, result, content)]
            if letters:
                enqueue(letters, self._queue, self._home.maillog)
        except TemporaryFailure as error:
            _log.error("queue id %s: what it says of its target is lost: %s", entry.facts.queue_id, error.why)

    def _heed(self, entry: Entry, result: Result, content: Content | None) -> list[QueueMessage]:
        try:
            owner = Address.parse(result.recipient.owner or entry.facts.owner)
            target = Address.parse(result.recipient.address)
        except AddressError:
            return []
        match result.outcome:
            case Delivered():
                if not self._targets.taken(owner, target):
                    return []
                self._tell("forward_resumed", entry, owner, target, "it took a message")
                return self._letters.letters(owner, "forward_resumed", address=str(owner), target=str(target))
            case Failed(reply):
                if not entry.facts.is_sender_verified or result.recipient.detail == HAS_COPY:
                    self._stays(entry, owner, target, content)
                return (
                    []
                    if forward_letters.is_about_the_message(reply.status)
                    else self._refused(entry, owner, target, reply)
                )
            case _:
                return []

    def _refused(self, entry: Entry, owner: Address, target: Address, reply: Reply) -> list[QueueMessage]:
        paused = self._targets.failed(
            owner,
            target,
            why=str(reply),
            is_unknown=reply.code >= 500 and forward_letters.is_unknown(reply.status),
            options=self._options,
            now=self._queue.now(),
        )
        if paused is None:
            return []
        self._tell("forward_paused", entry, owner, target, str(reply))
        return forward_letters.paused(self._letters, owner, target, answer=str(reply), options=self._options)

    def _tell(self, event: str, entry: Entry, owner: Address, target: Address, why: str) -> None:
        self._home.maillog.write(
            event,
            entry.facts.queue_id,
            received_by=[str(owner)],
            owner=str(owner),
            to=str(target),
            why=why,
        )

    def _stays(self, entry: Entry, owner: Address, target: Address, content: Content | None) -> None:
        """Q26: the sender is not told, because the owner's mailbox has it: it belongs on the list."""
        account = self._home.directory.find(owner)
        if not isinstance(account, Account) or not account.recovery:
            return
        headers = _header(content)
        sender = decode_words(headers.first("from") or b"") or entry.facts.sender
        subject = decode_words(headers.first("subject") or b"")
        row = Withheld(
            account.id,
            self._queue.now(),
            str(target),
            sender[:_MAX_TEXT],
            subject[:_MAX_TEXT],
            "INBOX",
            "refused",
        )
        self._withheld.note([row])

    # -- lists ----------------------------------------------------------------------------

    def tell_lists(self) -> int:
        """Sends the lists that are due to recovery addresses; gives how many.

        Raises:
            TemporaryFailure: disk, directory or database.
        """
        lock, count = self._home.config.paths.run / "forward-lists.lock", 0
        with alone(lock, f"locking {lock}") as is_alone:
            due = self._withheld.due(before=self._queue.now() - self._options.digest_s) if is_alone else []
            for account_id in due:
                rows, last = self._withheld.of(account_id)
                account = self._home.directory.account_by_id(account_id)
                if account is not None and account.recovery:
                    enqueue(self._list(account, rows), self._queue, self._home.maillog)
                    count += 1
                self._withheld.told(account_id, last)
        return count

    def _list(self, account: Account, rows: Sequence[Withheld]) -> list[QueueMessage]:
        language = self._letters.language(account.address)
        more = len(rows) - MAX_NAMED
        return self._letters.letter(
            account.address,
            account.recovery,
            "forward_digest",
            address=str(account.address),
            count=str(len(rows)),
            entries="\n".join(_entries(rows[:MAX_NAMED], language)),
            more=texts.say(language, "letter.forward_digest.more", count=str(more)) if more > 0 else "",
        )


def _header(content: Content | None) -> Headers:
    """The header of the message; an empty one once its file has gone."""
    try:
        octets = b"" if content is None else next(content.chunks(), b"")
    except TemporaryFailure:
        octets = b""
    return Headers.parse(octets[:MAX_BLOCK_OCTETS])


def _entries(rows: Iterable[Withheld], language: Language) -> Iterable[str]:
    for row in rows:
        when = datetime.datetime.fromtimestamp(row.at, datetime.UTC)
        why = texts.say(language, f"letter.forward_why.{row.why}", target=row.target)
        yield texts.say(
            language,
            "letter.forward_digest.entry",
            when=f"{when:%Y-%m-%d %H:%M} UTC",
            sender=row.sender,
            subject=" ".join(row.subject.split()),
            folder=row.folder,
            why=why,
        )
