"""Changes the DKIM keys of a domain so that no signature is ever without its record.

    begin    new keys are made and wait; their records are published
    switch   they sign; the old ones are retired, their records stay a while
    cancel   those that wait are thrown away

Standards: RFC 6376 section 3.6.1 and appendix C.3 (selectors, removing old keys).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mailstack.directory import names
from mailstack.directory.dkim import PublishedKey, make_keys
from mailstack.directory.session import Session, domain_id
from mailstack.model.errors import PermanentFailure


class KeyRotation:
    """Changes keys; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(self, name: str, *, keep_s: float) -> list[PublishedKey]:
        """Makes keys that do not sign yet (takes about 0.2 s); keys of no more use are erased.

        Args:
            keep_s: seconds a retired key is kept.

        Raises:
            PermanentFailure: no such domain, or new keys wait already.
        """
        name = names.new_domain(name)
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, name, may_be_alias=True)
            if self._waiting(cursor, id_):
                raise PermanentFailure(f"{name} has keys already that wait for their records")
            add_keys(self._session, cursor, name, signing=False)
            cursor.execute(
                "DELETE FROM dkim_key WHERE domain_id = ? AND retired_at <= ?",
                (id_, self._session.now() - keep_s),
            )
            return self._waiting(cursor, id_)

    def switch(self, name: str) -> list[PublishedKey]:
        """Lets the waiting keys sign, and retires the others; running daemons follow within a second.

        Returns:
            The keys that sign now.

        Raises:
            PermanentFailure: no such domain, or no key waits.
        """
        name = names.new_domain(name)
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, name, may_be_alias=True)
            waiting = self._expect_waiting(cursor, id_, name)
            now = self._session.now()
            cursor.execute(
                "UPDATE dkim_key SET retired_at = ?"
                " WHERE domain_id = ? AND signs_at IS NOT NULL AND retired_at IS NULL",
                (now, id_),
            )
            cursor.execute(
                "UPDATE dkim_key SET signs_at = ? WHERE domain_id = ? AND signs_at IS NULL", (now, id_)
            )
            return [PublishedKey(key.selector, key.algorithm, key.public, now) for key in waiting]

    def cancel(self, name: str) -> list[PublishedKey]:
        """Erases the waiting keys.

        Raises:
            PermanentFailure: no such domain, or no key waits.
        """
        name = names.new_domain(name)
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, name, may_be_alias=True)
            waiting = self._expect_waiting(cursor, id_, name)
            cursor.execute("DELETE FROM dkim_key WHERE domain_id = ? AND signs_at IS NULL", (id_,))
            return waiting

    def _expect_waiting(self, cursor: sqlite3.Cursor, id_: int, name: str) -> list[PublishedKey]:
        found = self._waiting(cursor, id_)
        if not found:
            raise PermanentFailure(
                f"{name} has no new keys: 'mailstack domain rotate-dkim {name}' makes them"
            )
        return found

    def _waiting(self, cursor: sqlite3.Cursor, id_: int) -> list[PublishedKey]:
        found = cursor.execute(
            "SELECT selector, algorithm, public, signs_at FROM dkim_key"
            " WHERE domain_id = ? AND signs_at IS NULL ORDER BY id",
            (id_,),
        )
        return [PublishedKey(*row) for row in found.fetchall()]


def add_keys(session: Session, cursor: sqlite3.Cursor, name: str, *, signing: bool = True) -> None:
    """Makes a domain's keys.

    Args:
        signing: from now on; else they wait.
    """
    id_, now = domain_id(cursor, name, may_be_alias=True), session.now()
    taken = _selectors(cursor, id_)
    for key in make_keys(now, taken):
        master_id, sealed = session.sealed(key.private_pem, f"dkim {name} {key.selector}")
        cursor.execute(
            "INSERT INTO dkim_key"
            " (domain_id, selector, algorithm, public, master_id, sealed, created_at, signs_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                id_, key.selector, key.algorithm, key.public, master_id, sealed, now,
                now if signing else None,
            ),
        )  # fmt: skip


def _selectors(cursor: sqlite3.Cursor, id_: int) -> Sequence[str]:
    found = cursor.execute("SELECT selector FROM dkim_key WHERE domain_id = ?", (id_,)).fetchall()
    return [selector for (selector,) in found]
