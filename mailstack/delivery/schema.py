"""The queue's tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from mailstack.disk import migrations
from mailstack.disk.sqlite import open_database, transaction

#: Values of recipient.state.  The numbers stand in the database.
WAITING, RUNNING, DELIVERED, FAILED, HELD = range(5)
#: States in which a recipient keeps its message in the queue.
ACTIVE = (WAITING, RUNNING, HELD)

STATE_NAMES = {
    WAITING: "waiting",
    RUNNING: "running",
    DELIVERED: "delivered",
    FAILED: "failed",
    HELD: "held",
}

#: The indexes on state 0 and 1 are partial, so that what is done or held costs nothing.
SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE meta (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE message (
        id TEXT PRIMARY KEY,
        accept_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        sender TEXT NOT NULL,
        owner TEXT NOT NULL,
        is_sender_verified INTEGER NOT NULL,
        smtputf8 INTEGER NOT NULL,
        body TEXT NOT NULL,
        has_8bit INTEGER NOT NULL,
        has_8bit_header INTEGER NOT NULL,
        ret TEXT NOT NULL,
        envid TEXT NOT NULL,
        size_octets INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        created_at REAL NOT NULL,
        held INTEGER NOT NULL DEFAULT 0,
        removed INTEGER NOT NULL DEFAULT 0,
        damage TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    CREATE INDEX message_owner ON message (owner);
    CREATE TABLE recipient (
        number INTEGER PRIMARY KEY,
        message TEXT NOT NULL REFERENCES message (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        address TEXT NOT NULL,
        kind TEXT NOT NULL,
        owner TEXT NOT NULL,
        notify TEXT NOT NULL,
        orcpt TEXT NOT NULL,
        detail TEXT NOT NULL,
        destination TEXT NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        tries INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0,
        next_at REAL NOT NULL,
        last_at REAL NOT NULL,
        waited_s REAL NOT NULL DEFAULT 0,
        delay_told INTEGER NOT NULL DEFAULT 0,
        lease_owner TEXT NOT NULL DEFAULT '',
        lease_until REAL NOT NULL DEFAULT 0,
        host TEXT NOT NULL DEFAULT '',
        code INTEGER NOT NULL DEFAULT 0,
        status TEXT NOT NULL DEFAULT '',
        reply TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX recipient_message ON recipient (message);
    CREATE INDEX recipient_due ON recipient (destination, next_at) WHERE state = 0;
    CREATE INDEX recipient_running ON recipient (lease_owner) WHERE state = 1;
    CREATE TABLE finished (
        id TEXT PRIMARY KEY,
        at REAL NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE message ADD COLUMN requiretls INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE recipient ADD COLUMN original TEXT NOT NULL DEFAULT '';
    """,
    # Holds beyond single messages.  `origin` is who sends: the account, else the envelope sender.
    """
    CREATE TABLE hold (
        scope TEXT NOT NULL,
        name TEXT NOT NULL,
        reason TEXT NOT NULL,
        who TEXT NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (scope, name)
    ) WITHOUT ROWID;
    ALTER TABLE message ADD COLUMN origin TEXT NOT NULL DEFAULT '';
    ALTER TABLE message ADD COLUMN origin_domain TEXT NOT NULL DEFAULT '';
    UPDATE message SET origin = lower(
        CASE WHEN kind IN ('submission', 'vacation') AND owner <> '' THEN owner ELSE sender END
    );
    UPDATE message SET origin_domain = substr(origin, instr(origin, '@') + 1) WHERE origin <> '';
    """,
)


def migrate(path: Path, *, now: Callable[[], float] = time.time) -> bool:
    """Creates or upgrades `queue.db`, and notes when it was made.

    Files older than the database belong to a lost one; recovery needs to know.

    Returns:
        True when something was applied.

    Raises:
        TemporaryFailure: it cannot be written, or is newer than this program.
    """
    connection = open_database(path)
    try:
        applied = migrations.migrate(connection, SCHEMA)
        with transaction(connection, "preparing the queue"):
            connection.execute(
                "INSERT OR IGNORE INTO meta (name, value) VALUES ('made_at', ?)", (repr(now()),)
            )
    finally:
        connection.close()
    return applied
