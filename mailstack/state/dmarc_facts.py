"""What a received message says about its author's domain, counted by day for DMARC reports.

One fact per message; facts that are alike are one row of the report with a number.  Only
domains that ask for reports are counted.  In `state.db`.

Standards: RFC 9990 section 2.1 (what a record holds; one report per policy domain).
Imports: disk, model.  Blocking.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mailstack.disk.sqlite import failure, transaction
from mailstack.model.verdict import PublishedPolicy
from mailstack.state.statedb import StateTable
from mailstack.state.tls_facts import day_of

#: Characters kept of a text somebody else wrote.
MAX_TEXT = 200
#: DKIM signatures of one message in a record; RFC 9990 section 2.1.4 would allow a hundred.
MAX_SIGNATURES = 10


class Signature(msgspec.Struct, frozen=True):
    """One DKIM result; `why` in words, "" for a pass."""

    domain: str
    selector: str
    result: str
    why: str = ""


class DmarcFact(msgspec.Struct, frozen=True):
    """What a record of a report holds, without the number of messages.

    Attributes:
        disposition: none, pass, quarantine or reject.
        dkim, spf: "pass" or "fail": what was aligned.
        override, comment: why less was done than the policy asks for; "" when it was not.
        header_from, envelope_from: domains.
        spf_result, spf_domain: RFC 8601 word; of the MAIL FROM domain.
        is_report: the message was such a report itself.
    """

    source_ip: str
    disposition: str
    dkim: str
    spf: str
    header_from: str
    envelope_from: str = ""
    override: str = ""
    comment: str = ""
    signatures: tuple[Signature, ...] = ()
    spf_domain: str = ""
    spf_result: str = "none"
    spf_why: str = ""
    is_report: bool = False


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """A domain's facts of one day.

    Attributes:
        published: its policy as it was seen last that day.
        rows: facts with their number of messages, the most frequent first.
    """

    published: PublishedPolicy
    rows: tuple[tuple[DmarcFact, int], ...]

    @property
    def messages(self) -> int:
        """Messages in all."""
        return sum(messages for _, messages in self.rows)


#: A fact, and the policy it was held against.
Noted = tuple[PublishedPolicy, DmarcFact]

_encode = msgspec.json.Encoder().encode
_fact = msgspec.json.Decoder(DmarcFact)
_policy = msgspec.json.Decoder(PublishedPolicy)


class DmarcFacts(StateTable):
    """The tables."""

    def __init__(
        self, path: Path, *, domains: int = 10_000, rows: int = 2_000, rows_per_day: int = 200_000
    ) -> None:
        """Takes the limits.  The last seconds of counts may be lost with the power.

        Args:
            path: state.db, already migrated.
            domains: policy domains counted on one day; others are left out.
            rows: different facts of one domain on one day; others are left out.
            rows_per_day: the same of all domains.
        """
        super().__init__(path, synchronous="NORMAL")
        self._max_domains = domains
        self._known_rows: int | None = None
        self._max_rows = rows
        self._max_rows_per_day = rows_per_day

    def note(self, counts: Mapping[Noted, int], *, at: float) -> int:
        """Counts messages; gives how many were left out because of a limit.

        Raises:
            TemporaryFailure: the database is in trouble.
        """
        day, left_out = day_of(at), 0
        seen: dict[PublishedPolicy, bool] = {}
        self._known_rows = None
        with self._lock, transaction(self._open(), "counting for DMARC reports") as connection:
            for (published, fact), messages in counts.items():
                if published not in seen:
                    seen[published] = self._policy(connection, day, published, at)
                is_counted = seen[published] and self._row(connection, day, published.domain, fact, messages)
                left_out += 0 if is_counted else messages
        return left_out

    def _policy(
        self, connection: sqlite3.Connection, day: str, published: PublishedPolicy, at: float
    ) -> bool:
        """RFC 9990 section 2.3: a policy that changes during the day is reported as it was last."""
        changed = connection.execute(
            "UPDATE dmarc_policy SET published = ?, seen_at = ? WHERE day = ? AND domain = ?",
            (_encode(published).decode(), at, day, published.domain),
        ).rowcount
        if changed:
            return True
        known = connection.execute("SELECT count(*) FROM dmarc_policy WHERE day = ?", (day,)).fetchone()[0]
        if known >= self._max_domains:
            return False
        connection.execute(
            "INSERT INTO dmarc_policy (day, domain, published, seen_at) VALUES (?, ?, ?, ?)",
            (day, published.domain, _encode(published).decode(), at),
        )
        return True

    def _row(
        self, connection: sqlite3.Connection, day: str, domain: str, fact: DmarcFact, messages: int
    ) -> bool:
        text = _encode(fact)
        mark = hashlib.blake2b(text, digest_size=16).digest()
        changed = connection.execute(
            "UPDATE dmarc_row SET messages = messages + ? WHERE day = ? AND domain = ? AND mark = ?",
            (messages, day, domain, mark),
        ).rowcount
        if changed:
            return True
        known = connection.execute(
            "SELECT count(*) FROM dmarc_row WHERE day = ? AND domain = ?", (day, domain)
        ).fetchone()[0]
        if known >= self._max_rows or self._rows_of(connection, day) >= self._max_rows_per_day:
            return False
        self._known_rows = self._rows_of(connection, day) + 1
        connection.execute(
            "INSERT INTO dmarc_row (day, domain, mark, facts, messages) VALUES (?, ?, ?, ?, ?)",
            (day, domain, mark, text.decode(), messages),
        )
        return True

    def _rows_of(self, connection: sqlite3.Connection, day: str) -> int:
        """Rows of a day, counted once in a batch: a scan, which only new rows cost."""
        if self._known_rows is None:
            found = connection.execute("SELECT count(*) FROM dmarc_row WHERE day = ?", (day,)).fetchone()
            self._known_rows = int(found[0])
        return self._known_rows

    # -- for the reports ----------------------------------------------------------------

    def days(self) -> list[str]:
        """Days there is anything about, oldest first."""
        return [str(row[0]) for row in self._ask("SELECT DISTINCT day FROM dmarc_policy ORDER BY day")]

    def domains(self, day: str) -> list[str]:
        """Policy domains with messages on that day, sorted."""
        rows = self._ask("SELECT domain FROM dmarc_policy WHERE day = ? ORDER BY domain", day)
        return [str(row[0]) for row in rows]

    def of(self, day: str, domain: str) -> DomainFacts | None:
        """What a report about a domain and a day says; None: nothing."""
        found = self._ask("SELECT published FROM dmarc_policy WHERE day = ? AND domain = ?", day, domain)
        if not found:
            return None
        rows = self._ask(
            "SELECT facts, messages FROM dmarc_row WHERE day = ? AND domain = ? ORDER BY messages DESC, mark",
            day,
            domain,
        )
        return DomainFacts(
            _policy.decode(str(found[0][0])),
            tuple((_fact.decode(str(facts)), int(str(messages))) for facts, messages in rows),
        )

    def forget(self, *, before: str) -> int:
        """Removes what is older than a day; gives how many rows."""
        with self._lock, transaction(self._open(), "removing old facts for DMARC reports") as connection:
            return sum(
                connection.execute(f"DELETE FROM {table} WHERE day < ?", (before,)).rowcount  # noqa: S608
                for table in ("dmarc_policy", "dmarc_row")
            )

    def _ask(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._open().execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise failure(error, "reading the facts for DMARC reports") from error
