"""Sieve scripts of accounts: stored, activated, renamed, removed.

That a script compiles is checked by the caller, who has the engine.

Numbers: section 5 of the limits.  Names and rules: RFC 5804.
"""

from __future__ import annotations

import hashlib
import sqlite3
import unicodedata
from collections.abc import Collection

from mailstack.directory import names
from mailstack.directory.session import Session, account_of
from mailstack.directory.values import Script
from mailstack.model.directory import Account, Plan
from mailstack.model.scripts import ScriptRefused

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
            PermanentFailure: no such account or a bad name.
            ScriptRefused: too large, too many, or a name that looks like another.
        """
        name = names.script_name(name)
        sha256 = hashlib.sha256(source).hexdigest()
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            check_room(_names(cursor, account), account, name, len(source))
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
            PermanentFailure: no such account.
            ScriptRefused: no such script.
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
                raise _missing(address, name)

    def rename(self, address: str, old: str, new: str) -> None:
        """Gives a script another name.

        Raises:
            PermanentFailure: no such account or a bad name.
            ScriptRefused: no such script, or a name that exists or looks like another.
        """
        new = names.script_name(new)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            others = _names(cursor, account) - {old}
            if new in others:
                raise ScriptRefused(f"{address} has a script {new!r} already", code="ALREADYEXISTS")
            _check_twins(others, new)
            done = cursor.execute(
                "UPDATE sieve_script SET name = ? WHERE account_id = ? AND name = ?", (new, account.id, old)
            )
            if not done.rowcount:
                raise _missing(address, old)

    def remove(self, address: str, name: str) -> None:
        """Removes a script that is not active.

        Raises:
            PermanentFailure: no such account.
            ScriptRefused: no such script, or it is active (RFC 5804 section 2.10).
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            row = cursor.execute(
                "SELECT active FROM sieve_script WHERE account_id = ? AND name = ?", (account.id, name)
            ).fetchone()
            if row is None:
                raise _missing(address, name)
            if row[0]:
                why = f"the script {name!r} is active; make another one active first"
                raise ScriptRefused(why, code="ACTIVE")
            cursor.execute("DELETE FROM sieve_script WHERE account_id = ? AND name = ?", (account.id, name))


def check_room(others: Collection[str], account: Account, name: str, octets: int) -> None:
    """Refuses a script for which there is no room beside the others, or under whose name.

    Args:
        others: names of the account's scripts; one that has the same name is replaced.
        name: as `names.script_name` gives it.

    Raises:
        ScriptRefused: too large, too many, or a name that looks like another.
    """
    most_octets, most = MAX_SCRIPT_OCTETS[account.plan], MAX_SCRIPTS[account.plan]
    if octets > most_octets:
        why = f"the script has {octets} octets; at most {most_octets} work"
        raise ScriptRefused(why, code="QUOTA/MAXSIZE")
    if name in others:
        return
    if len(others) >= most:
        why = f"{account.address} has {len(others)} scripts already; at most {most} work"
        raise ScriptRefused(why, code="QUOTA/MAXSCRIPTS")
    _check_twins(others, name)


def _check_twins(others: Collection[str], name: str) -> None:
    """Refuses a name people could not tell from another (G2, T66)."""
    looks = unicodedata.normalize("NFKC", name)
    twin = next((other for other in others if unicodedata.normalize("NFKC", other) == looks), None)
    if twin is not None and twin != name:
        raise ScriptRefused(f"the name looks like that of the script {twin!r}", code="ALREADYEXISTS")


def _names(cursor: sqlite3.Cursor, account: Account) -> set[str]:
    rows = cursor.execute("SELECT name FROM sieve_script WHERE account_id = ?", (account.id,)).fetchall()
    return {name for (name,) in rows}


def _missing(address: str, name: str) -> ScriptRefused:
    return ScriptRefused(f"{address} has no script {name!r}", code="NONEXISTENT")
