"""`state.db`: its schema, and what every table in it does.

Imports: disk.  Blocking.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from mailstack.disk import migrations
from mailstack.disk.sqlite import Synchronous, failure, open_database

SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE srs_sender (
        key TEXT PRIMARY KEY,
        sender TEXT NOT NULL,
        seen_at REAL NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE share (
        person TEXT NOT NULL,
        owner TEXT NOT NULL,
        PRIMARY KEY (person, owner)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE guessing (
        client TEXT PRIMARY KEY,
        since REAL NOT NULL,
        unknown INTEGER NOT NULL,
        good INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE trap_hit (
        network TEXT NOT NULL,
        at REAL NOT NULL,
        trap TEXT NOT NULL,
        PRIMARY KEY (network, at, trap)
    ) WITHOUT ROWID;
    CREATE TABLE wanted (
        name TEXT PRIMARY KEY,
        at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE greylist (
        triplet BLOB PRIMARY KEY,
        first_at REAL NOT NULL,
        seen_at REAL NOT NULL,
        passed INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE sent (
        account_id INTEGER NOT NULL,
        minute INTEGER NOT NULL,
        messages INTEGER NOT NULL,
        recipients INTEGER NOT NULL,
        new_recipients INTEGER NOT NULL,
        PRIMARY KEY (account_id, minute)
    ) WITHOUT ROWID;
    CREATE TABLE correspondent (
        account_id INTEGER NOT NULL,
        address TEXT NOT NULL,
        first_at REAL NOT NULL,
        last_at REAL NOT NULL,
        PRIMARY KEY (account_id, address)
    ) WITHOUT ROWID;
    CREATE INDEX correspondent_last ON correspondent (last_at);
    CREATE TABLE sending_notice (
        account_id INTEGER NOT NULL,
        about TEXT NOT NULL,
        told_at REAL NOT NULL,
        PRIMARY KEY (account_id, about)
    ) WITHOUT ROWID;
    CREATE TABLE sending_start (at REAL NOT NULL);
    INSERT INTO sending_start (at) VALUES (CAST(strftime('%s', 'now') AS REAL));
    """,
    """
    CREATE TABLE login_failure (
        network TEXT NOT NULL,
        login TEXT NOT NULL,
        mark BLOB NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (network, login, mark)
    ) WITHOUT ROWID;
    CREATE INDEX login_failure_login ON login_failure (login, at);
    CREATE INDEX login_failure_at ON login_failure (at);
    CREATE TABLE login_network (
        network TEXT NOT NULL,
        account_id INTEGER NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (network, account_id)
    ) WITHOUT ROWID;
    CREATE INDEX login_network_at ON login_network (at);
    CREATE TABLE ban (
        network TEXT PRIMARY KEY,
        since REAL NOT NULL,
        until REAL NOT NULL,
        step INTEGER NOT NULL,
        why TEXT NOT NULL,
        operator INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE app_password_use (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        network TEXT NOT NULL,
        protocol TEXT NOT NULL
    );
    """,
    """
    ALTER TABLE login_failure ADD COLUMN wide TEXT NOT NULL DEFAULT '';
    CREATE INDEX login_failure_wide ON login_failure (wide, at);
    ALTER TABLE login_network ADD COLUMN wide TEXT NOT NULL DEFAULT '';
    CREATE INDEX login_network_wide ON login_network (wide, at);
    """,
    """
    CREATE TABLE tls_policy (
        day TEXT NOT NULL,
        domain TEXT NOT NULL,
        mark BLOB NOT NULL,
        kind TEXT NOT NULL,
        strings TEXT NOT NULL,
        mx TEXT NOT NULL,
        successes INTEGER NOT NULL,
        PRIMARY KEY (day, domain, mark)
    ) WITHOUT ROWID;
    CREATE TABLE tls_failure (
        day TEXT NOT NULL,
        domain TEXT NOT NULL,
        mark BLOB NOT NULL,
        result TEXT NOT NULL,
        mx_host TEXT NOT NULL,
        our_ip TEXT NOT NULL,
        their_ip TEXT NOT NULL,
        reason TEXT NOT NULL,
        sessions INTEGER NOT NULL,
        PRIMARY KEY (day, domain, mark, result, mx_host, our_ip, their_ip, reason)
    ) WITHOUT ROWID;
    CREATE TABLE mta_sts (
        domain TEXT PRIMARY KEY,
        policy_id TEXT NOT NULL,
        policy TEXT NOT NULL,
        fetched_at REAL NOT NULL,
        expires_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE tls_level (
        domain TEXT NOT NULL,
        level INTEGER NOT NULL,
        since REAL NOT NULL,
        last_at REAL NOT NULL,
        sessions INTEGER NOT NULL,
        PRIMARY KEY (domain, level)
    ) WITHOUT ROWID;
    CREATE INDEX tls_level_last ON tls_level (last_at);
    CREATE TABLE tls_fall (
        domain TEXT NOT NULL,
        at REAL NOT NULL,
        held INTEGER NOT NULL,
        level INTEGER NOT NULL,
        host TEXT NOT NULL,
        told INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (domain, at)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE forward_target (
        owner TEXT NOT NULL,
        target TEXT NOT NULL,
        failures INTEGER NOT NULL DEFAULT 0,
        unknown INTEGER NOT NULL DEFAULT 0,
        why TEXT NOT NULL DEFAULT '',
        failed_at REAL,
        paused_at REAL,
        probe_at REAL,
        told_at REAL,
        PRIMARY KEY (owner, target)
    ) WITHOUT ROWID;
    CREATE TABLE withheld (
        id INTEGER PRIMARY KEY,
        account_id INTEGER NOT NULL,
        at REAL NOT NULL,
        target TEXT NOT NULL,
        sender TEXT NOT NULL,
        subject TEXT NOT NULL,
        folder TEXT NOT NULL,
        why TEXT NOT NULL
    );
    CREATE INDEX withheld_account ON withheld (account_id, at);
    CREATE TABLE passed_on (
        mark BLOB PRIMARY KEY,
        at REAL NOT NULL,
        times INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX passed_on_at ON passed_on (at);
    """,
    """
    CREATE TABLE dmarc_policy (
        day TEXT NOT NULL,
        domain TEXT NOT NULL,
        published TEXT NOT NULL,
        seen_at REAL NOT NULL,
        PRIMARY KEY (day, domain)
    ) WITHOUT ROWID;
    CREATE TABLE dmarc_row (
        day TEXT NOT NULL,
        domain TEXT NOT NULL,
        mark BLOB NOT NULL,
        facts TEXT NOT NULL,
        messages INTEGER NOT NULL,
        PRIMARY KEY (day, domain, mark)
    ) WITHOUT ROWID;
    CREATE TABLE report_sent (
        kind TEXT NOT NULL,
        day TEXT NOT NULL,
        domain TEXT NOT NULL,
        target TEXT NOT NULL,
        outcome TEXT NOT NULL,
        why TEXT NOT NULL,
        queue_id TEXT NOT NULL,
        at REAL NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (kind, day, domain, target)
    ) WITHOUT ROWID;
    CREATE TABLE contained (
        account_id INTEGER PRIMARY KEY,
        since REAL NOT NULL,
        score REAL NOT NULL,
        why TEXT NOT NULL,
        held_at REAL,
        told_at REAL,
        released_at REAL
    );
    CREATE TABLE bounced (
        account_id INTEGER NOT NULL,
        minute INTEGER NOT NULL,
        recipients INTEGER NOT NULL,
        PRIMARY KEY (account_id, minute)
    ) WITHOUT ROWID;
    CREATE TABLE sending_network (
        account_id INTEGER NOT NULL,
        network TEXT NOT NULL,
        first_at REAL NOT NULL,
        last_at REAL NOT NULL,
        PRIMARY KEY (account_id, network)
    ) WITHOUT ROWID;
    CREATE INDEX sending_network_last ON sending_network (last_at);
    """,
    """
    ALTER TABLE mta_sts ADD COLUMN used_at REAL NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE sieve_mark (
        account_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        mark BLOB NOT NULL,
        who TEXT NOT NULL DEFAULT '',
        at REAL NOT NULL,
        until REAL NOT NULL,
        PRIMARY KEY (account_id, kind, mark)
    ) WITHOUT ROWID;
    CREATE INDEX sieve_mark_until ON sieve_mark (until);
    CREATE TABLE sieve_spent (
        account_id INTEGER NOT NULL,
        what TEXT NOT NULL,
        minute INTEGER NOT NULL,
        amount REAL NOT NULL,
        PRIMARY KEY (account_id, what, minute)
    ) WITHOUT ROWID;
    CREATE TABLE sieve_failure (
        account_id INTEGER NOT NULL,
        script TEXT NOT NULL,
        version BLOB NOT NULL,
        why TEXT NOT NULL,
        first_at REAL NOT NULL,
        last_at REAL NOT NULL,
        times INTEGER NOT NULL,
        deaths INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (account_id, script)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE sieve_mark ADD COLUMN handle TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE sender_history (
        account_id INTEGER NOT NULL,
        sender BLOB NOT NULL,
        first_at REAL NOT NULL,
        last_at REAL NOT NULL,
        days INTEGER NOT NULL,
        PRIMARY KEY (account_id, sender)
    ) WITHOUT ROWID;
    CREATE INDEX sender_history_last ON sender_history (last_at);
    CREATE TABLE digest (
        account_id INTEGER PRIMARY KEY,
        at REAL NOT NULL
    );
    """,
    """
    CREATE TABLE feedback (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        account_id INTEGER NOT NULL,
        at REAL NOT NULL,
        what TEXT NOT NULL,
        message TEXT NOT NULL,
        folder TEXT NOT NULL,
        uid INTEGER NOT NULL,
        source TEXT NOT NULL,
        target TEXT NOT NULL
    );
    CREATE INDEX feedback_account ON feedback (account_id, number);
    """,
    """
    CREATE TABLE signed_copy (
        domain TEXT NOT NULL,
        body TEXT NOT NULL,
        hour INTEGER NOT NULL,
        copies INTEGER NOT NULL,
        PRIMARY KEY (hour, domain, body)
    ) WITHOUT ROWID;
    """,
)


def migrate(path: Path) -> bool:
    """Creates or upgrades `state.db`."""
    return migrations.upgrade(path, SCHEMA)


#: Others hold the database for milliseconds; mail and logins do not wait for one who does not let go.
BUSY_TIMEOUT_S = 2.0


class StateTable:
    """A table; thread-safe; opened at first use, because few processes ever look into it."""

    def __init__(self, path: Path, *, synchronous: Synchronous = "FULL") -> None:
        """Takes the database.

        Args:
            path: state.db, already migrated.
            synchronous: NORMAL for what may be a second old after a power cut.
        """
        self._path = path
        self._synchronous: Synchronous = synchronous
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._looking = threading.Lock()
        self._viewer: sqlite3.Connection | None = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_database(
                self._path, synchronous=self._synchronous, timeout_s=BUSY_TIMEOUT_S
            )
            migrations.check(self._connection, SCHEMA)
        return self._connection

    def _read(self, doing: str, statement: str, *values: object) -> list[tuple[object, ...]]:
        """All rows of a query; TemporaryFailure, which begins with `doing`, when there is trouble."""
        with self._lock:
            try:
                return self._open().execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise failure(error, doing, self._path) from error

    def _look(self, doing: str, statement: str, *values: object) -> list[tuple[object, ...]]:
        """As `_read`, for the event loop: it waits for nobody who writes, not here either."""
        with self._looking:
            try:
                if self._viewer is None:
                    viewer = open_database(self._path, read_only=True, timeout_s=BUSY_TIMEOUT_S)
                    migrations.check(viewer, SCHEMA)
                    self._viewer = viewer
                return self._viewer.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise failure(error, doing, self._path) from error

    def close(self) -> None:
        """Releases the database."""
        with self._lock, self._looking:
            for connection in (self._connection, self._viewer):
                if connection is not None:
                    connection.close()
            self._connection = self._viewer = None
