"""Senders that marking mail puts into an account's lists, and takes out again.

Source: product page, section 2: authenticated authors only; nobody of our own domains, and
nobody the account writes to, is ever blocked that way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from mailstack.app.config import Config
from mailstack.directory import Directory, DirectoryWriter
from mailstack.filters.teaching import List, list_for, opinion_of
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure
from mailstack.model.lessons import Lesson
from mailstack.state.sending import Sending

_log = logging.getLogger(__name__)


class Lists:
    """The lists of all accounts; blocking."""

    def __init__(self, config: Config, directory: Directory, sending: Sending) -> None:
        self._config, self._directory, self._sending = config, directory, sending

    def put(self, account: Account, lesson: Lesson, kind: List) -> Lesson:
        """Lists the author of an authenticated message; gives the lesson that remembers it.

        Raises:
            TemporaryFailure: the directory is in trouble.
        """
        author = lesson.author
        if not author or not kind or not self._may(account, author, kind):
            return lesson
        listed = self._directory.sender_lists(account.id)
        if author in (listed.blocked if kind == "block" else listed.allowed):
            return lesson
        try:
            with self._writer() as writer:
                done = writer.settings.list_sender(str(account.address), author, kind=kind)
        except PermanentFailure as failure:  # the lists are full: that is said, and learned all the same
            _log.warning("%s is not listed: %s", author, failure.why)
            return lesson
        return msgspec.structs.replace(lesson, listed=kind, before=done.moved_from)

    def _may(self, account: Account, author: str, kind: List) -> bool:
        if self._directory.domain(author.rpartition("@")[2]) is not None:
            return False
        return kind == "allow" or not self._sending.knows(account.id, author)

    def take_back(self, account: Account, lesson: Lesson, others: Sequence[Lesson]) -> Lesson | None:
        """Undoes what a lesson did; gives another one that now stands for it, None if there is none.

        Args:
            others: the account's other lessons.

        Raises:
            TemporaryFailure: the directory is in trouble.
        """
        for other in others:
            if other.author == lesson.author and list_for(opinion_of(other)) == lesson.listed:
                return msgspec.structs.replace(other, listed=lesson.listed, before=lesson.before)
        listed = self._directory.sender_lists(account.id)
        if lesson.author not in (listed.blocked if lesson.listed == "block" else listed.allowed):
            return None  # the owner has changed it since
        try:
            with self._writer() as writer:
                if lesson.before:
                    writer.settings.list_sender(str(account.address), lesson.author, kind=lesson.before)
                else:
                    writer.settings.unlist_sender(str(account.address), lesson.author)
        except PermanentFailure as failure:
            _log.info("%s stays listed: %s", lesson.author, failure.why)
        return None

    def _writer(self) -> DirectoryWriter:
        return DirectoryWriter(self._config.paths, options=self._config.auth)
