"""What each outbound TLS session came to, counted by day, for the domains that want to hear of it.

One fact per session and policy domain.  A domain's facts of one day are the rows of its TLSRPT
report; a session in the past that a report was sent for is forgotten with its day.  In `state.db`.

Standards: RFC 8460 sections 4.2 to 4.4 (what is reported), RFC 8461, RFC 7672.
Imports: disk.  Blocking.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

from mailstack.disk.sqlite import transaction
from mailstack.state.statedb import StateTable

_READING = "reading how TLS went"

#: RFC 8460 section 4.2: "policy-type".
PolicyKind: TypeAlias = Literal["tlsa", "sts", "no-policy-found"]
#: RFC 8460 section 4.3: "result-type"; "": TLS as the policy wants it.
TlsResult: TypeAlias = Literal[
    "",
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
]

#: Different failures of one domain on one day; further ones are counted without their details.
MAX_DETAILS = 100
#: Policies of one domain on one day; further ones are not reported.
MAX_POLICIES = 20
#: Octets of a policy's text, and of a reason, that are kept.
MAX_STRING_OCTETS = 2_000
MAX_REASON_OCTETS = 200


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """The policy a session was held against.

    Attributes:
        domain: the policy domain: the recipients' domain, A-labels.
        kind: DANE, MTA-STS or neither.
        strings: TLSA records as text, or the lines of the MTA-STS policy.
        mx: patterns of the MTA-STS policy, or the host of the TLSA records.
    """

    domain: str
    kind: PolicyKind = "no-policy-found"
    strings: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsFact:
    """One session with one host, or a policy that could not be had.

    Attributes:
        result: what went wrong; "": nothing.
        mx_host: whom we talked to; "" when it never came to that.
        our_ip, their_ip: addresses of the connection; "" without one.
        reason: in words, for whoever reads the report ("failure-reason-code").
    """

    policy: TlsPolicy
    result: TlsResult = ""
    mx_host: str = ""
    our_ip: str = ""
    their_ip: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TlsFailures:
    """Failed sessions that are alike."""

    result: TlsResult
    mx_host: str
    our_ip: str
    their_ip: str
    reason: str
    sessions: int


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """One element of "policies" in a report."""

    policy: TlsPolicy
    successes: int
    failures: tuple[TlsFailures, ...]

    @property
    def failed(self) -> int:
        """Sessions that failed, in all."""
        return sum(one.sessions for one in self.failures)


def day_of(at: float) -> str:
    """The day of a moment (Unix seconds), as `YYYY-MM-DD` in UTC: RFC 8460 section 4.1."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


class TlsFacts(StateTable):
    """The tables."""

    def __init__(self, path: Path) -> None:
        """`path`: state.db.  The last second of counts may be lost with the power."""
        super().__init__(path, synchronous="NORMAL")

    def note(self, facts: Sequence[TlsFact], *, at: float) -> None:
        """Counts sessions.

        Raises:
            TemporaryFailure: the database is in trouble.
        """
        if not facts:
            return
        day = day_of(at)
        with self._lock, transaction(self._open(), "noting how TLS went") as connection:
            for fact in facts:
                _count(connection, day, fact)

    def domains(self, day: str) -> list[str]:
        """Policy domains with sessions on that day, sorted."""
        return [
            str(row[0])
            for row in self._read(
                _READING, "SELECT DISTINCT domain FROM tls_policy WHERE day = ? ORDER BY domain", day
            )
        ]

    def days(self) -> list[str]:
        """Days there is anything about, oldest first."""
        return [
            str(row[0]) for row in self._read(_READING, "SELECT DISTINCT day FROM tls_policy ORDER BY day")
        ]

    def of(self, day: str, domain: str) -> tuple[PolicyFacts, ...]:
        """What a report about a domain and a day says."""
        failures = self._read(
            _READING,
            "SELECT mark, result, mx_host, our_ip, their_ip, reason, sessions FROM tls_failure"
            " WHERE day = ? AND domain = ? ORDER BY sessions DESC, result, mx_host, their_ip",
            day,
            domain,
        )
        rows = self._read(
            _READING,
            "SELECT mark, kind, strings, mx, successes FROM tls_policy"
            " WHERE day = ? AND domain = ? ORDER BY kind DESC, mark",
            day,
            domain,
        )
        return tuple(
            PolicyFacts(
                TlsPolicy(domain, cast("PolicyKind", kind), _texts(strings), _texts(mx)),
                int(str(successes)),
                tuple(_failures(one[1:]) for one in failures if one[0] == mark),
            )
            for mark, kind, strings, mx, successes in rows
        )

    def forget(self, *, before: str) -> int:
        """Removes what is older than a day; gives how many rows."""
        with self._lock, transaction(self._open(), "removing old results of TLS") as connection:
            return sum(
                connection.execute(f"DELETE FROM {table} WHERE day < ?", (before,)).rowcount  # noqa: S608
                for table in ("tls_policy", "tls_failure")
            )


def _count(connection: sqlite3.Connection, day: str, fact: TlsFact) -> None:
    policy = fact.policy
    strings, mx = _json(policy.strings), _json(policy.mx)
    mark = hashlib.sha256(f"{policy.kind}\n{strings}\n{mx}".encode()).digest()[:16]
    key = (day, policy.domain, mark)
    is_good = int(not fact.result)
    changed = connection.execute(
        "UPDATE tls_policy SET successes = successes + ? WHERE day = ? AND domain = ? AND mark = ?",
        (is_good, *key),
    ).rowcount
    if not changed:
        if _rows(connection, "tls_policy", day, policy.domain) >= MAX_POLICIES:
            return
        connection.execute(
            "INSERT INTO tls_policy (day, domain, mark, kind, strings, mx, successes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*key, policy.kind, strings, mx, is_good),
        )
    if fact.result:
        _count_failure(connection, key, fact)


def _count_failure(connection: sqlite3.Connection, key: tuple[str, str, bytes], fact: TlsFact) -> None:
    details = (fact.mx_host, fact.our_ip, fact.their_ip, _cut(fact.reason, MAX_REASON_OCTETS))
    changed = connection.execute(
        "UPDATE tls_failure SET sessions = sessions + 1 WHERE day = ? AND domain = ? AND mark = ?"
        " AND result = ? AND mx_host = ? AND our_ip = ? AND their_ip = ? AND reason = ?",
        (*key, fact.result, *details),
    ).rowcount
    if changed:
        return
    if _rows(connection, "tls_failure", key[0], key[1]) >= MAX_DETAILS:
        details = ("", "", "", "")
    connection.execute(
        "INSERT INTO tls_failure (day, domain, mark, result, mx_host, our_ip, their_ip, reason, sessions)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET sessions = sessions + 1",
        (*key, fact.result, *details),
    )


def _rows(connection: sqlite3.Connection, table: str, day: str, domain: str) -> int:
    row = connection.execute(
        f"SELECT count(*) FROM {table} WHERE day = ? AND domain = ?",  # noqa: S608
        (day, domain),
    ).fetchone()
    return int(row[0])


def _failures(row: tuple[object, ...]) -> TlsFailures:
    result, mx_host, our_ip, their_ip, reason, sessions = row
    return TlsFailures(
        cast("TlsResult", result), str(mx_host), str(our_ip), str(their_ip), str(reason), int(str(sessions))
    )


def _json(texts: Sequence[str]) -> str:
    """As many of the texts as there is room for."""
    kept, octets = [], 0
    for text in texts:
        octets += len(text.encode())
        if octets > MAX_STRING_OCTETS:
            break
        kept.append(text)
    return json.dumps(kept, ensure_ascii=True)


def _texts(column: object) -> tuple[str, ...]:
    return tuple(str(text) for text in json.loads(str(column)))


def _cut(text: str, octets: int) -> str:
    return text.encode("utf-8", "replace")[:octets].decode("utf-8", "ignore")
