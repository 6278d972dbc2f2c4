"""Asks the filter what stored mail could teach, and what lessons come to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from mailstack.model.errors import TemporaryFailure
from mailstack.model.lessons import Digest, Lesson
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.model.verdict import FilterAnswer, FilterRequest
from mailstack.net.filter_client import FilterClient

#: Answers after which it makes sense to ask again, and to ask the same.
_LATER = ("filter down", "filter busy", "filter stopped")

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Do(Protocol):
    """Runs what blocks in a thread."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]:
        """Gives what `work` gives."""
        ...


class Away(Exception):
    """There is no filter now; `str()` says why."""


class Reader:
    """One filter, asked one thing at a time.  Belongs to one event loop."""

    def __init__(self, client: FilterClient, *, now: Callable[[], float], octets: int) -> None:
        """`octets`: of a message that are read."""
        self._client, self._now, self._octets = client, now, octets

    async def stored(
        self, store: AccountStore, folder_id: int, uid: int, *, message: str, do: Do
    ) -> Digest | None:
        """The digest of a stored message; None: it is not there, or no filter can read it.

        Args:
            message: its EMAILID; "": whatever has the UID.

        Raises:
            Away: ask again later.
            TemporaryFailure: the disk is in trouble.
        """
        octets = await do(lambda: _read(store, folder_id, uid, message, self._octets))
        return await self.digest(octets) if octets else None

    async def digest(self, octets: bytes) -> Digest | None:
        """The digest of a message; None: no filter can read it.

        Raises:
            Away: ask again later.
        """
        answer = await self._ask(self._request("digest", message=octets))
        return answer.digest

    async def corrections(self, lessons: Sequence[Lesson]) -> bytes:
        """What the filter shall add to its own opinion (`filters.spam.learned.dump`).

        Raises:
            Away: ask again later.
            TemporaryFailure: the filter cannot learn that.
        """
        answer = await self._ask(self._request("corrections", lessons=tuple(lessons)))
        if answer.verdict.unfiltered:
            raise TemporaryFailure(f"learning from {len(lessons)} messages: {answer.verdict.unfiltered}")
        return answer.corrections

    def _request(
        self, wants: str, *, message: bytes = b"", lessons: tuple[Lesson, ...] = ()
    ) -> FilterRequest:
        return FilterRequest(
            "",
            "",
            "",
            "",
            (),
            self._now(),
            message=message,
            size_octets=len(message),
            wants=wants,  # type: ignore[arg-type]
            lessons=lessons,
        )

    async def _ask(self, request: FilterRequest) -> FilterAnswer:
        answer = await self._client.ask(request)
        why = answer.verdict.unfiltered
        if why in _LATER:
            raise Away(why)
        if why:
            _log.warning("the filter could not be taught: %s", why)
        return answer


def _read(store: AccountStore, folder_id: int, uid: int, message: str, octets: int) -> bytes:
    """The beginning of a stored message; b"" when it is not there."""
    try:
        if message and not _is_same(store, folder_id, uid, message):
            return b""
        file = store.open(folder_id, uid)
    except MailboxError:
        return b""
    try:
        return file.read(0, octets)
    except MailboxError:
        return b""
    finally:
        file.close()


def _is_same(store: AccountStore, folder_id: int, uid: int, message: str) -> bool:
    row = store.details(folder_id, [uid]).get(uid)
    return row is not None and row.email_id == message
