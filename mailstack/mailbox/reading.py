"""A database connection for the length of a block; a class, because every command needs some of them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn


class Reading:
    """What `AccountDatabase.read` gives: a connection for one thread alone."""

    __slots__ = ("_doing", "_held", "_lock", "_raise")

    def __init__(
        self,
        lock: Callable[[], tuple[sqlite3.Connection, threading.RLock]],
        explain: Callable[[BaseException, str], NoReturn],
        doing: str,
    ) -> None:
        """Takes nothing yet.

        Args:
            lock: gives the connection, and what is to be released behind it.
            explain: raises the TemporaryFailure behind an error of the database.
        """
        self._lock = lock
        self._raise = explain
        self._doing = doing

    def __enter__(self) -> sqlite3.Connection:
        connection, self._held = self._lock()
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.release()
        if isinstance(error, sqlite3.Error):
            self._raise(error, self._doing)
