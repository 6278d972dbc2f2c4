"""What the writing repositories share: connection, transaction, clock, chance, keys."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import assert_never

from mailstack.directory import rows, seal
from mailstack.directory.options import AuthOptions
from mailstack.disk.sqlite import transaction
from mailstack.model.address import Address
from mailstack.model.directory import Account, Alias, Gone
from mailstack.model.errors import PermanentFailure


class Session:
    """One writing connection.

    Attributes:
        now: gives Unix seconds.
        random_bytes: gives as many random octets.
        options: section `[auth]`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        master_key: Path,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        options: AuthOptions,
    ) -> None:
        self.connection = connection
        self.now = now
        self.random_bytes = random_bytes
        self.options = options
        self._master_key = master_key
        self._sealer: seal.Sealer | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """All or nothing; inside another one, part of it.

        Raises:
            TemporaryFailure: the database cannot be written now.
        """
        if self.connection.in_transaction:
            yield self.connection.cursor()
            return
        with transaction(self.connection, "changing the directory"):
            yield self.connection.cursor()

    def sealed(self, secret: bytes, belongs_to: str) -> tuple[str, bytes]:
        """Master key id and ciphertext of a secret.

        Raises:
            TemporaryFailure: the master key cannot be read.
        """
        if self._sealer is None:
            self._sealer = seal.load(self._master_key)
        return self._sealer.master_id, self._sealer.seal(secret, belongs_to, self.random_bytes)

    def derived_key(self, purpose: str) -> bytes:
        """A key of this instance for one purpose.

        Raises:
            TemporaryFailure: the master key cannot be read.
        """
        if self._sealer is None:
            self._sealer = seal.load(self._master_key)
        return self._sealer.derive(purpose)

    def end_sessions(self, cursor: sqlite3.Cursor, account_id: int) -> None:
        """Open sessions of an account end within a second (A15, A16)."""
        cursor.execute("UPDATE account SET login_revision = login_revision + 1 WHERE id = ?", (account_id,))


def domain_id(cursor: sqlite3.Cursor, name: str, *, may_be_alias: bool = False) -> int:
    """The row of a domain of ours.

    Raises:
        PermanentFailure: there is none (1.2), or it only mirrors another.
    """
    row = cursor.execute(
        "SELECT d.id, t.name FROM domain d LEFT JOIN domain t ON t.id = d.alias_of"
        " WHERE d.name = ? AND d.removed_at IS NULL",
        (name,),
    ).fetchone()
    if row is None:
        raise PermanentFailure(
            f"{name} is not a domain of this server; add it with 'mailstack domain add {name}'", status="1.2"
        )
    if row[1] is not None and not may_be_alias:
        raise PermanentFailure(f"{name} mirrors {row[1]}; make the address there")
    return int(row[0])


def account_of(cursor: sqlite3.Cursor, address: Address) -> Account:
    """The account with this address.

    Raises:
        PermanentFailure: there is none (1.1); the sentence says what is there instead.
    """
    return expect_account(rows.find(cursor, address), address)


def expect_account(found: Account | Alias | Gone | None, address: Address) -> Account:
    """What was found, if it is an account.

    Raises:
        PermanentFailure: it is not (1.1); the sentence says what it is.
    """
    match found:
        case Account():
            return found
        case Alias(targets=targets):
            why = f"{address} is an alias of {', '.join(targets[:3])}, not an account"
        case Gone():
            why = f"{address} was removed; 'mailstack user restore {address}' brings it back"
        case None:
            why = f"there is no address {address}"
        case _:
            assert_never(found)
    raise PermanentFailure(why, status="1.1")


def check_free(cursor: sqlite3.Cursor, address: Address, targets: Iterable[Address] = ()) -> None:
    """Says in words who has a name already.

    Args:
        targets: those of an alias to be made.

    Raises:
        PermanentFailure: it exists, existed as an account, or was a temporary alias of
            others than `targets`.
    """
    row = cursor.execute("SELECT account_id, alias_id FROM address WHERE key = ?", (address.key,)).fetchone()
    if row is None:
        return
    match rows.find(cursor, address):
        case Account():
            raise PermanentFailure(f"{address} exists already")
        case Alias() as alias:
            where = ", ".join(alias.targets[:3])
            how = "'mailstack alias add --replace' changes it"
            raise PermanentFailure(f"{address} exists already, as an alias of {where}; {how}")
        case Gone() if row[0] is not None:
            raise PermanentFailure(
                f"{address} belonged to somebody and was removed; it is not given to anybody else,"
                f" only back: 'mailstack user restore {address}'"
            )
        case _:
            _check_former(cursor, row[1], address, targets)


def _check_former(
    cursor: sqlite3.Cursor, alias_id: int, address: Address, targets: Iterable[Address]
) -> None:
    """A temporary alias was one person's; after its removal it comes back to nobody else."""
    row = cursor.execute("SELECT expires_at FROM alias WHERE id = ?", (alias_id,)).fetchone()
    if row[0] is None:
        return
    former = cursor.execute("SELECT key FROM alias_target WHERE alias_id = ?", (alias_id,)).fetchall()
    if {key for (key,) in former} != {target.key for target in targets}:
        raise PermanentFailure(
            f"{address} was a temporary alias of somebody; it is not given to anybody else"
        )


def check_target(cursor: sqlite3.Cursor, address: Address) -> None:
    """Refuses a target in a domain of ours that does not exist: a typing mistake.

    Raises:
        PermanentFailure: no such address here (1.1).
    """
    domain = rows.domain(cursor, address.domain)
    if domain is None or domain.inbound != "local" or domain.unknown == "relay":
        return
    home = Address(address.local, domain.alias_of) if domain.alias_of else address
    base = Address(home.local.partition("+")[0] or home.local, home.domain)
    for name in (home, base):
        found = rows.find(cursor, name)
        if isinstance(found, Account | Alias):
            return
        if isinstance(found, Gone):
            raise PermanentFailure(f"the target {address} was removed", status="1.1")
    if home.local.lower() in ("postmaster", "abuse"):
        return
    raise PermanentFailure(f"the target {address} does not exist on this server", status="1.1")
