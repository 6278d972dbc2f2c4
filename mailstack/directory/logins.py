"""Whether a login and a password belong together, and what may be done with them.

An address has a password of its own and up to ten app passwords, each good for some
protocols.  An app password has 100 random bits, so a keyed hash is enough to keep it and
takes microseconds to check; the address's own password costs one argon2id hash, and so
does every failure, whether or not there is such a user (T81, A6, A11).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mailstack.directory import credentials, scram_rows
from mailstack.directory.options import AuthOptions
from mailstack.directory.values import AppPassword, Denied, Entered
from mailstack.model.address import Address, AddressError
from mailstack.model.directory import Account
from mailstack.model.secret import Keys, Proof, Verifier

T = TypeVar("T")

#: Kinds of account that never log in, and what a device may not speak.
_NO_LOGIN = ("spamtrap",)
_DEVICE_PROTOCOLS = ("", "smtp")
#: An app password as it may be typed: with or without hyphens and spaces, in any case.
_SEPARATORS = re.compile(r"[-\s]+")
_APP_PASSWORD = re.compile(r"[a-km-np-z2-9]{20}\Z")
_MAX_TYPED = 64

_APP_PASSWORDS = """
    SELECT id, name, scopes, created_at, mac, scram_stored_key, scram_server_key
    FROM app_password WHERE account_id = ? AND revoked_at IS NULL ORDER BY id"""


#: Passwords whose costs stand for all.
_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class _Costs:
    """What checking a password costs."""

    hash: credentials.HashParameters
    scram_iterations: int


class Source(Protocol):
    """What the directory gives."""

    def find_account(self, login: str) -> Account | None:
        """The account with exactly this address."""
        ...

    def credential(self, account_id: int) -> str | None:
        """The stored hash of the address's own password."""
        ...

    def ask(self, key: tuple[object, ...], load: Callable[[sqlite3.Cursor], T]) -> T:
        """An answer of the database, remembered until something in it changes."""
        ...

    def derived_key(self, purpose: str) -> bytes:
        """A key of this instance; may raise TemporaryFailure."""
        ...


class Logins:
    """Checks logins for one process.  Thread-safe."""

    def __init__(self, source: Source, options: AuthOptions, cache: credentials.SuccessCache) -> None:
        self._source = source
        self._cache = cache
        parameters = credentials.HashParameters(options.hash_memory_kib, options.hash_passes)
        self._costs = _Costs(parameters, options.scram_iterations)

    def remembered(self, login: str, password: str | Proof, *, protocol: str) -> Entered | None:
        """The same as `check` where it takes microseconds: app passwords and what was good lately.

        None says nothing: `check` it.

        Raises:
            TemporaryFailure: the directory or the master key cannot be read.
        """
        account = self._source.find_account(login)
        if account is None or not _may_log_in(account, protocol):
            return None
        if isinstance(password, Proof):
            return None
        found = self._find_app_password(account, password)
        if found is not None:
            return Entered(account, found) if _is_in_scope(found, protocol) else None
        stored = self._source.credential(account.id)
        if stored is None or account.app_passwords_only or not self._cache.knows(stored, password):
            return None
        return Entered(account)

    def check(self, login: str, password: str | Proof, *, protocol: str) -> Entered | Denied:
        """Whether they belong together.  Blocking: up to one hash.

        Args:
            login: the full address of the account; aliases do not log in.
            password: as given, any character; or what SCRAM found out.
            protocol: "smtp", "imap", "pop3" or "sieve"; "": whatever it is for.

        Returns:
            Denied after the same time for an unknown user, a wrong password, a suspended
            account, or one that may not do this.

        Raises:
            TemporaryFailure: the directory or the master key cannot be read.
        """
        account = self._source.find_account(login)
        if isinstance(password, Proof):
            found = self._proven(account, password)
        else:
            found = self._matching(login, account, password)
        if isinstance(found, Denied):
            return found
        app, account = found.app_password, found.account
        if app is not None and not _is_in_scope(app, protocol):
            return Denied(f"the app password {app.name!r} is not for {protocol}", "login_scope")
        if app is None and account.app_passwords_only:
            return Denied("only app passwords are taken for this address", "login_app_only")
        if not account.enabled:
            return Denied("the account is suspended", "login_suspended")
        if not _may_log_in(account, protocol):
            why = f"an account of the kind {account.kind} does not log in to {protocol or 'this'}"
            return Denied(why, "login_kind")
        return found

    def verifier(self, login: str) -> Verifier:
        """What SCRAM checks a login's passwords with; see Directory.verifier."""
        account = self._source.find_account(login)
        stored = None
        if account is not None:
            stored = self._source.ask(
                ("scram", account.id), lambda cursor: scram_rows.verifier(cursor, account.id)
            )
            if stored is not None and stored.keys:
                return stored
        costs = self._costs_for(login)
        key = self._source.derived_key("SCRAM salts")
        salt = hmac.digest(key, login.lower().encode("utf-8", "replace"), "sha256")[: scram_rows.SALT_OCTETS]
        why = "" if stored is None else "there is no SCRAM verifier: the password must be set again"
        return Verifier(salt, costs.scram_iterations, why=why)

    def app_passwords(self, account_id: int) -> tuple[AppPassword, ...]:
        """Those that are not revoked, the oldest first.  Cheap."""
        return self._source.ask(("app passwords", account_id), lambda cursor: load(cursor, account_id))

    def _matching(self, login: str, account: Account | None, password: str) -> Entered | Denied:
        app = None if account is None else self._find_app_password(account, password)
        if account is not None and app is not None:
            return Entered(account, app)
        stored = None if account is None else self._source.credential(account.id)
        if account is not None and stored is not None and self._cache.knows(stored, password):
            return Entered(account)
        is_right = credentials.verify(stored or "", password, self._costs_for(login).hash)
        if account is None:
            return Denied("there is no such user", "login_user")
        if stored is None:
            return Denied("the account has no password of its own", "login_user")
        if not is_right:
            return Denied("the password does not match", "login_password")
        self._cache.add(stored, password)
        return Entered(account)

    def _costs_for(self, login: str) -> _Costs:
        """What a login costs that has no password: as much as one of those that have, always the same.

        Were it what the configuration says today, older accounts would be told from none (A11).
        """
        known = self._source.ask(("password costs",), self._sample)
        mark = hashlib.sha256(login.lower().encode("utf-8", "replace")).digest()
        return known[int.from_bytes(mark[:8], "big") % len(known)]

    def _sample(self, cursor: sqlite3.Cursor) -> list[_Costs]:
        rows = cursor.execute(
            "SELECT hash, scram_iterations FROM credential ORDER BY account_id LIMIT ?", (_SAMPLE,)
        ).fetchall()
        costs = [
            _Costs(
                credentials.parameters_of(hash_) or self._costs.hash,
                iterations or self._costs.scram_iterations,
            )
            for hash_, iterations in rows
        ]
        return costs or [self._costs]

    def _find_app_password(self, account: Account, password: str) -> AppPassword | None:
        known = self.app_passwords(account.id)
        typed = typed_app_password(password) if known else ""
        if not typed:
            return None
        mac = make_mac(self._source.derived_key("app passwords"), account.id, typed)
        return next((one for one in known if hmac.compare_digest(one.mac, mac)), None)

    def _proven(self, account: Account | None, proof: Proof) -> Entered | Denied:
        if account is None:
            return Denied("there is no such user", "login_user")
        if not proof.stored_key:
            return Denied(proof.why or "the password does not match", "login_password")
        for app in self.app_passwords(account.id):
            if app.keys is not None and hmac.compare_digest(app.keys.stored_key, proof.stored_key):
                return Entered(account, app)
        # The password may have been changed since the exchange began.
        stored = self._source.ask(
            ("scram own", account.id), lambda cursor: scram_rows.own_keys(cursor, account.id)
        )
        if stored is not None and hmac.compare_digest(stored.stored_key, proof.stored_key):
            return Entered(account)
        return Denied("the password was changed meanwhile", "login_password")


def typed_app_password(password: str) -> str:
    """An app password without what people leave out or add; "" for what cannot be one."""
    if len(password) > _MAX_TYPED:
        return ""
    typed = _SEPARATORS.sub("", password).lower()
    return typed if _APP_PASSWORD.match(typed) else ""


def make_mac(key: bytes, account_id: int, typed: str) -> bytes:
    """What is stored of an app password.

    Args:
        key: derived from the master key for this purpose.
        typed: see typed_app_password.
    """
    return hmac.digest(key, f"{account_id}\0{typed}".encode(), "sha256")


def load(cursor: sqlite3.Cursor, account_id: int) -> tuple[AppPassword, ...]:
    """The app passwords of an account that are not revoked, the oldest first."""
    return tuple(
        AppPassword(
            id_,
            name,
            tuple(scopes.split(",")),
            created_at,
            bytes(mac),
            None if stored is None or server is None else Keys(stored, server),
        )
        for id_, name, scopes, created_at, mac, stored, server in cursor.execute(
            _APP_PASSWORDS, (account_id,)
        ).fetchall()
    )


def account_of(find: Callable[[Address], object], login: str) -> Account | None:
    """The account a login names; aliases and plus forms name none."""
    try:
        address = Address.parse(login)
    except (AddressError, ValueError):
        return None
    found = find(address)
    return found if isinstance(found, Account) else None


def _is_in_scope(app: AppPassword, protocol: str) -> bool:
    return not protocol or protocol in app.scopes


def _may_log_in(account: Account, protocol: str) -> bool:
    if not account.enabled or account.kind in _NO_LOGIN:
        return False
    return account.kind != "device" or protocol in _DEVICE_PROTOCOLS
