"""The tables of `directory.db`, as numbered steps.

One table, `address`, holds every name that exists or ever existed, so that no two things
share a name and a removed one is never handed to anybody else.  Rows of removed domains,
accounts and aliases stay, with the time of their removal.

In tables WITHOUT ROWID the columns of the primary key stand first: the integrity_check of
SQLite 3.40 (Debian 12) reports NULL values that are not there otherwise.
"""

from __future__ import annotations

from pathlib import Path

from mailstack.disk import migrations

SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE domain (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        inbound TEXT NOT NULL DEFAULT 'local' CHECK (inbound IN ('local', 'remote', 'follow-mx')),
        unknown TEXT NOT NULL DEFAULT 'refuse' CHECK (unknown IN ('refuse', 'relay')),
        alias_of INTEGER REFERENCES domain (id),
        created_at REAL NOT NULL,
        removed_at REAL
    );
    CREATE TABLE dkim_key (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        domain_id INTEGER NOT NULL REFERENCES domain (id),
        selector TEXT NOT NULL,
        algorithm TEXT NOT NULL CHECK (algorithm IN ('rsa-sha256', 'ed25519-sha256')),
        public TEXT NOT NULL,
        master_id TEXT NOT NULL,
        sealed BLOB NOT NULL,
        created_at REAL NOT NULL,
        retired_at REAL,
        UNIQUE (domain_id, selector)
    );
    CREATE TABLE account (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        local TEXT NOT NULL,
        domain_id INTEGER NOT NULL REFERENCES domain (id),
        kind TEXT NOT NULL DEFAULT 'mailbox'
            CHECK (kind IN ('mailbox', 'device', 'noreply', 'catchall', 'spamtrap')),
        plan TEXT NOT NULL DEFAULT 'normal' CHECK (plan IN ('normal', 'free')),
        name TEXT NOT NULL DEFAULT '',
        quota_octets INTEGER CHECK (quota_octets >= 0),
        enabled INTEGER NOT NULL DEFAULT 1,
        created_at REAL NOT NULL,
        removed_at REAL
    );
    CREATE UNIQUE INDEX account_catchall ON account (domain_id)
        WHERE kind = 'catchall' AND removed_at IS NULL;
    CREATE INDEX account_domain ON account (domain_id);
    CREATE TABLE alias (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        local TEXT NOT NULL,
        domain_id INTEGER NOT NULL REFERENCES domain (id),
        posters TEXT NOT NULL DEFAULT 'all' CHECK (posters IN ('members', 'domain', 'listed', 'all')),
        expires_at REAL,
        created_at REAL NOT NULL,
        removed_at REAL
    );
    CREATE INDEX alias_domain ON alias (domain_id);
    CREATE TABLE alias_target (
        alias_id INTEGER NOT NULL REFERENCES alias (id),
        key TEXT NOT NULL,
        position INTEGER NOT NULL,
        address TEXT NOT NULL,
        PRIMARY KEY (alias_id, key)
    ) WITHOUT ROWID;
    CREATE INDEX alias_target_key ON alias_target (key);
    CREATE TABLE alias_poster (
        alias_id INTEGER NOT NULL REFERENCES alias (id),
        address TEXT NOT NULL,
        PRIMARY KEY (alias_id, address)
    ) WITHOUT ROWID;
    CREATE TABLE address (
        key TEXT PRIMARY KEY,
        account_id INTEGER REFERENCES account (id),
        alias_id INTEGER REFERENCES alias (id),
        CHECK ((account_id IS NULL) != (alias_id IS NULL))
    ) WITHOUT ROWID;
    CREATE INDEX address_account ON address (account_id);
    CREATE INDEX address_alias ON address (alias_id);
    CREATE TABLE identity (
        account_id INTEGER NOT NULL REFERENCES account (id),
        pattern TEXT NOT NULL,
        created_at REAL NOT NULL,
        PRIMARY KEY (account_id, pattern)
    ) WITHOUT ROWID;
    CREATE TABLE redirection (
        account_id INTEGER PRIMARY KEY REFERENCES account (id),
        keep INTEGER NOT NULL,
        created_at REAL NOT NULL
    );
    CREATE TABLE redirection_target (
        account_id INTEGER NOT NULL REFERENCES redirection (account_id) ON DELETE CASCADE,
        address TEXT NOT NULL,
        position INTEGER NOT NULL,
        verified_at REAL,
        paused_at REAL,
        PRIMARY KEY (account_id, address)
    ) WITHOUT ROWID;
    CREATE TABLE filter_settings (
        account_id INTEGER PRIMARY KEY REFERENCES account (id),
        spam INTEGER NOT NULL,
        ads INTEGER NOT NULL,
        spam_folder TEXT NOT NULL,
        promotions_folder TEXT NOT NULL,
        social_folder TEXT NOT NULL
    );
    CREATE TABLE sender_list (
        account_id INTEGER NOT NULL REFERENCES account (id),
        pattern TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('block', 'allow')),
        created_at REAL NOT NULL,
        PRIMARY KEY (account_id, pattern)
    ) WITHOUT ROWID;
    CREATE TABLE sieve_script (
        account_id INTEGER NOT NULL REFERENCES account (id),
        name TEXT NOT NULL,
        source BLOB NOT NULL,
        sha256 TEXT NOT NULL,
        active INTEGER NOT NULL DEFAULT 0,
        changed_at REAL NOT NULL,
        PRIMARY KEY (account_id, name)
    );
    CREATE UNIQUE INDEX sieve_script_active ON sieve_script (account_id) WHERE active = 1;
    CREATE TABLE credential (
        account_id INTEGER PRIMARY KEY REFERENCES account (id),
        hash TEXT NOT NULL,
        changed_at REAL NOT NULL,
        scram_iterations INTEGER,
        scram_salt BLOB,
        scram_stored_key BLOB,
        scram_server_key BLOB
    );
    CREATE TABLE app_password (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account_id INTEGER NOT NULL REFERENCES account (id),
        name TEXT NOT NULL,
        mac BLOB NOT NULL UNIQUE,
        scopes TEXT NOT NULL,
        created_at REAL NOT NULL,
        last_used_at REAL,
        last_used_from TEXT NOT NULL DEFAULT '',
        revoked_at REAL
    );
    CREATE INDEX app_password_account ON app_password (account_id);
    CREATE TABLE person (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        login TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL DEFAULT '',
        hash TEXT NOT NULL DEFAULT '',
        recovery_address TEXT NOT NULL DEFAULT '',
        is_admin INTEGER NOT NULL DEFAULT 0,
        enabled INTEGER NOT NULL DEFAULT 1,
        created_at REAL NOT NULL
    );
    CREATE TABLE account_right (
        person_id INTEGER NOT NULL REFERENCES person (id),
        account_id INTEGER NOT NULL REFERENCES account (id),
        right TEXT NOT NULL CHECK (right IN ('owner', 'read', 'password', 'filters', 'autoresponder', 'log')),
        PRIMARY KEY (person_id, account_id, right)
    ) WITHOUT ROWID;
    CREATE TABLE domain_right (
        person_id INTEGER NOT NULL REFERENCES person (id),
        domain_id INTEGER NOT NULL REFERENCES domain (id),
        right TEXT NOT NULL CHECK (right IN ('owner', 'admin')),
        PRIMARY KEY (person_id, domain_id, right)
    ) WITHOUT ROWID;
    CREATE TABLE srs_secret (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        master_id TEXT NOT NULL,
        sealed BLOB NOT NULL,
        created_at REAL NOT NULL,
        retired_at REAL
    );
    """,
    """
    ALTER TABLE account ADD COLUMN quota_messages INTEGER CHECK (quota_messages >= 0);
    ALTER TABLE account ADD COLUMN spam_days INTEGER CHECK (spam_days >= 0);
    ALTER TABLE account ADD COLUMN trash_days INTEGER CHECK (trash_days >= 0);
    """,
    """
    ALTER TABLE account ADD COLUMN pop3_days INTEGER CHECK (pop3_days >= 1);
    """,
    """
    CREATE TABLE device_network (
        network TEXT PRIMARY KEY,
        account_id INTEGER NOT NULL REFERENCES account (id),
        created_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX device_network_account ON device_network (account_id);
    CREATE TABLE device_recipient (
        account_id INTEGER NOT NULL REFERENCES account (id),
        domain TEXT NOT NULL,
        PRIMARY KEY (account_id, domain)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE sending_rule (
        account_id INTEGER PRIMARY KEY REFERENCES account (id),
        is_list INTEGER NOT NULL DEFAULT 0,
        recipients INTEGER CHECK (recipients >= 1),
        message_octets INTEGER CHECK (message_octets >= 1),
        messages_per_hour INTEGER CHECK (messages_per_hour >= 0),
        messages_per_day INTEGER CHECK (messages_per_day >= 0),
        recipients_per_hour INTEGER CHECK (recipients_per_hour >= 0),
        recipients_per_day INTEGER CHECK (recipients_per_day >= 0),
        new_recipients_per_hour INTEGER CHECK (new_recipients_per_hour >= 0),
        new_recipients_per_day INTEGER CHECK (new_recipients_per_day >= 0)
    );
    """,
    """
    ALTER TABLE account ADD COLUMN login_revision INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN app_passwords_only INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE app_password ADD COLUMN scram_stored_key BLOB;
    ALTER TABLE app_password ADD COLUMN scram_server_key BLOB;
    ALTER TABLE app_password DROP COLUMN last_used_at;
    ALTER TABLE app_password DROP COLUMN last_used_from;
    CREATE UNIQUE INDEX app_password_name ON app_password (account_id, name) WHERE revoked_at IS NULL;
    CREATE TABLE scram_salt (
        account_id INTEGER PRIMARY KEY REFERENCES account (id),
        salt BLOB NOT NULL,
        iterations INTEGER NOT NULL
    );
    """,
    """
    ALTER TABLE account ADD COLUMN language TEXT NOT NULL DEFAULT '';
    ALTER TABLE domain ADD COLUMN language TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE pending_target (
        owner TEXT NOT NULL,
        target TEXT NOT NULL,
        token BLOB NOT NULL,
        asked_at REAL NOT NULL,
        PRIMARY KEY (owner, target)
    ) WITHOUT ROWID;
    ALTER TABLE redirection_target DROP COLUMN verified_at;
    ALTER TABLE redirection_target DROP COLUMN paused_at;
    ALTER TABLE account ADD COLUMN recovery TEXT NOT NULL DEFAULT '';
    """,
    """
    ALTER TABLE account ADD COLUMN time_zone TEXT NOT NULL DEFAULT '';
    ALTER TABLE domain ADD COLUMN time_zone TEXT NOT NULL DEFAULT '';
    CREATE TABLE autoresponse (
        account_id INTEGER NOT NULL REFERENCES account (id),
        name TEXT NOT NULL,
        subject TEXT NOT NULL,
        text TEXT NOT NULL,
        starts TEXT NOT NULL,
        ends TEXT NOT NULL,
        weekdays INTEGER NOT NULL CHECK (weekdays BETWEEN 1 AND 127),
        sender TEXT NOT NULL,
        excluded TEXT NOT NULL,
        active INTEGER NOT NULL DEFAULT 0,
        changed_at REAL NOT NULL,
        PRIMARY KEY (account_id, name)
    );
    CREATE UNIQUE INDEX autoresponse_active ON autoresponse (account_id) WHERE active = 1;
    CREATE TABLE autoresponse_template (
        domain_id INTEGER NOT NULL REFERENCES domain (id),
        name TEXT NOT NULL,
        subject TEXT NOT NULL,
        text TEXT NOT NULL,
        starts TEXT NOT NULL,
        ends TEXT NOT NULL,
        weekdays INTEGER NOT NULL CHECK (weekdays BETWEEN 1 AND 127),
        excluded TEXT NOT NULL,
        hidden INTEGER NOT NULL,
        changed_at REAL NOT NULL,
        PRIMARY KEY (domain_id, name)
    );
    """,
    """
    CREATE TABLE rule (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account_id INTEGER NOT NULL REFERENCES account (id),
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        plan BLOB NOT NULL,
        enabled INTEGER NOT NULL DEFAULT 1,
        template TEXT NOT NULL DEFAULT '',
        changed_at REAL NOT NULL,
        UNIQUE (account_id, name)
    );
    CREATE TABLE rule_template (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        domain_id INTEGER NOT NULL REFERENCES domain (id),
        name TEXT NOT NULL,
        choice BLOB NOT NULL,
        visible INTEGER NOT NULL DEFAULT 1,
        changed_at REAL NOT NULL,
        UNIQUE (domain_id, name)
    );
    """,
    """
    ALTER TABLE dkim_key ADD COLUMN signs_at REAL;
    UPDATE dkim_key SET signs_at = created_at;
    """,
    """
    CREATE TABLE domain_sender (
        domain_id INTEGER NOT NULL REFERENCES domain (id),
        pattern TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('block', 'allow')),
        created_at REAL NOT NULL,
        PRIMARY KEY (domain_id, pattern)
    ) WITHOUT ROWID;
    ALTER TABLE domain ADD COLUMN marks_outside INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE domain ADD COLUMN outside_prefix TEXT NOT NULL DEFAULT '';
    ALTER TABLE domain ADD COLUMN attachments TEXT NOT NULL DEFAULT '';
    ALTER TABLE filter_settings ADD COLUMN ads_offered INTEGER NOT NULL DEFAULT 0;
    """,
    "ALTER TABLE domain ADD COLUMN inside TEXT NOT NULL DEFAULT '';",
)


def migrate(path: Path) -> bool:
    """Creates or upgrades `directory.db`; True when something was applied.

    Raises:
        TemporaryFailure: newer than this program, or it cannot be written.
    """
    return migrations.upgrade(path, SCHEMA)
