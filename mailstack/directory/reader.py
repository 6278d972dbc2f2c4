"""The read side: a few microseconds per question, and never older than the last commit.

SQLite on the calling thread behind one lock, with a dictionary in front.  Each question
first asks `PRAGMA data_version` (3 us), which changes when another connection commits;
then the dictionary is emptied.  So what the command line changes counts at once.  A daemon
that asks a dozen questions about one message may look once a millisecond (`trusted_s`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

from mailstack.directory import credentials, devices, mail_policies, rows, rules, seal
from mailstack.directory.dkim import PublishedKey
from mailstack.directory.logins import Logins, account_of
from mailstack.directory.options import AuthOptions
from mailstack.directory.schema import SCHEMA
from mailstack.directory.srs_secrets import SrsSecret, list_secrets
from mailstack.directory.values import (
    DeviceEntry,
    DirectoryPaths,
    Entered,
    RemovedAccount,
    Script,
    ScriptEntry,
    SenderLists,
    locate,
)
from mailstack.disk import migrations
from mailstack.disk.sqlite import failure, open_database
from mailstack.model.address import Address
from mailstack.model.directory import Account, Alias, Domain, Gone, MailPolicy
from mailstack.model.keys import DkimKey
from mailstack.model.rules import Rule, Template
from mailstack.model.secret import Proof, Verifier

T = TypeVar("T")

#: Answers kept; unknown addresses that peers guess count too, so there is a bound.
MAX_CACHED = 20_000
#: How far aliases that point at aliases are followed.
MAX_ALIAS_DEPTH = 10


class Directory:
    """Answers questions about domains and accounts.  Thread-safe; not to be kept over a fork.

    Implements `model.directory.DirectoryReader`.

    Attributes:
        logins: whether login and password belong together.
    """

    def __init__(
        self,
        paths: Path | DirectoryPaths,
        *,
        read_only: bool = True,
        options: AuthOptions | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        random_bytes: Callable[[int], bytes] = os.urandom,
        trusted_s: float = 0.0,
    ) -> None:
        """Opens the database.

        Args:
            paths: the path of `directory.db` (secrets beside it), or an instance's paths.
            trusted_s: how long what is known counts before the next look for a commit.
            now: Unix seconds, for the expiry of aliases.
            clock: seconds that only grow, for the memory of good logins.

        Raises:
            TemporaryFailure: there is none, or its schema is not this program's.
        """
        options = options or AuthOptions()
        database, self._master_key = locate(paths)
        self._now = now
        self._clock = clock
        self._trusted_s = trusted_s
        self._looked_at = -1.0
        self._lock = threading.Lock()
        self._connection = open_database(database, read_only=read_only)
        try:
            migrations.check(self._connection, SCHEMA)
        except BaseException:
            self._connection.close()
            raise
        self._cursor = self._connection.cursor()
        self._version = -1
        self._cache: dict[tuple[object, ...], object] = {}
        self._sealer: seal.Sealer | None = None
        self._good_logins = credentials.SuccessCache(
            random_bytes(32), lifetime_s=options.success_cache_s, clock=clock
        )
        self.logins = Logins(self, options, self._good_logins)

    def close(self) -> None:
        """Releases the database."""
        with self._lock:
            self._connection.close()
            self._cache.clear()
        self._good_logins.clear()

    def version(self) -> int:
        """Another number once somebody has committed; takes microseconds.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        return self._read(lambda cursor: int(cursor.execute("PRAGMA data_version").fetchone()[0]))

    # -- domains and addresses -------------------------------------------------------

    def domain(self, name: str) -> Domain | None:
        """The domain with this A-label name, also alias domains; None when unknown."""
        return self.ask(("domain", name), lambda cursor: rows.domain(cursor, name))

    def find(self, address: Address) -> Account | Alias | Gone | None:
        """Exactly this address (canonical key), not its plus forms, not the catch-all."""
        return self.ask(("find", address.key), lambda cursor: rows.find(cursor, address))

    def catch_all(self, domain: str) -> Account | None:
        """The domain's catch-all account, also while suspended."""
        return self.ask(("catch_all", domain), lambda cursor: rows.catch_all(cursor, domain))

    def account_by_id(self, account_id: int) -> Account | None:
        """The account, also while suspended; None once deleted."""
        return self.ask(("account", account_id), lambda cursor: rows.account(cursor, account_id))

    def addresses_of(self, account_id: int) -> list[str]:
        """The account's own address first, then the aliases that point at it alone.

        Expired aliases do not count; groups (several targets) are not one person's address.
        """
        known = self.ask(("addresses", account_id), lambda cursor: _addresses(cursor, account_id))
        now = self._now()
        return [text for text, _, expires_at in known if expires_at is None or now < expires_at]

    def forwarders(self, target: Address) -> list[Address]:
        """Addresses here whose redirection, or group, leads to a target."""
        found = self._read(
            lambda cursor: cursor.execute(
                "SELECT a.local, d.name FROM redirection_target t JOIN account a ON a.id = t.account_id"
                " JOIN domain d ON d.id = a.domain_id WHERE lower(t.address) = lower(?)"
                " AND a.removed_at IS NULL UNION SELECT l.local, d.name FROM alias_target t"
                " JOIN alias l ON l.id = t.alias_id JOIN domain d ON d.id = l.domain_id"
                " WHERE t.key = ? AND l.removed_at IS NULL",
                (str(target), target.key),
            ).fetchall()
        )
        return [Address(local, name) for local, name in found]

    def is_own(self, account: Account, address: Address) -> bool:
        """Own address, plus form, alias that points at it alone; also in a domain that mirrors its own."""
        now, wanted = self._now(), self._names(address)
        known = self.ask(("addresses", account.id), lambda cursor: _addresses(cursor, account.id))
        return any(key in wanted and (end is None or now < end) for _, key, end in known)

    def may_send_as(self, account: Account, address: Address) -> bool:
        """What is its own, granted identity or domain.

        Who posts for lists may also use the addresses of a list manager.
        """
        if self.is_own(account, address):
            return True
        granted = self.identities(account.id)
        if granted and (not granted.isdisjoint(self._names(address)) or address.domain in granted):
            return True
        return account.sending.is_list and self._is_passed_on(address)

    def _names(self, address: Address) -> set[str]:
        """Keys of the addresses here that it may stand for."""
        return {self._home(address).key, self._home(_without_detail(address)).key}

    def _is_passed_on(self, address: Address) -> bool:
        found = self.find(self._home(_without_detail(address)))
        return isinstance(found, Alias) and found.is_passed_on

    def identities(self, account_id: int) -> frozenset[str]:
        """Further senders granted to an account: address keys and whole domains."""
        return self.ask(
            ("identities", account_id),
            lambda cursor: frozenset(
                pattern
                for (pattern,) in cursor.execute(
                    "SELECT pattern FROM identity WHERE account_id = ?", (account_id,)
                ).fetchall()
            ),
        )

    def domains(self) -> list[Domain]:
        """Every domain, by name."""
        return list(self.ask(("domains",), rows.domains))

    def accounts(self, domain: str = "") -> list[Account]:
        """Every account of a domain, or of all."""
        return self._read(lambda cursor: rows.accounts(cursor, domain))

    def aliases(self, domain: str = "") -> list[Alias]:
        """Every alias and group of a domain, or of all."""
        return self._read(lambda cursor: rows.aliases(cursor, domain))

    def removed(self, domain: str = "") -> list[RemovedAccount]:
        """Removed accounts that are remembered."""
        return self._read(lambda cursor: list(rows.removed(cursor, domain)))

    # -- passwords -------------------------------------------------------------------

    def find_account(self, login: str) -> Account | None:
        """The account whose own address a login is, also while suspended."""
        return account_of(self.find, login)

    def derived_key(self, purpose: str) -> bytes:
        """A key of this instance for one purpose.

        Raises:
            TemporaryFailure: the master key cannot be read.
        """
        return self._open_sealer().derive(purpose)

    def credential(self, account_id: int) -> str | None:
        """The stored password hash; None when the account has none.  Cheap."""
        return self.ask(
            ("credential", account_id),
            lambda cursor: _first(
                cursor, "SELECT hash FROM credential WHERE account_id = ?", (account_id,), str
            ),
        )

    def verifier(self, login: str) -> Verifier:
        """What SCRAM checks a login's passwords with.  Cheap.

        For logins that do not exist it looks the same each time, and like that of others (T81).

        Raises:
            TemporaryFailure: the directory or the master key cannot be read.
        """
        return self.logins.verifier(login)

    def authenticate(self, login: str, password: str | Proof, *, protocol: str = "") -> Account | None:
        """The account, if login and password belong together; see Logins.check.

        Raises:
            TemporaryFailure: the directory cannot be read.
        """
        found = self.logins.check(login, password, protocol=protocol)
        return found.account if isinstance(found, Entered) else None

    # -- what belongs to an account --------------------------------------------------

    def sender_lists(self, account_id: int) -> SenderLists:
        """Whom the account blocks and allows."""
        return self.ask(("lists", account_id), lambda cursor: _sender_lists(cursor, account_id))

    def mail_policy(self, domain: str) -> MailPolicy:
        """What a domain (A-labels) wants of mail to its addresses; nothing when it is not ours."""
        return self.ask(("mail_policy", domain), lambda cursor: mail_policies.load(cursor, domain))

    def active_script(self, account_id: int) -> Script | None:
        """The account's active Sieve script."""
        return self.ask(
            ("script", account_id),
            lambda cursor: _script(
                cursor.execute(
                    "SELECT name, source, sha256, active FROM sieve_script"
                    " WHERE account_id = ? AND active = 1",
                    (account_id,),
                ).fetchone()
            ),
        )

    def script(self, account_id: int, name: str) -> Script | None:
        """One script by name."""
        return self._read(
            lambda cursor: _script(
                cursor.execute(
                    "SELECT name, source, sha256, active FROM sieve_script WHERE account_id = ? AND name = ?",
                    (account_id, name),
                ).fetchone()
            )
        )

    def scripts(self, account_id: int) -> list[ScriptEntry]:
        """The account's scripts, by name."""
        return self._read(
            lambda cursor: [
                ScriptEntry(name, size, bool(active), changed_at)
                for name, size, active, changed_at in cursor.execute(
                    "SELECT name, length(source), active, changed_at FROM sieve_script"
                    " WHERE account_id = ? ORDER BY name",
                    (account_id,),
                ).fetchall()
            ]
        )

    def rules(self, account_id: int) -> tuple[Rule, ...]:
        """The account's rules, in their order, also those switched off."""
        return self.ask(("rules", account_id), lambda cursor: rules.rules(cursor, account_id))

    def rule_templates(self, domain: str, *, hidden: bool = False) -> list[Template]:
        """What the domain (A-labels) offers, by name; with `hidden` also what users do not see."""
        found = self._read(lambda cursor: rules.templates(cursor, domain))
        return [one for one in found if one.visible or hidden]

    # -- devices ---------------------------------------------------------------------

    def device_at(self, ip: str) -> Account | None:
        """The device that may send from this address without a login; None: nobody may."""
        networks = self.ask(("device_networks",), devices.load_networks)
        account_id = devices.account_at(networks, ip) if networks else None
        return None if account_id is None else self.account_by_id(account_id)

    def device_entry(self, account_id: int) -> DeviceEntry:
        """What a device may do without a login."""
        return self.ask(("device", account_id), lambda cursor: devices.find_entry(cursor, account_id))

    # -- keys ------------------------------------------------------------------------

    def dkim_keys(self, domain: str) -> list[DkimKey]:
        """The signing keys of a domain, decrypted; empty for a domain that is not ours.

        Raises:
            TemporaryFailure: the master key is missing or is not the one they were sealed with.
        """
        return list(self.ask(("dkim", domain), lambda cursor: self._dkim_keys(cursor, domain)))

    def published_keys(self, domain: str) -> list[PublishedKey]:
        """The public halves, for DNS, oldest first; also of keys that wait, are retired or of no more use."""
        return self._read(
            lambda cursor: [
                PublishedKey(*row)
                for row in cursor.execute(
                    "SELECT k.selector, k.algorithm, k.public, k.signs_at, k.retired_at FROM dkim_key k"
                    " JOIN domain d ON d.id = k.domain_id WHERE d.name = ? AND d.removed_at IS NULL"
                    " ORDER BY k.id",
                    (domain,),
                ).fetchall()
            ]
        )

    def srs_secrets(self) -> list[bytes]:
        """Secrets of SRS addresses, newest first: sign with the first, accept all."""
        now = self._now()
        known = self.ask(("srs",), self._srs_secrets)
        return [secret for secret, until in known if until is None or now < until]

    def srs_secret_list(self) -> list[SrsSecret]:
        """What there is of them, without themselves, newest first."""
        return self._read(list_secrets)

    # -- inside ----------------------------------------------------------------------

    def ask(self, key: tuple[object, ...], load: Callable[[sqlite3.Cursor], T]) -> T:
        """An answer from the dictionary, unless somebody has committed since.

        Raises:
            TemporaryFailure: the directory cannot be read.
        """
        with self._lock:
            if self._trusted_s and key in self._cache and self._clock() < self._looked_at + self._trusted_s:
                return cast("T", self._cache[key])
            try:
                self._looked_at = self._clock()
                version = self._cursor.execute("PRAGMA data_version").fetchone()[0]
                if version != self._version or len(self._cache) >= MAX_CACHED:
                    self._cache.clear()
                    self._version = version
                elif key in self._cache:
                    return cast("T", self._cache[key])
                answer = load(self._cursor)
            except sqlite3.Error as error:
                raise failure(error, "reading the directory") from error
            self._cache[key] = answer
            return answer

    def derived(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """What follows from several answers; `make` is asked again once somebody has committed."""
        version = self.ask(("version",), lambda cursor: self._version)
        with self._lock:
            if version == self._version and key in self._cache:
                return cast("T", self._cache[key])
        answer = make()
        with self._lock:
            if version == self._version:
                self._cache[key] = answer
        return answer

    def _read(self, load: Callable[[sqlite3.Cursor], T]) -> T:
        with self._lock:
            try:
                return load(self._cursor)
            except sqlite3.Error as error:
                raise failure(error, "reading the directory") from error

    def _home(self, address: Address) -> Address:
        """The address an alias domain mirrors."""
        domain = self.domain(address.domain)
        return replace(address, domain=domain.alias_of) if domain is not None and domain.alias_of else address

    def _dkim_keys(self, cursor: sqlite3.Cursor, domain: str) -> tuple[DkimKey, ...]:
        found = cursor.execute(
            "SELECT k.selector, k.algorithm, k.sealed, k.master_id FROM dkim_key k JOIN domain d"
            " ON d.id = k.domain_id WHERE d.name = ? AND d.removed_at IS NULL"
            " AND k.signs_at IS NOT NULL AND k.retired_at IS NULL ORDER BY k.id",
            (domain,),
        ).fetchall()
        return tuple(
            DkimKey(
                domain,
                selector,
                algorithm,
                self._open(sealed, f"dkim {domain} {selector}", master_id),
            )
            for selector, algorithm, sealed, master_id in found
        )

    def _srs_secrets(self, cursor: sqlite3.Cursor) -> tuple[tuple[bytes, float | None], ...]:
        found = cursor.execute(
            "SELECT sealed, master_id, retired_at FROM srs_secret ORDER BY id DESC"
        ).fetchall()
        return tuple((self._open(sealed, "srs", master_id), until) for sealed, master_id, until in found)

    def _open(self, sealed: bytes, belongs_to: str, master_id: str) -> bytes:
        return self._open_sealer().open(sealed, belongs_to, master_id)

    def _open_sealer(self) -> seal.Sealer:
        if self._sealer is None:
            self._sealer = seal.load(self._master_key)
        return self._sealer


def _without_detail(address: Address) -> Address:
    base, plus, _ = address.local.partition("+")
    return replace(address, local=base) if plus and base else address


def _addresses(cursor: sqlite3.Cursor, account_id: int) -> tuple[tuple[str, str, float | None], ...]:
    """Own address and aliases as (text, key, expires_at), aliases of aliases included."""
    account = rows.account(cursor, account_id)
    if account is None:
        return ()
    known: dict[str, tuple[str, str, float | None]] = {
        account.address.key: (str(account.address), account.address.key, None)
    }
    keys = [account.address.key]
    for _ in range(MAX_ALIAS_DEPTH):
        new = [entry for entry in rows.pointing_at(cursor, keys) if entry[1] not in known]
        known.update((entry[1], entry) for entry in new)
        keys = [entry[1] for entry in new]
        if not keys:
            break
    return tuple(known.values())


def _sender_lists(cursor: sqlite3.Cursor, account_id: int) -> SenderLists:
    return SenderLists.of(
        cursor.execute("SELECT pattern, kind FROM sender_list WHERE account_id = ?", (account_id,)).fetchall()
    )


def _script(row: tuple[str, bytes, str, int] | None) -> Script | None:
    return None if row is None else Script(row[0], bytes(row[1]), row[2], bool(row[3]))


def _first(
    cursor: sqlite3.Cursor, sql: str, values: tuple[object, ...], kind: Callable[[object], T]
) -> T | None:
    row = cursor.execute(sql, values).fetchone()
    return None if row is None else kind(row[0])
