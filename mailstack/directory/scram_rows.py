"""What SCRAM needs to know of an account's password, beside its hash.

Standards: RFC 5802 section 3, RFC 7677.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Callable

from mailstack.model.secret import Keys, Verifier
from mailstack.sasl import scram

SALT_OCTETS = 16


def verifier(cursor: sqlite3.Cursor, account_id: int) -> Verifier | None:
    """The stored one; without keys when the password was set without; None: there is no password."""
    row = cursor.execute(
        "SELECT scram_salt, scram_iterations, scram_stored_key, scram_server_key"
        " FROM credential WHERE account_id = ?",
        (account_id,),
    ).fetchone()
    if row is None:
        return None
    if None in row:
        return Verifier(b"", 0)
    return Verifier(row[0], row[1], (Keys(row[2], row[3]),))


def store(
    cursor: sqlite3.Cursor,
    account_id: int,
    password: str,
    random_bytes: Callable[[int], bytes],
    *,
    iterations: int,
) -> None:
    """Makes and keeps the keys of a new password; the account has a row of credentials.

    One salt and count serve all passwords of an account, so that a client may log in with
    any of them: they are new only when the password is.
    """
    salt = random_bytes(SALT_OCTETS)
    keys = scram.make_keys(unicodedata.normalize("NFC", password), salt, iterations)
    cursor.execute(
        "UPDATE credential SET scram_iterations = ?, scram_salt = ?, scram_stored_key = ?,"
        " scram_server_key = ? WHERE account_id = ?",
        (iterations, salt, keys.stored_key, keys.server_key, account_id),
    )
