"""How the targets of forwards take what is sent on to them; which of them are paused.

One row for an address here and a target outside, whatever sends the mail on: a redirection,
a group, a rule.  Rows are made by a refusal, or when a rule's target is first used; one
message the target takes forgets its refusals.

In `state.db`.  A commit is not waited for: a power failure may forget the last refusals.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailstack.disk.sqlite import open_database, transaction
from mailstack.model.address import Address
from mailstack.state.forward_options import ForwardOptions
from mailstack.state.statedb import StateTable

#: Rows of targets that did not refuse in so many days are forgotten, unless somebody paused them.
KEEP_DAYS = 365
#: A list of what was not sent on that could not be sent is not tried for longer.
WITHHELD_DAYS = 20
_DAY_S = 86_400
_MAX_WHY = 400

_ONE = "WHERE owner = ? AND target = ?"
_COLUMNS = "owner, target, failures, unknown, why, failed_at, paused_at, probe_at"


@dataclass(frozen=True, slots=True)
class TargetState:
    """What is known of one target.

    Attributes:
        owner, target: address keys: who forwards, and where to.
        failures: refusals in a row; `unknown`: those that said there is no such address.
        why: the last refusal, or why somebody paused it.
        failed_at: of the last refusal; None: none.
        paused_at: None while mail is sent on.
        probe_at: when the next message is let through as a test; None: never.
    """

    owner: str
    target: str
    failures: int = 0
    unknown: int = 0
    why: str = ""
    failed_at: float | None = None
    paused_at: float | None = None
    probe_at: float | None = None


class ForwardTargets(StateTable):
    """The table; thread-safe."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="NORMAL")

    def find(self, owner: Address, target: Address) -> TargetState | None:
        """What is known of one target; None: nothing speaks against it.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        found = self._ask("owner = ? AND target = ?", owner.key, target.key)
        return found[0] if found else None

    def of(self, owner: Address) -> list[TargetState]:
        """All that is known of an address's targets.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        return self._ask("owner = ? ORDER BY target", owner.key)

    def forwarders(self, target: Address) -> list[str]:
        """Keys of addresses whose rules have sent mail to a target, or that it refused.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        return [one.owner for one in self._ask("target = ?", target.key)]

    def paused(self) -> list[TargetState]:
        """Every target that is paused.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        return self._ask("paused_at IS NOT NULL ORDER BY owner, target")

    def failed(
        self,
        owner: Address,
        target: Address,
        *,
        why: str,
        is_unknown: bool,
        options: ForwardOptions,
        now: float,
    ) -> TargetState | None:
        """Counts a refusal for good; gives the target when this one paused it.

        Args:
            why: the far server's words.
            is_unknown: it said that there is no such address.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "noting a refused forward") as connection:
            connection.execute(
                "INSERT INTO forward_target (owner, target, failures, unknown, why, failed_at)"
                " VALUES (?, ?, 1, ?, ?, ?) ON CONFLICT (owner, target) DO UPDATE SET"
                " failures = failures + 1, unknown = unknown + excluded.unknown, why = excluded.why,"
                " failed_at = excluded.failed_at",
                (owner.key, target.key, int(is_unknown), why[:_MAX_WHY], now),
            )
            paused = connection.execute(
                f"UPDATE forward_target SET paused_at = ?, probe_at = ? {_ONE}"  # noqa: S608
                f" AND paused_at IS NULL AND (failures >= ? OR unknown >= ?) RETURNING {_COLUMNS}",
                (
                    now,
                    now + options.probe_s,
                    owner.key,
                    target.key,
                    options.pause_after,
                    options.pause_after_unknown,
                ),
            ).fetchall()
        return TargetState(*paused[0]) if paused else None

    def taken(self, owner: Address, target: Address) -> bool:
        """The target took a message: its refusals are forgotten; True when that ended a pause.

        A pause that an operator made without tests stays.

        Raises:
            TemporaryFailure: the database cannot be read or written.
        """
        known = self.find(owner, target)
        if known is None or not known.failures or (known.paused_at is not None and known.probe_at is None):
            return False
        return self._reset(owner, target) and known.paused_at is not None

    def pause(self, owner: Address, target: Address, *, why: str, now: float) -> None:
        """Pauses a target until `resume`; no message is let through as a test.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "pausing a target") as connection:
            connection.execute(
                "INSERT INTO forward_target (owner, target, why, paused_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (owner, target) DO UPDATE SET why = excluded.why,"
                " paused_at = excluded.paused_at, probe_at = NULL",
                (owner.key, target.key, why[:_MAX_WHY], now),
            )

    def resume(self, owner: Address, target: Address) -> bool:
        """Ends a pause and forgets refusals; False when there was none of either.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        return self._reset(owner, target)

    def probe(self, owner: Address, target: Address, *, options: ForwardOptions, now: float) -> bool:
        """Takes the test that is due, if one is; the next follows after `probe_s`.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "testing a paused target") as connection:
            done = connection.execute(
                "UPDATE forward_target SET probe_at = ? WHERE owner = ? AND target = ?"
                " AND paused_at IS NOT NULL AND probe_at <= ?",
                (now + options.probe_s, owner.key, target.key, now),
            )
            return done.rowcount > 0

    def may_tell(self, owner: Address, target: Address, now: float) -> bool:
        """True the first time: the owner is to be told that mail goes there.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "noting a new target") as connection:
            done = connection.execute(
                "INSERT INTO forward_target (owner, target, told_at) VALUES (?, ?, ?)"
                " ON CONFLICT (owner, target) DO UPDATE SET told_at = excluded.told_at"
                " WHERE told_at IS NULL",
                (owner.key, target.key, now),
            )
            return done.rowcount > 0

    def forget(self, owner: Address) -> None:
        """The address forwards no more.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "forgetting targets") as connection:
            connection.execute("DELETE FROM forward_target WHERE owner = ?", (owner.key,))

    def _reset(self, owner: Address, target: Address) -> bool:
        with self._lock, transaction(self._open(), "resuming a target") as connection:
            done = connection.execute(
                "UPDATE forward_target SET failures = 0, unknown = 0, why = '', failed_at = NULL,"
                " paused_at = NULL, probe_at = NULL WHERE owner = ? AND target = ?"
                " AND (failures > 0 OR paused_at IS NOT NULL)",
                (owner.key, target.key),
            )
            return done.rowcount > 0

    def _ask(self, where: str, *values: str) -> list[TargetState]:
        rows = self._look(
            "looking up targets of forwards",
            f"SELECT {_COLUMNS} FROM forward_target WHERE {where}",  # noqa: S608
            *values,
        )
        return [TargetState(*row) for row in rows]  # type: ignore[arg-type]


def purge(path: Path, options: ForwardOptions, *, now: float) -> int:
    """Removes what counts no more of this table and its neighbours; gives how many rows.

    Raises:
        TemporaryFailure: the database cannot be written.
    """
    jobs = (
        (
            "forward_target",
            "(paused_at IS NULL OR probe_at IS NOT NULL)"
            " AND max(coalesce(failed_at, 0), coalesce(told_at, 0)) < ?",
            KEEP_DAYS,
        ),
        ("passed_on", "at < ?", options.same_message_s / _DAY_S),
        ("withheld", "at < ?", WITHHELD_DAYS),
    )
    connection = open_database(path, synchronous="NORMAL")
    try:
        with transaction(connection, "removing what is old about forwards"):
            return sum(
                connection.execute(f"DELETE FROM {table} WHERE {where}", (now - days * _DAY_S,)).rowcount  # noqa: S608
                for table, where, days in jobs
            )
    finally:
        connection.close()
