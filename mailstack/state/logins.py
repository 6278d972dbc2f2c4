"""Logins that failed in the last hour, and those that went well in the last weeks.

In `state.db`, shared by all daemons and workers, so that guessing over IMAP costs the same
as over SMTP, and one worker knows what another has seen.  Wrong passwords are told apart
by two octets of a keyed hash: enough to count a stale phone once an hour, too little to
find a password with.  Good logins are written down at most every few minutes.

What follows from the numbers is decided here too: how an account is met (`Standing`), and
when a network is banned.  Numbers: section 7 of the limits.
"""

from __future__ import annotations

import hmac
import sqlite3
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailstack.disk.sqlite import failure, open_database, transaction
from mailstack.model.network import network_of
from mailstack.state.ban_options import BanOptions
from mailstack.state.bans import (
    DAY_S,
    Ban,
    Spared,
    ban_network,
    forget_bans,
    last_ban,
    write_ban,
)
from mailstack.state.statedb import StateTable

#: Failures are counted over so many seconds.
WINDOW_S: Final = 3_600.0
#: A good login is written down again after so many seconds.
NOTE_S: Final = 600.0
#: Of a login's name, characters.
MAX_LOGIN: Final = 320
#: Good logins a process remembers to have written.
_NOTED: Final = 20_000
#: Rows looked at to find out whether an account is guessed at.
_ENOUGH: Final = 5_000
_MARK_OCTETS: Final = 2
#: An app password that nobody used for so many days is shown as never used.
_USE_DAYS: Final = 400


@dataclass(frozen=True, slots=True)
class Standing:
    """How a login from a network is to be met.

    Attributes:
        failures: different wrong passwords of this login from this network in the last hour.
        is_guessed_at: wrong passwords for it come from everywhere.
        is_known: the account logged in well from this network lately.
    """

    failures: int = 0
    is_guessed_at: bool = False
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """What a wrong password led to.

    Attributes:
        failures: as in Standing, with this one.
        ban: the one it brought about; None mostly.
        is_widespread: wrong passwords come from all over the wider network (IPv4 /24, IPv6 /48).
    """

    failures: int
    ban: Ban | None = None
    is_widespread: bool = False


@dataclass(frozen=True, slots=True)
class LastUse:
    """When and where from an app password was used last, to a few minutes."""

    at: float
    network: str
    protocol: str


def login_key(login: str) -> str:
    """What a login is counted under, whether or not it exists."""
    known = unicodedata.normalize("NFC", login[:MAX_LOGIN]).casefold()
    return known.encode("utf-8", "replace").decode()


def wide_network(ip: str) -> str:
    """The wider network an address belongs to: what a provider hands out at once."""
    return network_of(ip, 24, 48)


class LoginRecords(StateTable):
    """The tables."""

    def __init__(self, path: Path, options: BanOptions, *, key: bytes) -> None:
        """Takes the thresholds.

        Args:
            path: state.db, already migrated.
            key: secret, the same for all processes.
        """
        super().__init__(path, synchronous="NORMAL")
        self._options = options
        self._spared = Spared(options)
        self._key = key
        self._noted: OrderedDict[tuple[str, int, int], float] = OrderedDict()
        self._noted_lock = threading.Lock()

    def standing(self, login: str, account_id: int | None, ip: str, *, now: float) -> Standing:
        """How this login is to be met.  Blocking, some microseconds.

        Args:
            account_id: None when there is no such account.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        login, network, since = login_key(login), ban_network(ip), now - WINDOW_S
        with self._lock:
            try:
                connection = self._open()
                failures = _count(connection, network, login, since)
                known = connection.execute(
                    "SELECT 1 FROM login_network WHERE network = ? AND account_id = ? AND at > ?",
                    (network, account_id, now - self._options.known_days * DAY_S),
                ).fetchone()
                return Standing(failures, self._is_guessed_at(connection, login, since), known is not None)
            except sqlite3.Error as error:
                raise failure(error, "looking up failed logins") from error

    def failed(self, login: str, ip: str, *, password: bytes, now: float) -> Failed:
        """Counts a wrong password, unless it is the same as one in the last hour.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        login, network = login_key(login), ban_network(ip)
        mark = hmac.digest(self._key, login.encode() + b"\0" + password, "sha256")
        with self._lock, transaction(self._open(), "counting a failed login") as connection:
            connection.execute(
                "DELETE FROM login_failure WHERE at <= ? OR at > ?", (now - WINDOW_S, now + WINDOW_S)
            )
            done = connection.execute(
                "INSERT OR IGNORE INTO login_failure (network, login, mark, at, wide) VALUES (?, ?, ?, ?, ?)",
                (network, login, mark[:_MARK_OCTETS], now, wide_network(ip)),
            )
            failures = _count(connection, network, login, now - WINDOW_S)
            if not done.rowcount or not self._options.enabled or self._spared.why(ip):
                return Failed(failures)
            ban = self._judge(connection, network, now)
            return Failed(failures, ban, self._is_widespread(connection, wide_network(ip), now))

    def succeeded(
        self, account_id: int, ip: str, *, app_password: int | None, protocol: str, now: float
    ) -> None:
        """Writes a good login down; see `is_due`.  From the first by POP3 on, lists of Spam are due.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        network = ban_network(ip)
        with self._lock, transaction(self._open(), "noting a login") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO login_network (network, account_id, at, wide) VALUES (?, ?, ?, ?)",
                (network, account_id, now, wide_network(ip)),
            )
            connection.execute(
                "DELETE FROM login_network WHERE at < ?", (now - self._options.known_days * DAY_S,)
            )
            if protocol == "pop3":
                connection.execute(
                    "INSERT OR IGNORE INTO digest (account_id, at) VALUES (?, ?)", (account_id, now)
                )
            if app_password is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO app_password_use (id, at, network, protocol) VALUES (?, ?, ?, ?)",
                    (app_password, now, network, protocol),
                )

    def is_due(self, account_id: int, ip: str, *, app_password: int | None, now: float) -> bool:
        """True when a good login has to be written; then false for a few minutes.  Never blocks."""
        key = (ban_network(ip), account_id, app_password or 0)
        with self._noted_lock:
            if 0 <= now - self._noted.get(key, -NOTE_S) < NOTE_S:
                return False
            self._noted[key] = now
            self._noted.move_to_end(key)
            if len(self._noted) > _NOTED:
                self._noted.popitem(last=False)
        return True

    def last_uses(self) -> dict[int, LastUse]:
        """By the id of the app password."""
        with self._lock:
            try:
                rows = self._open().execute("SELECT id, at, network, protocol FROM app_password_use")
                return {row[0]: LastUse(*row[1:]) for row in rows}
            except sqlite3.Error as error:
                raise failure(error, "looking up the use of app passwords") from error

    def _is_guessed_at(self, connection: sqlite3.Connection, login: str, since: float) -> bool:
        failures, networks = connection.execute(
            "SELECT count(*), count(DISTINCT network) FROM"
            " (SELECT network FROM login_failure WHERE login = ? AND at > ? LIMIT ?)",
            (login, since, _ENOUGH),
        ).fetchone()
        options = self._options
        return bool(failures > options.account_failures and networks > options.account_networks)

    def _is_widespread(self, connection: sqlite3.Connection, wide: str, now: float) -> bool:
        """As for a network, with five times the numbers; a wide one is never banned."""
        options = self._options
        failures, accounts = connection.execute(
            "SELECT count(*), count(DISTINCT login) FROM"
            " (SELECT login FROM login_failure WHERE wide = ? AND at > ? LIMIT ?)",
            (wide, now - WINDOW_S, _ENOUGH),
        ).fetchone()
        few = failures < options.failures * options.known_factor
        if few and accounts < options.accounts * options.known_factor:
            return False
        good = connection.execute(
            "SELECT count(DISTINCT account_id) FROM login_network WHERE wide = ? AND at > ?",
            (wide, now - options.known_days * DAY_S),
        ).fetchone()[0]
        return bool(accounts >= options.ratio * good)

    def _judge(self, connection: sqlite3.Connection, network: str, now: float) -> Ban | None:
        """Bans the network when it is time."""
        options = self._options
        before = last_ban(connection, network)
        if before is not None and before.holds(now):
            return None  # whoever was connected already
        since = max(now - WINDOW_S, before.since if before is not None and before.since <= now else 0.0)
        failures, accounts = connection.execute(
            "SELECT count(*), count(DISTINCT login) FROM login_failure WHERE network = ? AND at > ?",
            (network, since),
        ).fetchone()
        good = connection.execute(
            "SELECT count(*) FROM login_network WHERE network = ? AND at > ?",
            (network, now - options.known_days * DAY_S),
        ).fetchone()[0]
        factor = options.known_factor if good else 1
        if failures < options.failures * factor and accounts < options.accounts * factor:
            return None
        if accounts < options.ratio * good:
            return None
        forget_bans(connection, now - options.memory_days * DAY_S)
        is_repeated = before is not None and now - before.until < options.memory_days * DAY_S
        step = before.step + 1 if before is not None and is_repeated else 0
        time_s = options.times_s[min(step, len(options.times_s) - 1)]
        why = f"{failures} wrong passwords for {accounts} logins in an hour; {good} accounts logged in well"
        ban = Ban(network, now, now + time_s, step, why, is_by_operator=False)
        write_ban(connection, ban)
        return ban


def purge(path: Path, options: BanOptions, *, now: float) -> int:
    """Removes what counts no more; gives how many rows.

    Raises:
        TemporaryFailure: the database cannot be written.
    """
    connection = open_database(path, synchronous="NORMAL")
    try:
        with transaction(connection, "removing old failed logins"):
            return sum(
                connection.execute(f"DELETE FROM {table} WHERE {column} < ?", (now - age_s,)).rowcount  # noqa: S608
                for table, column, age_s in (
                    ("login_failure", "at", WINDOW_S),
                    ("login_network", "at", options.known_days * DAY_S),
                    ("ban", "until", options.memory_days * DAY_S),
                    ("app_password_use", "at", _USE_DAYS * DAY_S),
                )
            )
    finally:
        connection.close()


def _count(connection: sqlite3.Connection, network: str, login: str, since: float) -> int:
    return int(
        connection.execute(
            "SELECT count(*) FROM login_failure WHERE network = ? AND login = ? AND at > ?",
            (network, login, since),
        ).fetchone()[0]
    )
