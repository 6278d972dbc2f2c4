"""The imap daemon's part in feedback: sessions take note, the first worker learns."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from mailstack.app.daemon import Context
from mailstack.app.feedback import House, Teacher
from mailstack.app.feedback_notes import FeedbackNotes
from mailstack.app.filter_study import Reader
from mailstack.app.sending_notices import Means, SendingNotices
from mailstack.delivery.queue import Queue
from mailstack.directory import Directory
from mailstack.mailbox import MailStore
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore
from mailstack.net.filter_client import FilterClient
from mailstack.net.session_hub import AtWork
from mailstack.state.feedback import Feedback
from mailstack.state.senders import LongSenders
from mailstack.state.sending import Sending

_log = logging.getLogger(__name__)


class ImapFeedback:
    """Made and closed with a worker."""

    def __init__(
        self,
        context: Context,
        directory: Directory,
        store: MailStore,
        threads: Executor,
        at_work: AtWork,
    ) -> None:
        self._context, self._directory, self._store, self._threads = context, directory, store, threads
        self._at_work = at_work
        self._is_on = context.config.feedback.enabled
        self._table = Feedback(context.paths.state_db)
        self._notes = FeedbackNotes(
            self._table, context.config.feedback, now=context.now, current=self._current
        )

    def around(self, open_store: Callable[[Account], AccountStore]) -> Callable[[Account], AccountStore]:
        """The same; what happens in those mailboxes is noted."""
        if not self._is_on:
            return open_store
        return lambda account: self._notes.around(open_store(account), account)

    async def run(self) -> None:
        """Learns, in the first worker; for ever."""
        context = self._context
        config = context.config
        client = FilterClient(context.paths.filter_socket, budget_s=config.filter.budget_s)
        reader = Reader(client, now=context.now, octets=config.feedback.message_octets)
        house = House(
            config,
            self._store,
            self._directory,
            self._threads,
            context.maillog,
            context.now,
            self._tell_operator,
            self._at_work,
        )
        teacher = Teacher(house, reader)
        try:
            await teacher.run()
        finally:
            teacher.close()
            await client.close()

    def close(self) -> None:
        """Releases the database."""
        self._table.close()

    def _current(self, account: Account) -> Account:
        with contextlib.suppress(TemporaryFailure):
            return self._directory.account_by_id(account.id) or account
        return account

    def _tell_operator(self, about: str, subject: str, lines: Sequence[str]) -> None:
        """Rare: what it takes is opened for each notice."""
        context = self._context
        config, paths = context.config, context.paths
        long_senders = LongSenders(paths.state_db, valid_days=config.srs.valid_days)
        sending = Sending(paths.state_db)
        try:
            queue = Queue(paths, now=context.now, random_bytes=context.random_bytes, options=config.queue)
            try:
                means = Means(
                    config, self._directory, queue, long_senders, context.maillog, context.bus, queue.new_id
                )
                SendingNotices(means, sending, now=context.now).operator(about, subject, lines)
            finally:
                queue.close()
        except TemporaryFailure as failure:
            _log.error("the operator is not told of %s: %s", about, failure.why)
        finally:
            sending.close()
            long_senders.close()
