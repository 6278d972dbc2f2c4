"""Domains: added with their DKIM keys, mirrored, set, removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mailstack.directory import names, rows, zones
from mailstack.directory.key_rotation import add_keys
from mailstack.directory.session import Session, domain_id
from mailstack.model.directory import Domain, Inbound
from mailstack.model.errors import PermanentFailure

UNKNOWN = ("refuse", "relay")
INBOUND: Sequence[Inbound] = ("local", "remote", "follow-mx")


class Domains:
    """Changes domains; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, name: str, *, inbound: str = "local", unknown: str = "refuse") -> Domain:
        """Adds a domain and makes its DKIM keys (takes about 0.2 s).

        A domain that was removed comes back with its old keys, still published perhaps.

        Raises:
            PermanentFailure: not a domain name, or it exists.
        """
        return self._add(names.new_domain(name), inbound, unknown, None)

    def add_alias(self, name: str, target: str) -> Domain:
        """Adds a domain that mirrors every address of another.

        Raises:
            PermanentFailure: not a name, it exists, or the target is not a plain domain of ours.
        """
        name, target = names.new_domain(name), names.new_domain(target)
        with self._session.transaction() as cursor:
            target_id = domain_id(cursor, target)
            return self._add(name, "local", "refuse", target_id)

    def set(
        self,
        name: str,
        *,
        inbound: str | None = None,
        unknown: str | None = None,
        language: str | None = None,
        time_zone: str | None = None,
    ) -> Domain:
        """Changes what is not None.

        Args:
            language, time_zone: of owners who have not chosen one; "": the server's.

        Raises:
            PermanentFailure: no such domain, or no such word.
        """
        name = names.new_domain(name)
        _check_words(inbound or "local", unknown or "refuse")
        language = None if language is None else names.language(language)
        time_zone = None if time_zone is None else zones.check(time_zone)
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, name, may_be_alias=True)
            cursor.execute(
                "UPDATE domain SET inbound = coalesce(?, inbound), unknown = coalesce(?, unknown),"
                " language = coalesce(?, language), time_zone = coalesce(?, time_zone) WHERE id = ?",
                (inbound, unknown, language, time_zone, id_),
            )
            return _get(cursor, name)

    def remove(self, name: str, *, with_addresses: bool = False) -> tuple[int, int]:
        """Removes a domain; its addresses are remembered, its keys kept.

        Args:
            with_addresses: also removes its accounts, aliases and the domains that mirror it.

        Returns:
            How many accounts and aliases went with it.

        Raises:
            PermanentFailure: no such domain, or something is still in it.
        """
        name = names.new_domain(name)
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, name, may_be_alias=True)
            mirrors = [
                mirror
                for (mirror,) in cursor.execute(
                    "SELECT name FROM domain WHERE alias_of = ? AND removed_at IS NULL ORDER BY name", (id_,)
                ).fetchall()
            ]
            accounts, aliases = len(rows.accounts(cursor, name)), len(rows.aliases(cursor, name))
            if not with_addresses:
                _check_empty(name, accounts, aliases, mirrors)
            now = self._session.now()
            _remove_rows(cursor, id_, now)
            return accounts, aliases

    def _add(self, name: str, inbound: str, unknown: str, alias_of: int | None) -> Domain:
        _check_words(inbound, unknown)
        with self._session.transaction() as cursor:
            row = cursor.execute("SELECT id, removed_at FROM domain WHERE name = ?", (name,)).fetchone()
            if row is not None and row[1] is None:
                raise PermanentFailure(f"the domain {name} exists already")
            if row is not None and alias_of is not None and _has_names(cursor, row[0]):
                raise PermanentFailure(f"{name} had addresses of its own; it cannot mirror another domain")
            cursor.execute(
                "INSERT INTO domain (name, inbound, unknown, alias_of, created_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET inbound = excluded.inbound, unknown = excluded.unknown,"
                " alias_of = excluded.alias_of, removed_at = NULL",
                (name, inbound, unknown, alias_of, self._session.now()),
            )
            id_ = domain_id(cursor, name, may_be_alias=True)
            if cursor.execute("SELECT 1 FROM dkim_key WHERE domain_id = ?", (id_,)).fetchone() is None:
                add_keys(self._session, cursor, name)
            return _get(cursor, name)


def _get(cursor: sqlite3.Cursor, name: str) -> Domain:
    domain = rows.domain(cursor, name)
    assert domain is not None
    return domain


def _check_words(inbound: str, unknown: str) -> None:
    if inbound not in INBOUND:
        raise PermanentFailure(f"inbound is one of {', '.join(INBOUND)}, not {inbound!r}")
    if unknown not in UNKNOWN:
        raise PermanentFailure(f"unknown is one of {', '.join(UNKNOWN)}, not {unknown!r}")


def _check_empty(name: str, accounts: int, aliases: int, mirrors: list[str]) -> None:
    parts = []
    if accounts:
        parts.append(f"{accounts} address{'es' if accounts > 1 else ''}")
    if aliases:
        parts.append(f"{aliases} alias{'es' if aliases > 1 else ''}")
    if mirrors:
        parts.append(f"the domain{'s' if len(mirrors) > 1 else ''} {', '.join(mirrors)} that mirror it")
    if parts:
        raise PermanentFailure(
            f"{name} still has {' and '.join(parts)}; remove them first, or say --with-addresses"
        )


def _has_names(cursor: sqlite3.Cursor, id_: int) -> bool:
    found = cursor.execute(
        "SELECT 1 FROM account WHERE domain_id = ? UNION SELECT 1 FROM alias WHERE domain_id = ?", (id_, id_)
    ).fetchone()
    return found is not None


def _remove_rows(cursor: sqlite3.Cursor, id_: int, now: float) -> None:
    cursor.execute("UPDATE account SET removed_at = ? WHERE domain_id = ? AND removed_at IS NULL", (now, id_))
    cursor.execute("UPDATE alias SET removed_at = ? WHERE domain_id = ? AND removed_at IS NULL", (now, id_))
    cursor.execute("UPDATE domain SET removed_at = ?, alias_of = NULL WHERE alias_of = ?", (now, id_))
    cursor.execute("UPDATE domain SET removed_at = ?, alias_of = NULL WHERE id = ?", (now, id_))
