"""What SCRAM needs to know of an account's passwords, beside what they are checked with.

One salt and count serve all passwords of an account, its own and the app passwords, so
that a client may log in with any of them (RFC 5802 section 5: the server names the salt
before it knows which one is meant).  They are new with a new password unless there are
app passwords, whose keys could not be made again.

Standards: RFC 5802 section 3, RFC 7677.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from mailstack.model.secret import Keys, Verifier
from mailstack.sasl import scram

SALT_OCTETS = 16

_OWN = (
    "SELECT scram_salt, scram_iterations, scram_stored_key, scram_server_key"
    " FROM credential WHERE account_id = ?"
)
_OF_APPS = (
    "SELECT scram_stored_key, scram_server_key FROM app_password"
    " WHERE account_id = ? AND revoked_at IS NULL AND scram_stored_key IS NOT NULL ORDER BY id"
)


def verifier(cursor: sqlite3.Cursor, account_id: int) -> Verifier | None:
    """The stored one; without keys when all was set without; None: there is no password."""
    own = cursor.execute(_OWN, (account_id,)).fetchone()
    common = cursor.execute(
        "SELECT salt, iterations FROM scram_salt WHERE account_id = ?", (account_id,)
    ).fetchone()
    apps = [Keys(*row) for row in cursor.execute(_OF_APPS, (account_id,)).fetchall()]
    if common is None or not apps:
        if own is None:
            return None
        return Verifier(b"", 0) if None in own else Verifier(own[0], own[1], (Keys(own[2], own[3]),))
    keys = [Keys(own[2], own[3])] if own is not None and tuple(own[:2]) == tuple(common) else []
    return Verifier(common[0], common[1], (*keys, *apps))


def own_keys(cursor: sqlite3.Cursor, account_id: int) -> Keys | None:
    """Those of the address's own password."""
    row = cursor.execute(_OWN, (account_id,)).fetchone()
    return None if row is None or None in row else Keys(row[2], row[3])


def store(
    cursor: sqlite3.Cursor,
    account_id: int,
    password: str,
    random_bytes: Callable[[int], bytes],
    *,
    iterations: int,
) -> None:
    """Makes and keeps the keys of a new password; the account has a row of credentials."""
    if cursor.execute(_OF_APPS, (account_id,)).fetchone() is None:
        cursor.execute("DELETE FROM scram_salt WHERE account_id = ?", (account_id,))
    salt, count = _salt(cursor, account_id, random_bytes, iterations)
    keys = scram.make_keys(password, salt, count)
    cursor.execute(
        "UPDATE credential SET scram_iterations = ?, scram_salt = ?, scram_stored_key = ?,"
        " scram_server_key = ? WHERE account_id = ?",
        (count, salt, keys.stored_key, keys.server_key, account_id),
    )


def keys_for_app(
    cursor: sqlite3.Cursor,
    account_id: int,
    password: str,
    random_bytes: Callable[[int], bytes],
    *,
    iterations: int,
) -> Keys:
    """The keys of a new app password."""
    salt, count = _salt(cursor, account_id, random_bytes, iterations)
    return scram.make_keys(password, salt, count)


def _salt(
    cursor: sqlite3.Cursor, account_id: int, random_bytes: Callable[[int], bytes], iterations: int
) -> tuple[bytes, int]:
    """The account's salt and count: what it has, else what its own password has, else new ones."""
    found = cursor.execute(
        "SELECT salt, iterations FROM scram_salt WHERE account_id = ? UNION ALL"
        " SELECT scram_salt, scram_iterations FROM credential"
        " WHERE account_id = ? AND scram_salt IS NOT NULL LIMIT 1",
        (account_id, account_id),
    ).fetchone()
    salt, count = found if found is not None else (random_bytes(SALT_OCTETS), iterations)
    cursor.execute(
        "INSERT OR REPLACE INTO scram_salt (account_id, salt, iterations) VALUES (?, ?, ?)",
        (account_id, salt, count),
    )
    return bytes(salt), int(count)
