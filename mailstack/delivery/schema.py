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
    # Lanes: what the daemon takes from by turns.  `next_at` is never later than the first due
    # row's, whoever changes a row; a claim sets it right.
    """
    CREATE TABLE lane (
        id INTEGER PRIMARY KEY,
        destination TEXT NOT NULL,
        rank INTEGER NOT NULL,
        sender TEXT NOT NULL,
        next_at REAL,
        UNIQUE (destination, rank, sender)
    );
    CREATE INDEX lane_due ON lane (rank, sender, next_at) WHERE next_at IS NOT NULL;
    CREATE INDEX lane_next ON lane (next_at) WHERE next_at IS NOT NULL;
    ALTER TABLE message ADD COLUMN rank INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE recipient ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
    INSERT INTO lane (destination, rank, sender, next_at)
        SELECT r.destination, 1, '(' || m.kind || ') ' || m.origin,
            MIN(CASE WHEN r.state = 0 THEN r.next_at END)
        FROM recipient r JOIN message m ON m.id = r.message GROUP BY 1, 3;
    UPDATE recipient SET lane = (
        SELECT lane.id FROM message m JOIN lane
        ON lane.destination = recipient.destination AND lane.rank = 1
            AND lane.sender = '(' || m.kind || ') ' || m.origin
        WHERE m.id = recipient.message
    );
    DROP INDEX recipient_due;
    CREATE INDEX recipient_lane ON recipient (lane, next_at) WHERE state = 0;
    CREATE TRIGGER recipient_waits AFTER INSERT ON recipient WHEN NEW.state = 0 BEGIN
        UPDATE lane SET next_at = NEW.next_at
            WHERE id = NEW.lane AND (next_at IS NULL OR next_at > NEW.next_at);
    END;
    CREATE TRIGGER recipient_waits_again AFTER UPDATE OF state, next_at, lane ON recipient
        WHEN NEW.state = 0
    BEGIN
        UPDATE lane SET next_at = NEW.next_at
            WHERE id = NEW.lane AND (next_at IS NULL OR next_at > NEW.next_at);
    END;
    """,
    # Reports that nobody can be given: the postmaster gets a list of them (`undelivered`).
    """
    CREATE TABLE undelivered (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        address TEXT NOT NULL,
        subject TEXT NOT NULL,
        reply TEXT NOT NULL
    );
    """,
    # Whether this server said so itself, of a host that was asked.
    """
    ALTER TABLE recipient ADD COLUMN is_ours INTEGER NOT NULL DEFAULT 0;
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
