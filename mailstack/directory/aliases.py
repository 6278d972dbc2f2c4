"""Aliases, groups and temporary aliases: other names of addresses, inside and outside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from mailstack.directory import names, rows
from mailstack.directory.session import Session, check_free, check_target, domain_id
from mailstack.model.address import Address
from mailstack.model.directory import Alias, Posters
from mailstack.model.errors import PermanentFailure

#: Limits, section 2: alias expansion.
MAX_MEMBERS = 500
MAX_DEPTH = 10
POSTERS: Sequence[Posters] = ("members", "domain", "listed", "all")


class Aliases:
    """Changes aliases; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        address: str,
        targets: Iterable[str],
        *,
        expires_at: float | None = None,
        posters: str | None = None,
        listed: Iterable[str] = (),
        replaces: bool = False,
    ) -> Alias:
        """Makes an alias, or with several targets a group.

        Args:
            targets: the address itself, alone: mail for it is passed on as it is, by the static
                route of its domain; for a mailing-list manager.
            expires_at: Unix seconds after which it is refused; None: never.
            posters: who may post; None: everybody to an alias, the own domain to a group.
            listed: who may post when `posters` is "listed".
            replaces: an alias of that name, if there is one, becomes this one; no mail is
                refused in between.

        Raises:
            PermanentFailure: a name is wrong or taken, a target does not exist here, too
                many targets, or the alias would lead back to itself.
        """
        new = names.new_address(address)
        wanted = names.unique_addresses(targets)
        may_post = names.unique_addresses(listed)
        posters = posters or ("listed" if may_post else "domain" if len(wanted) > 1 else "all")
        _check(new, wanted, posters, may_post)
        now = self._session.now()
        if expires_at is not None and expires_at <= now:
            raise PermanentFailure("the alias would have expired already")
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, new.domain)
            if not (replaces and isinstance(rows.find(cursor, new), Alias)):
                check_free(cursor, new, wanted)
            for target in wanted if wanted != [new] else ():
                _check_loop(cursor, new, target)
                check_target(cursor, target)
            if replaces:
                self._mark_removed(cursor, new)
            cursor.execute(
                "INSERT INTO alias (local, domain_id, posters, expires_at, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (new.local, id_, posters, expires_at, now),
            )
            alias_id = cursor.lastrowid
            assert alias_id is not None
            _insert_members(cursor, alias_id, wanted, may_post)
            cursor.execute(
                "INSERT OR REPLACE INTO address (key, alias_id) VALUES (?, ?)", (new.key, alias_id)
            )
            found = rows.alias(cursor, alias_id)
            assert found is not None
            return found

    def remove(self, address: str) -> Alias:
        """Removes an alias; mail to it is refused, also where a catch-all exists.

        Raises:
            PermanentFailure: there is no such alias.
        """
        name = names.any_address(address)
        with self._session.transaction() as cursor:
            found = rows.find(cursor, name)
            if not isinstance(found, Alias):
                raise PermanentFailure(f"there is no alias {name}", status="1.1")
            self._mark_removed(cursor, name)
            return found

    def _mark_removed(self, cursor: sqlite3.Cursor, name: Address) -> None:
        cursor.execute(
            "UPDATE alias SET removed_at = ? WHERE id = (SELECT alias_id FROM address WHERE key = ?)",
            (self._session.now(), name.key),
        )


def _check(new: Address, targets: list[Address], posters: str, listed: list[Address]) -> None:
    if not targets:
        raise PermanentFailure(f"{new} needs at least one target")
    if len(targets) > MAX_MEMBERS:
        raise PermanentFailure(f"{new} has {len(targets)} targets; at most {MAX_MEMBERS} work")
    if len(listed) > MAX_MEMBERS:
        raise PermanentFailure(f"{new} has {len(listed)} posters; at most {MAX_MEMBERS} work")
    if posters not in POSTERS:
        raise PermanentFailure(f"posters is one of {', '.join(POSTERS)}, not {posters!r}")
    if (posters == "listed") != bool(listed):
        raise PermanentFailure("posters 'listed' and a list of posters belong together")


def _check_loop(cursor: sqlite3.Cursor, new: Address, target: Address) -> None:
    """Follows a target through the aliases that exist."""
    seen: set[str] = set()
    level = [target]
    for _ in range(MAX_DEPTH):
        following: list[Address] = []
        for address in level:
            domain = rows.domain(cursor, address.domain)
            if domain is not None and domain.alias_of:
                address = Address(address.local, domain.alias_of)
            if address.key == new.key:
                raise PermanentFailure(f"{new} would lead back to itself through {target}")
            if address.key in seen:
                continue
            seen.add(address.key)
            found = rows.find(cursor, address)
            if isinstance(found, Alias):
                following.extend(Address.parse(text) for text in found.targets)
        if not following:
            return
        level = following
    raise PermanentFailure(f"{target} leads through more than {MAX_DEPTH} aliases")


def _insert_members(
    cursor: sqlite3.Cursor, alias_id: int, targets: list[Address], listed: list[Address]
) -> None:
    cursor.executemany(
        "INSERT INTO alias_target (alias_id, position, address, key) VALUES (?, ?, ?, ?)",
        [(alias_id, n, str(target), target.key) for n, target in enumerate(targets)],
    )
    cursor.executemany(
        "INSERT INTO alias_poster (alias_id, address) VALUES (?, ?)",
        [(alias_id, poster.key) for poster in listed],
    )
