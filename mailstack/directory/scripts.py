"""Sieve scripts of accounts: stored, activated, renamed, removed.

That a script compiles is checked by the caller, who has the engine.

Numbers: section 5 of the limits.  Names and rules: RFC 5804.
"""

from __future__ import annotations

import hashlib
import sqlite3

from mailstack.directory import names
from mailstack.directory.session import Session, account_of
from mailstack.directory.values import Script
from mailstack.model.directory import Account, Plan
from mailstack.model.errors import PermanentFailure

#: Octets of one script, and how many, by plan.
MAX_SCRIPT_OCTETS: dict[Plan, int] = {"normal": 262_144, "free": 65_536}
MAX_SCRIPTS: dict[Plan, int] = {"normal": 30, "free": 5}


class Scripts:
    """Changes scripts; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, address: str, name: str, source: bytes) -> Script:
        """Stores a script under a name, replacing the one that has it; active stays active.

        Raises:
            PermanentFailure: no such account, a bad name, too large, or too many.
        """
        name = names.script_name(name)
        sha256 = hashlib.sha256(source).hexdigest()
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            _check_room(cursor, account, name, len(source))
            cursor.execute(
                "INSERT INTO sieve_script (account_id, name, source, sha256, changed_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (account_id, name) DO UPDATE SET"
                " source = excluded.source, sha256 = excluded.sha256, changed_at = excluded.changed_at",
                (account.id, name, source, sha256, self._session.now()),
            )
            active = cursor.execute(
                "SELECT active FROM sieve_script WHERE account_id = ? AND name = ?", (account.id, name)
            ).fetchone()[0]
            return Script(name, source, sha256, bool(active))

    def activate(self, address: str, name: str) -> None:
        """Makes one script the active one; "" makes none active.

        Raises:
            PermanentFailure: no such account or script.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            cursor.execute("UPDATE sieve_script SET active = 0 WHERE account_id = ?", (account.id,))
            if not name:
                return
            done = cursor.execute(
                "UPDATE sieve_script SET active = 1 WHERE account_id = ? AND name = ?", (account.id, name)
            )
            if not done.rowcount:
                raise PermanentFailure(f"{address} has no script {name!r}")

    def rename(self, address: str, old: str, new: str) -> None:
        """Gives a script another name.

        Raises:
            PermanentFailure: no such account or script, a bad name, or one that exists.
        """
        new = names.script_name(new)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            if new != old and _exists(cursor, account.id, new):
                raise PermanentFailure(f"{address} has a script {new!r} already")
            done = cursor.execute(
                "UPDATE sieve_script SET name = ? WHERE account_id = ? AND name = ?", (new, account.id, old)
            )
            if not done.rowcount:
                raise PermanentFailure(f"{address} has no script {old!r}")

    def remove(self, address: str, name: str) -> None:
        """Removes a script that is not active.

        Raises:
            PermanentFailure: no such account or script, or it is active (RFC 5804 section 2.10).
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            row = cursor.execute(
                "SELECT active FROM sieve_script WHERE account_id = ? AND name = ?", (account.id, name)
            ).fetchone()
            if row is None:
                raise PermanentFailure(f"{address} has no script {name!r}")
            if row[0]:
                raise PermanentFailure(f"the script {name!r} is active; make another one active first")
            cursor.execute("DELETE FROM sieve_script WHERE account_id = ? AND name = ?", (account.id, name))


def _exists(cursor: sqlite3.Cursor, account_id: int, name: str) -> bool:
    found = cursor.execute(
        "SELECT 1 FROM sieve_script WHERE account_id = ? AND name = ?", (account_id, name)
    ).fetchone()
    return found is not None


def _check_room(cursor: sqlite3.Cursor, account: Account, name: str, size: int) -> None:
    most_octets, most = MAX_SCRIPT_OCTETS[account.plan], MAX_SCRIPTS[account.plan]
    if size > most_octets:
        raise PermanentFailure(f"the script has {size} octets; at most {most_octets} work")
    if _exists(cursor, account.id, name):
        return
    count = cursor.execute(
        "SELECT count(*) FROM sieve_script WHERE account_id = ?", (account.id,)
    ).fetchone()[0]
    if count >= most:
        raise PermanentFailure(f"{account.address} has {count} scripts already; at most {most} work")
