"""Accounts: made, changed, suspended, removed and brought back."""

from __future__ import annotations

import sqlite3
from typing import Final

from mailstack.directory import credentials, names, rows, scram_rows, zones
from mailstack.directory.session import Session, account_of, check_free, domain_id
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure

KINDS = ("mailbox", "device", "noreply", "catchall", "spamtrap")
PLANS = ("normal", "free")
DAY_S = 86_400
MAX_IDENTITIES = 1_000
MAX_POP3_DAYS = 36_500


class _Unchanged:
    """Says "leave it", where None is a value."""


UNCHANGED: Final = _Unchanged()


class Accounts:
    """Changes accounts; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        address: str,
        *,
        password: str = "",
        password_hash: str = "",
        kind: str = "mailbox",
        plan: str = "normal",
        name: str = "",
        quota_octets: int | None = None,
    ) -> Account:
        """Makes an account.

        Args:
            password: checked by the rules and hashed here; "" for none.
            password_hash: of `password`, when it was checked and hashed before.
            quota_octets: None: the plan's default; NO_LIMIT: no limit.

        Raises:
            PermanentFailure: a sentence that says what is wrong with the address, the
                password or a word; the domain is not ours; the name exists or existed.
        """
        new = names.new_address(address)
        _check_words(kind, plan)
        name = names.person_name(name)
        if password and not password_hash:
            password_hash = self.hash(password, str(new))
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, new.domain)
            check_free(cursor, new)
            if kind == "catchall":
                _check_catch_all(cursor, new.domain, None)
            cursor.execute(
                "INSERT INTO account (local, domain_id, kind, plan, name, quota_octets, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (new.local, id_, kind, plan, name, quota_octets, self._session.now()),
            )
            account_id = cursor.lastrowid
            assert account_id is not None
            cursor.execute(
                "INSERT OR REPLACE INTO address (key, account_id) VALUES (?, ?)", (new.key, account_id)
            )
            if password_hash:
                self._store_hash(cursor, account_id, password_hash, password)
            return _get(cursor, account_id)

    def set(
        self,
        address: str,
        *,
        kind: str | None = None,
        plan: str | None = None,
        name: str | None = None,
        quota_octets: int | _Unchanged | None = UNCHANGED,
        enabled: bool | None = None,
    ) -> Account:
        """Changes what is given.

        Raises:
            PermanentFailure: no such account, or no such word.
        """
        _check_words(kind or "mailbox", plan or "normal")
        name = None if name is None else names.person_name(name)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            if kind == "catchall":
                _check_catch_all(cursor, account.address.domain, account.id)
            quota = account.quota_octets if isinstance(quota_octets, _Unchanged) else quota_octets
            cursor.execute(
                "UPDATE account SET kind = coalesce(?, kind), plan = coalesce(?, plan),"
                " name = coalesce(?, name), enabled = coalesce(?, enabled), quota_octets = ? WHERE id = ?",
                (kind, plan, name, enabled, quota, account.id),
            )
            if enabled is False or kind not in (None, account.kind):
                self._session.end_sessions(cursor, account.id)
            return _get(cursor, account.id)

    def set_keeping(
        self,
        address: str,
        *,
        quota_messages: int | _Unchanged | None = UNCHANGED,
        spam_days: int | _Unchanged | None = UNCHANGED,
        trash_days: int | _Unchanged | None = UNCHANGED,
    ) -> Account:
        """How many messages an account may hold, and when those in Spam and Trash go.

        Args:
            quota_messages: None: the plan's default; NO_LIMIT: no limit.
            spam_days, trash_days: None: the default; 0: never.

        Raises:
            PermanentFailure: no such account.
        """
        wanted = {"quota_messages": quota_messages, "spam_days": spam_days, "trash_days": trash_days}
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            for column, value in wanted.items():
                if not isinstance(value, _Unchanged):
                    cursor.execute(f"UPDATE account SET {column} = ? WHERE id = ?", (value, account.id))  # noqa: S608
            return _get(cursor, account.id)

    def set_pop3_days(self, address: str, days: int | None) -> Account:
        """When messages that POP3 fetched are deleted; None: never.

        Raises:
            PermanentFailure: no such account, or not 1 to MAX_POP3_DAYS.
        """
        if days is not None and not 1 <= days <= MAX_POP3_DAYS:
            raise PermanentFailure(f"want 1 to {MAX_POP3_DAYS} days, not {days}")
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            cursor.execute("UPDATE account SET pop3_days = ? WHERE id = ?", (days, account.id))
            return _get(cursor, account.id)

    def set_language(self, address: str, language: str) -> Account:
        """In which language its owner is written to; "": the domain's.

        Raises:
            PermanentFailure: no such account, or not a language we write.
        """
        language = names.language(language)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            cursor.execute("UPDATE account SET language = ? WHERE id = ?", (language, account.id))
            return _get(cursor, account.id)

    def set_time_zone(self, address: str, zone: str) -> Account:
        """In which time zone its owner lives; "": the domain's.

        Raises:
            PermanentFailure: no such account, or no such zone.
        """
        zone = zones.check(zone)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            cursor.execute("UPDATE account SET time_zone = ? WHERE id = ?", (zone, account.id))
            return _get(cursor, account.id)

    def set_recovery(self, address: str, recovery: str) -> Account:
        """Where its owner is reached when the mailbox is not read; "": nowhere.

        Raises:
            PermanentFailure: no such account, or that is no address, or the account's own.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            other = names.any_address(recovery) if recovery else None
            if other is not None and other.key == account.address.key:
                raise PermanentFailure(f"the recovery address of {account.address} must be another one")
            text = "" if other is None else str(other)
            cursor.execute("UPDATE account SET recovery = ? WHERE id = ?", (text, account.id))
            return _get(cursor, account.id)

    def set_password(self, address: str, password: str) -> Account:
        """Replaces the password; app passwords stay.

        Raises:
            PermanentFailure: no such account, or the password breaks a rule.
        """
        hash_ = self.hash(password, address)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            self._store_hash(cursor, account.id, hash_, password)
            self._session.end_sessions(cursor, account.id)
            return account

    def remove(self, address: str) -> Account:
        """Removes an account: nobody else ever gets the name; it can be restored for a while.

        Raises:
            PermanentFailure: no such account.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            cursor.execute(
                "UPDATE account SET removed_at = ? WHERE id = ?", (self._session.now(), account.id)
            )
            return account

    def restore(self, address: str, *, has_mail: bool = False) -> Account:
        """Brings a removed account back as it was.

        Args:
            has_mail: its mail is there still, so its time cannot be over.

        Raises:
            PermanentFailure: it is not removed (or never was), its time is over, or its
                domain is gone.
        """
        wanted = names.any_address(address)
        with self._session.transaction() as cursor:
            row = cursor.execute(
                "SELECT a.id, a.removed_at, a.kind FROM address n JOIN account a ON a.id = n.account_id"
                " WHERE n.key = ?",
                (wanted.key,),
            ).fetchone()
            if row is None:
                raise PermanentFailure(f"there never was an account {wanted}", status="1.1")
            account_id, removed_at, kind = row
            if removed_at is None:
                raise PermanentFailure(f"{wanted} is not removed")
            days = self._session.options.restore_days
            if not has_mail and self._session.now() - removed_at > days * DAY_S:
                raise PermanentFailure(f"{wanted} was removed more than {days} days ago; its mail is gone")
            domain_id(cursor, wanted.domain)
            if kind == "catchall":
                _check_catch_all(cursor, wanted.domain, account_id)
            cursor.execute("UPDATE account SET removed_at = NULL WHERE id = ?", (account_id,))
            return _get(cursor, account_id)

    def grant(self, address: str, sender: str) -> str:
        """Lets an account send as another address, or as a whole domain ("@example.org").

        Returns:
            The pattern as stored.

        Raises:
            PermanentFailure: no such account, not an address or domain, or too many.
        """
        pattern = names.sender_pattern(sender)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            count = cursor.execute(
                "SELECT count(*) FROM identity WHERE account_id = ?", (account.id,)
            ).fetchone()[0]
            if count >= MAX_IDENTITIES:
                raise PermanentFailure(f"{address} may send as {MAX_IDENTITIES} others already")
            cursor.execute(
                "INSERT OR IGNORE INTO identity (account_id, pattern, created_at) VALUES (?, ?, ?)",
                (account.id, pattern, self._session.now()),
            )
        return pattern

    def revoke(self, address: str, sender: str) -> str:
        """Takes a grant back.

        Raises:
            PermanentFailure: no such account, or it was not granted.
        """
        pattern = names.sender_pattern(sender)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            done = cursor.execute(
                "DELETE FROM identity WHERE account_id = ? AND pattern = ?", (account.id, pattern)
            )
            if not done.rowcount:
                raise PermanentFailure(f"{address} was not allowed to send as {sender}")
        return pattern

    def check_password(self, password: str, address: str) -> str:
        """The new password in NFC.

        Raises:
            PermanentFailure: it breaks a rule; says which.
        """
        least = self._session.options.password_min_chars
        return credentials.check_new(password, min_chars=least, address=address)

    def hash(self, password: str, address: str) -> str:
        """The hash of a new password.  Blocking; may run in several threads at once.

        Raises:
            PermanentFailure: it breaks a rule; says which.
        """
        options = self._session.options
        password = self.check_password(password, address)
        parameters = credentials.HashParameters(options.hash_memory_kib, options.hash_passes)
        return credentials.hash_password(password, self._session.random_bytes, parameters)

    def _store_hash(self, cursor: sqlite3.Cursor, account_id: int, hash_: str, password: str) -> None:
        cursor.execute(
            "INSERT INTO credential (account_id, hash, changed_at) VALUES (?, ?, ?)"
            " ON CONFLICT (account_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at,"
            " scram_iterations = NULL, scram_salt = NULL, scram_stored_key = NULL, scram_server_key = NULL",
            (account_id, hash_, self._session.now()),
        )
        options = self._session.options
        if options.scram and password:
            scram_rows.store(
                cursor, account_id, password, self._session.random_bytes, iterations=options.scram_iterations
            )


def check_new(cursor: sqlite3.Cursor, address: Address) -> None:
    """Whether an account could be made here; for checking many before making any.

    Raises:
        PermanentFailure: the domain is not ours, or the name exists or existed.
    """
    domain_id(cursor, address.domain)
    check_free(cursor, address)


def _get(cursor: sqlite3.Cursor, account_id: int) -> Account:
    account = rows.account(cursor, account_id)
    assert account is not None
    return account


def _check_words(kind: str, plan: str) -> None:
    if kind not in KINDS:
        raise PermanentFailure(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    if plan not in PLANS:
        raise PermanentFailure(f"plan is one of {', '.join(PLANS)}, not {plan!r}")


def _check_catch_all(cursor: sqlite3.Cursor, domain: str, account_id: int | None) -> None:
    other = rows.catch_all(cursor, domain)
    if other is not None and other.id != account_id:
        raise PermanentFailure(f"{domain} has a catch-all already: {other.address}")
