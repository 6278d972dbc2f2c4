"""App passwords: made, and taken back.  Shown once; only a keyed hash is kept."""

from __future__ import annotations

from collections.abc import Sequence

from mailstack.directory import credentials, logins, names, scram_rows
from mailstack.directory.session import Session, account_of
from mailstack.directory.values import AppPassword
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure

SCOPES = ("imap", "pop3", "smtp", "sieve")
#: Of a name, characters.
MAX_NAME = 64
_DEVICE_SCOPES = ("smtp",)


class AppPasswords:
    """Changes app passwords; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, address: str, name: str, scopes: Sequence[str] = ()) -> tuple[AppPassword, str]:
        """Makes one of 100 random bits.

        Args:
            name: what people know it by, such as "phone"; one of a kind in the account.
            scopes: of SCOPES; all when none are given, for a device those it may use.

        Returns:
            What is kept, and the password, which nobody sees again.

        Raises:
            PermanentFailure: no such account, no such scope, a bad or taken name, or too many.
            TemporaryFailure: the master key cannot be read.
        """
        name = _check_name(name)
        options = self._session.options
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            wanted = _check_scopes(account, scopes)
            known = logins.load(cursor, account.id)
            if any(one.name.casefold() == name.casefold() for one in known):
                raise PermanentFailure(f"{account.address} has an app password {name!r} already")
            if len(known) >= options.app_passwords:
                raise PermanentFailure(
                    f"{account.address} has {len(known)} app passwords, as many as auth.app_passwords allows;"
                    " revoke one that is not used: 'mailstack apppw list' shows the last use"
                )
            secret = credentials.generate(self._session.random_bytes)
            key = self._session.derived_key("app passwords")
            keys = None
            if options.scram:
                keys = scram_rows.keys_for_app(
                    cursor,
                    account.id,
                    secret,
                    self._session.random_bytes,
                    iterations=options.scram_iterations,
                )
            cursor.execute(
                "INSERT INTO app_password (account_id, name, mac, scopes, created_at, scram_stored_key,"
                " scram_server_key) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    account.id,
                    name,
                    logins.make_mac(key, account.id, logins.typed_app_password(secret)),
                    ",".join(wanted),
                    self._session.now(),
                    keys.stored_key if keys else None,
                    keys.server_key if keys else None,
                ),
            )
            return logins.load(cursor, account.id)[-1], secret

    def revoke(self, address: str, name: str) -> list[AppPassword]:
        """Takes one back by its name, or all for ""; open sessions of the account end.

        Raises:
            PermanentFailure: no such account, or no app password of that name.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            known = logins.load(cursor, account.id)
            gone = [one for one in known if not name or one.name.casefold() == name.casefold()]
            if not gone and name:
                there = ", ".join(repr(one.name) for one in known) or "none"
                raise PermanentFailure(f"{account.address} has no app password {name!r}; there is {there}")
            now = self._session.now()
            for one in gone:
                cursor.execute("UPDATE app_password SET revoked_at = ? WHERE id = ?", (now, one.id))
            if gone:
                self._session.end_sessions(cursor, account.id)
            return gone

    def require(self, address: str, only: bool) -> Account:
        """Whether an address takes app passwords only.

        Raises:
            PermanentFailure: no such account, or it has no app password to log in with.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            if only and not logins.load(cursor, account.id):
                raise PermanentFailure(
                    f"{account.address} has no app password, nobody could log in;"
                    f" make one first: 'mailstack apppw add {account.address} --name NAME'"
                )
            cursor.execute("UPDATE account SET app_passwords_only = ? WHERE id = ?", (only, account.id))
            self._session.end_sessions(cursor, account.id)
            return account_of(cursor, account.address)


def _check_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise PermanentFailure(f"the name of an app password has 1 to {MAX_NAME} printable characters")
    return name


def _check_scopes(account: Account, scopes: Sequence[str]) -> tuple[str, ...]:
    allowed = _DEVICE_SCOPES if account.kind == "device" else SCOPES
    for scope in scopes:
        if scope not in SCOPES:
            raise PermanentFailure(f"a scope is one of {', '.join(SCOPES)}, not {scope!r}")
        if scope not in allowed:
            raise PermanentFailure(f"{account.address} is a device and may only submit: --scope smtp")
    return tuple(scope for scope in allowed if not scopes or scope in scopes)
