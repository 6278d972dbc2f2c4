"""Rows of `directory.db` as values.  The only place that knows the columns for reading."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from mailstack.directory.values import RemovedAccount
from mailstack.model.address import Address
from mailstack.model.directory import Account, Alias, Domain, FilterSettings, Gone, Redirection
from mailstack.model.language import known
from mailstack.model.sending import PLAN_RULES, SendingRules

_ACCOUNT = """
    SELECT a.id, a.local, d.name, a.kind, a.plan, a.name, a.quota_octets, a.quota_messages,
        a.spam_days, a.trash_days, a.enabled, a.created_at, a.app_passwords_only, a.login_revision,
        f.spam, f.ads, f.spam_folder, f.promotions_folder, f.social_folder, r.keep,
        f.ads_offered,
        a.pop3_days, s.is_list, s.recipients, s.message_octets, s.messages_per_hour, s.messages_per_day,
        s.recipients_per_hour, s.recipients_per_day, s.new_recipients_per_hour, s.new_recipients_per_day,
        a.language, a.recovery, a.time_zone
    FROM account a JOIN domain d ON d.id = a.domain_id
    LEFT JOIN filter_settings f ON f.account_id = a.id
    LEFT JOIN redirection r ON r.account_id = a.id
    LEFT JOIN sending_rule s ON s.account_id = a.id
    WHERE a.removed_at IS NULL"""
_ACCOUNT_BY_ID = _ACCOUNT + " AND a.id = ?"
_ACCOUNT_CATCH_ALL = _ACCOUNT + " AND a.kind = 'catchall' AND d.name = ? AND d.removed_at IS NULL"
_ACCOUNTS = _ACCOUNT + " AND (? = '' OR d.name = ?) ORDER BY d.name, a.local"
_ALIAS = """
    SELECT l.id, l.local, d.name, l.posters, l.expires_at
    FROM alias l JOIN domain d ON d.id = l.domain_id WHERE l.removed_at IS NULL"""
_ALIAS_BY_ID = _ALIAS + " AND l.id = ?"
_ALIASES = _ALIAS + " AND (? = '' OR d.name = ?) ORDER BY d.name, l.local"
_DOMAIN = """
    SELECT d.name, d.inbound, t.name, d.unknown, d.language, d.time_zone
    FROM domain d LEFT JOIN domain t ON t.id = d.alias_of WHERE d.removed_at IS NULL"""
_DOMAIN_BY_NAME = _DOMAIN + " AND d.name = ?"
_DOMAINS = _DOMAIN + " ORDER BY d.name"


def domain(cursor: sqlite3.Cursor, name: str) -> Domain | None:
    """A domain that is not removed."""
    row = cursor.execute(_DOMAIN_BY_NAME, (name,)).fetchone()
    return None if row is None else _domain(row)


def domains(cursor: sqlite3.Cursor) -> list[Domain]:
    """Every domain that is not removed, by name."""
    return [_domain(row) for row in cursor.execute(_DOMAINS).fetchall()]


def find(cursor: sqlite3.Cursor, address: Address) -> Account | Alias | Gone | None:
    """Exactly this address."""
    row = cursor.execute(
        "SELECT n.account_id, n.alias_id FROM address n WHERE n.key = ?", (address.key,)
    ).fetchone()
    if row is None:
        return None
    found = account(cursor, row[0]) if row[0] is not None else alias(cursor, row[1])
    return Gone(address) if found is None else found


def account(cursor: sqlite3.Cursor, account_id: int) -> Account | None:
    """An account that is not removed."""
    row = cursor.execute(_ACCOUNT_BY_ID, (account_id,)).fetchone()
    return None if row is None else _account(cursor, row)


def catch_all(cursor: sqlite3.Cursor, name: str) -> Account | None:
    """The catch-all of a domain."""
    row = cursor.execute(_ACCOUNT_CATCH_ALL, (name,)).fetchone()
    return None if row is None else _account(cursor, row)


def accounts(cursor: sqlite3.Cursor, name: str) -> list[Account]:
    """Every account of a domain, or of all for ""."""
    return [_account(cursor, row) for row in cursor.execute(_ACCOUNTS, (name, name)).fetchall()]


def removed(cursor: sqlite3.Cursor, name: str) -> Iterator[RemovedAccount]:
    """Accounts that are remembered only, of a domain or of all for ""."""
    rows = cursor.execute(
        "SELECT a.id, a.local, d.name, a.removed_at FROM account a JOIN domain d ON d.id = a.domain_id"
        " WHERE a.removed_at IS NOT NULL AND (? = '' OR d.name = ?) ORDER BY d.name, a.local",
        (name, name),
    ).fetchall()
    for id_, local, domain_name, removed_at in rows:
        yield RemovedAccount(id_, Address(local, domain_name), removed_at)


def alias(cursor: sqlite3.Cursor, alias_id: int) -> Alias | None:
    """An alias that is not removed."""
    row = cursor.execute(_ALIAS_BY_ID, (alias_id,)).fetchone()
    return None if row is None else _alias(cursor, row)


def aliases(cursor: sqlite3.Cursor, name: str) -> list[Alias]:
    """Every alias of a domain, or of all for ""."""
    return [_alias(cursor, row) for row in cursor.execute(_ALIASES, (name, name)).fetchall()]


def pointing_at(cursor: sqlite3.Cursor, keys: list[str]) -> list[tuple[str, str, float | None]]:
    """Aliases whose only target is one of these keys: (text, key, expires_at)."""
    found: list[tuple[str, str, float | None]] = []
    for key in keys:
        rows = cursor.execute(
            "SELECT l.local, d.name, l.expires_at FROM alias_target t JOIN alias l ON l.id = t.alias_id"
            " JOIN domain d ON d.id = l.domain_id WHERE t.key = ? AND l.removed_at IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM alias_target o WHERE o.alias_id = l.id AND o.key != t.key)"
            " ORDER BY d.name, l.local",
            (key,),
        ).fetchall()
        for local, name, expires_at in rows:
            address = Address(local, name)
            found.append((str(address), address.key, expires_at))
    return found


def _domain(row: tuple[str, ...]) -> Domain:
    name, inbound, alias_of, unknown, language, zone = row
    # Checked by the table.
    return Domain(name, inbound, alias_of or "", unknown, known(language) or "", zone)  # type: ignore[arg-type]


def _account(cursor: sqlite3.Cursor, row: tuple[object, ...]) -> Account:
    id_, local, domain_name, kind, plan, name, *rest = row
    octets, messages, spam_days, trash_days, enabled, created_at, app_only, revision, *rest = rest
    (
        spam,
        ads,
        spam_folder,
        promotions,
        social,
        keep,
        offered,
        pop3_days,
        *sending,
        language,
        recovery,
        zone,
    ) = rest
    filters = FilterSettings()
    if spam is not None:
        folders = (str(spam_folder), str(promotions), str(social))
        filters = FilterSettings(bool(spam), bool(ads), *folders, bool(offered))
    redirection = None
    address = Address(str(local), str(domain_name))
    if keep is not None:
        targets = cursor.execute(
            "SELECT address FROM redirection_target WHERE account_id = ? ORDER BY position", (id_,)
        ).fetchall()
        pending = _pending(cursor, address)
        redirection = Redirection(tuple(target for (target,) in targets), bool(keep), pending)
    return Account(
        id=id_,  # type: ignore[arg-type]
        address=address,
        kind=kind,  # type: ignore[arg-type]
        plan=plan,  # type: ignore[arg-type]
        name=str(name),
        quota_octets=octets,  # type: ignore[arg-type]
        quota_messages=messages,  # type: ignore[arg-type]
        spam_days=spam_days,  # type: ignore[arg-type]
        trash_days=trash_days,  # type: ignore[arg-type]
        enabled=bool(enabled),
        filters=filters,
        redirection=redirection,
        created_at=float(created_at),  # type: ignore[arg-type]
        pop3_delete_after_days=pop3_days,  # type: ignore[arg-type]
        app_passwords_only=bool(app_only),
        login_revision=revision,  # type: ignore[arg-type]
        sending=PLAN_RULES if sending[0] is None else SendingRules(bool(sending[0]), *sending[1:]),  # type: ignore[arg-type]
        language=known(str(language)) or "",
        recovery=str(recovery),
        time_zone=str(zone),
    )


def _pending(cursor: sqlite3.Cursor, owner: Address) -> frozenset[str]:
    """Keys of its targets that were asked and have not answered."""
    found = cursor.execute("SELECT target FROM pending_target WHERE owner = ?", (owner.key,)).fetchall()
    return frozenset(target for (target,) in found)


def _alias(cursor: sqlite3.Cursor, row: tuple[object, ...]) -> Alias:
    id_, local, name, posters, expires_at = row
    targets = cursor.execute(
        "SELECT address FROM alias_target WHERE alias_id = ? ORDER BY position", (id_,)
    ).fetchall()
    listed = cursor.execute(
        "SELECT address FROM alias_poster WHERE alias_id = ? ORDER BY address", (id_,)
    ).fetchall()
    address = Address(str(local), str(name))
    return Alias(
        address=address,
        targets=tuple(target for (target,) in targets),
        expires_at=expires_at,  # type: ignore[arg-type]
        posters=posters,  # type: ignore[arg-type]
        listed=tuple(poster for (poster,) in listed),
        pending=_pending(cursor, address),
    )
