"""Looks whether `directory.db` is whole: for `mailstack verify`.

Reads only; what it finds has to be repaired from a backup or by hand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from mailstack.directory import credentials, rules, seal
from mailstack.directory.schema import SCHEMA
from mailstack.directory.values import DirectoryPaths, locate
from mailstack.disk import migrations
from mailstack.disk.sqlite import failure, open_database
from mailstack.model.errors import TemporaryFailure


def verify(paths: Path | DirectoryPaths) -> list[str]:
    """What is wrong, a sentence each; empty when all is well.

    Raises:
        TemporaryFailure: it cannot be opened, or its schema is not this program's.
    """
    database, master_key = locate(paths)
    connection = open_database(database, read_only=True)
    try:
        migrations.check(connection, SCHEMA)
        cursor = connection.cursor()
        damage = [f"directory.db: {text}" for text in _damage(cursor)]
        return damage or [
            *_loose_ends(cursor),
            *_bad_hashes(cursor),
            *_bad_secrets(cursor, master_key),
            *rules.damaged(cursor),
        ]
    except sqlite3.Error as error:
        raise failure(error, "checking the directory") from error
    finally:
        connection.close()


def _damage(cursor: sqlite3.Cursor) -> Iterator[str]:
    for (text,) in cursor.execute("PRAGMA integrity_check").fetchall():
        if text != "ok":
            yield text
    for table, *_ in cursor.execute("PRAGMA foreign_key_check").fetchall():
        yield f"a row of {table} points nowhere"


def _loose_ends(cursor: sqlite3.Cursor) -> Iterator[str]:
    """Accounts and aliases in use without their name, and the reverse."""
    for name, id_ in cursor.execute(
        "SELECT a.local || '@' || d.name, a.id FROM account a JOIN domain d ON d.id = a.domain_id"
        " WHERE NOT EXISTS (SELECT 1 FROM address n WHERE n.account_id = a.id)"
    ).fetchall():
        yield f"the account {name} (id {id_}) has no row in the table of names"
    for name, id_ in cursor.execute(
        "SELECT l.local || '@' || d.name, l.id FROM alias l JOIN domain d ON d.id = l.domain_id"
        " WHERE l.removed_at IS NULL AND NOT EXISTS (SELECT 1 FROM address n WHERE n.alias_id = l.id)"
    ).fetchall():
        yield f"the alias {name} (id {id_}) has no row in the table of names"


def _bad_hashes(cursor: sqlite3.Cursor) -> Iterator[str]:
    for hash_, name in cursor.execute(
        "SELECT c.hash, a.local || '@' || d.name FROM credential c JOIN account a ON a.id = c.account_id"
        " JOIN domain d ON d.id = a.domain_id"
    ).fetchall():
        if credentials.parameters_of(hash_) is None:
            yield f"the password hash of {name} is malformed: set a new password"


def _bad_secrets(cursor: sqlite3.Cursor, master_key: Path) -> Iterator[str]:
    sealed = cursor.execute(
        "SELECT 'dkim ' || d.name || ' ' || k.selector, k.sealed, k.master_id FROM dkim_key k"
        " JOIN domain d ON d.id = k.domain_id UNION ALL SELECT 'srs', sealed, master_id FROM srs_secret"
    ).fetchall()
    if not sealed:
        return
    try:
        sealer = seal.load(master_key)
    except TemporaryFailure as error:
        yield error.why
        return
    for belongs_to, secret, master_id in sealed:
        try:
            sealer.open(secret, belongs_to, master_id)
        except TemporaryFailure as error:
            yield error.why
