"""Once a week, what came into Spam, for those whose programs see only POP3.

They never see that folder.  Who has used IMAP within the days the mail log keeps gets no list.
Bounces of mail somebody else sent in their name are counted together.

Source: product page, sections 2.4 ("bundled") and 2.8.
"""

from __future__ import annotations

import datetime
import logging
from typing import TYPE_CHECKING

from mailstack.app.owner_lists import enqueue
from mailstack.app.owner_mail import OwnerMail
from mailstack.delivery import texts
from mailstack.disk.lock import alone
from mailstack.filters.hints import BACKSCATTER
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import MAX_BLOCK_OCTETS, Headers
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, MailboxError, MessageRow
from mailstack.state.digests import Digests
from mailstack.state.maillog_reader import MailLogReader

if TYPE_CHECKING:
    from mailstack.app.queue_home import Home
    from mailstack.delivery.queue import Queue
    from mailstack.model.language import Language

#: Messages a list names, and those that are looked at for it.
MAX_NAMED = 50
MAX_READ = 1_000
_MAX_TEXT = 120
_DAY_S = 86_400.0

_log = logging.getLogger(__name__)


class SpamDigest:
    """One queue daemon's; blocking."""

    def __init__(self, queue: Queue, home: Home) -> None:
        self._queue = queue
        self._home = home
        self._digests = Digests(home.config.paths.state_db)
        self._letters = OwnerMail(home.config, home.directory, home.long_senders, queue.new_id, queue.now)

    def close(self) -> None:
        """Releases the database."""
        self._digests.close()

    def tell(self) -> int:
        """Sends the lists that are due; gives how many.

        Raises:
            TemporaryFailure: database, or no list of anybody can be sent.
        """
        days = self._home.config.mailbox.spam_digest_days
        if not days:
            return 0
        lock, now, count = self._home.config.paths.run / "spam-lists.lock", self._queue.now(), 0
        with alone(lock, f"locking {lock}") as is_alone:
            for account_id, since in self._digests.due(before=now - days * _DAY_S) if is_alone else ():
                try:
                    count += self._due(account_id, since, now)
                except TemporaryFailure as error:
                    if error.fatal:
                        raise
                    _log.error("the list of spam of account %d waits: %s", account_id, error.why)
        return count

    def _due(self, account_id: int, since: float, now: float) -> bool:
        """What becomes of one list that is due; True when it was sent."""
        account = self._home.directory.account_by_id(account_id)
        if account is None or "pop3" not in (used := self._protocols(account)):
            self._digests.forget(account_id)
            return False
        is_sent = "imap" not in used and self._tell(account, since)
        self._digests.told(account_id, now)
        return is_sent

    def _protocols(self, account: Account) -> set[str]:
        """By which mail was read in the days the log keeps."""
        reader = MailLogReader(self._home.config.paths.maillog_db)
        try:
            return reader.protocols(str(account.address))
        finally:
            reader.close()

    def _tell(self, account: Account, since: float) -> bool:
        try:
            store = self._home.store.of(account)
            found = _fresh(store, account.filters.spam_folder, since)
            if not found:
                return False
            language = self._letters.language(account.address)
            entries = [_entry(store, folder_id, row, language) for folder_id, row in found[-MAX_READ:]]
        except MailboxError as error:
            _log.error("what is in the Spam of %s: %s", account.address, error)
            return False
        named = [entry for entry in entries if entry]
        bounces = len(entries) - len(named)
        days = account.spam_days
        if days is None:
            days = self._home.config.mailbox.spam_expire_days
        more = len(found) - bounces - len(named[-MAX_NAMED:])
        letters = self._letters.letter(
            account.address,
            str(account.address),
            "spam_digest",
            address=str(account.address),
            count=str(len(found)),
            stays=texts.say(language, "letter.spam_digest.stays", days=str(days)) if days else "",
            entries="\n".join(named[-MAX_NAMED:]),
            more=texts.say(language, "letter.spam_digest.more", count=str(more)) if more > 0 else "",
            bounces=texts.say(language, "letter.spam_digest.bounces", count=str(bounces)) if bounces else "",
        )
        enqueue(letters, self._queue, self._home.maillog)
        return bool(letters)


def is_strange_bounce(header: Headers) -> bool:
    """A bounce of what was not sent from here; our own field says so."""
    return f"{BACKSCATTER}:".encode() in (header.first("x-mailstack-verdict") or b"")


def _fresh(store: AccountStore, name: str, since: float) -> list[tuple[int, MessageRow]]:
    """What came into Spam since then, oldest first."""
    folders = {
        store.status(entry.name).id
        for entry in store.folders()
        if entry.exists and (entry.special_use == "\\Junk" or entry.name == name)
    }
    found = [(id_, row) for id_ in folders for row in store.rows(id_) if row.saved_at > since]
    return sorted(found, key=lambda one: (one[1].saved_at, one[1].uid))


def _header(store: AccountStore, folder_id: int, uid: int) -> Headers:
    """The header of a message; an empty one when it is gone."""
    try:
        message = store.open(folder_id, uid)
    except MailboxError:
        return Headers.parse(b"")
    try:
        return Headers.parse(message.read(0, MAX_BLOCK_OCTETS))
    except MailboxError:
        return Headers.parse(b"")
    finally:
        message.close()


def _entry(store: AccountStore, folder_id: int, row: MessageRow, language: Language) -> str:
    """The line about a message; "" for a strange bounce.  Its header, maybe a large one, goes at once."""
    header = _header(store, folder_id, row.uid)
    if is_strange_bounce(header):
        return ""
    when = datetime.datetime.fromtimestamp(row.saved_at, datetime.UTC)
    sender, subject = (
        " ".join(decode_words(header.first(name) or b"").split())[:_MAX_TEXT] for name in ("from", "subject")
    )
    return texts.say(
        language,
        "letter.spam_digest.entry",
        when=f"{when:%Y-%m-%d %H:%M} UTC",
        sender=sender,
        subject=subject,
    )
