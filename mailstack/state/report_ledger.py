"""Which reports were sent, to whom, and why others were not.  In `state.db`.

One row per kind, day, domain and target; the row without a target is the domain's own: once
it says that the report is settled, nothing more is done about it.  What could not be found
out for the moment is tried again later, so often and no more.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from mailstack.disk.sqlite import failure, transaction
from mailstack.state.statedb import StateTable

#: queued: the queue has it; uploaded: an HTTPS server took it; skipped: it is not to be sent;
#: waiting: it cannot be sent now; settled: every target is done with.
Outcome: TypeAlias = Literal["queued", "uploaded", "skipped", "waiting", "settled"]

#: Waits after the first, second ... try, in seconds; the last one counts on.
_WAITS_S: Final = (300.0, 900.0, 3_600.0, 14_400.0)
MAX_WAIT_S: Final = _WAITS_S[-1]
_MAX_WHY: Final = 400
_COLUMNS: Final = "kind, day, domain, target, outcome, why, queue_id, at, tries"


@dataclass(frozen=True, slots=True)
class Sent:
    """One row.

    Attributes:
        target: a URI; "": the domain as a whole.
        why: in words, when nothing was sent.
        queue_id: of the message; "" for none.
        at: Unix seconds.
        tries: how often it could not be sent.
    """

    kind: str
    day: str
    domain: str
    target: str
    outcome: Outcome
    why: str
    queue_id: str
    at: float
    tries: int

    def is_due(self, now: float) -> bool:
        """True when it is to be tried (again) now."""
        if self.outcome != "waiting":
            return False
        wait_s = _WAITS_S[min(max(self.tries, 1), len(_WAITS_S)) - 1]
        return not self.at <= now < self.at + wait_s


class ReportLedger(StateTable):
    """The table."""

    def note(
        self,
        kind: str,
        day: str,
        domain: str,
        target: str = "",
        *,
        outcome: Outcome,
        now: float,
        why: str = "",
        queue_id: str = "",
    ) -> None:
        """Writes down what became of a target, or of the domain's report as a whole; durable.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "noting a report") as connection:
            connection.execute(
                f"INSERT INTO report_sent ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
                " ON CONFLICT (kind, day, domain, target) DO UPDATE SET outcome = excluded.outcome,"
                " why = excluded.why, queue_id = excluded.queue_id, at = excluded.at,"
                " tries = tries + excluded.tries",
                (
                    kind,
                    day,
                    domain,
                    target,
                    outcome,
                    why[:_MAX_WHY],
                    queue_id,
                    now,
                    int(outcome == "waiting"),
                ),
            )

    def of(self, kind: str, day: str) -> dict[str, Sent]:
        """What became of each domain's report as a whole."""
        rows = self._ask(
            f"SELECT {_COLUMNS} FROM report_sent WHERE kind = ? AND day = ? AND target = ''",  # noqa: S608
            kind,
            day,
        )
        return {row.domain: row for row in rows}

    def targets(self, kind: str, day: str, domain: str) -> dict[str, Sent]:
        """What became of each target of a domain's report."""
        rows = self._ask(
            f"SELECT {_COLUMNS} FROM report_sent"  # noqa: S608
            " WHERE kind = ? AND day = ? AND domain = ? AND target != ''",
            kind,
            day,
            domain,
        )
        return {row.target: row for row in rows}

    def sent_to(self, kind: str, day: str, host: str) -> int:
        """How many reports of a day went to addresses at a domain, or to its web server."""
        at, web = f"@{host}", f"https://{host}"
        with self._lock:
            try:
                found = self._open().execute(
                    "SELECT count(*) FROM report_sent WHERE kind = ?1 AND day = ?2"
                    " AND outcome IN ('queued', 'uploaded') AND (substr(target, -length(?3)) = ?3"
                    " OR substr(target, 1, length(?4) + 1) IN (?4 || '/', ?4 || ':'))",
                    (kind, day, at, web),
                )
                return int(found.fetchone()[0])
            except sqlite3.Error as error:
                raise failure(error, "reading what was reported") from error

    def listed(self, *, since: str = "", domain: str = "") -> list[Sent]:
        """Rows from a day on, of one domain or of all; the latest first."""
        return self._ask(
            f"SELECT {_COLUMNS} FROM report_sent WHERE day >= ? AND (? = '' OR domain = ?)"  # noqa: S608
            " ORDER BY day DESC, kind, domain, target",
            since,
            domain,
            domain,
        )

    def forget(self, *, before: str) -> int:
        """Removes what is older than a day; gives how many rows."""
        with self._lock, transaction(self._open(), "removing old notes about reports") as connection:
            return connection.execute("DELETE FROM report_sent WHERE day < ?", (before,)).rowcount

    def _ask(self, statement: str, *values: object) -> list[Sent]:
        with self._lock:
            try:
                return [_sent(row) for row in self._open().execute(statement, values)]
            except sqlite3.Error as error:
                raise failure(error, "reading what was reported") from error


def _sent(row: tuple[object, ...]) -> Sent:
    kind, day, domain, target, outcome, why, queue_id, at, tries = row
    return Sent(
        str(kind),
        str(day),
        str(domain),
        str(target),
        cast("Outcome", outcome),
        str(why),
        str(queue_id),
        float(str(at)),
        int(str(tries)),
    )
