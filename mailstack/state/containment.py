"""Which accounts look stolen, and which are stopped for it.  In `state.db`.

Three signs are weighed: many recipients the account never wrote to before, many that refuse
for good, and mail from a place it never sent from.  None is new to honest people, so most
of them only count together.  Whoever crosses the line does so once, in the transaction that
counted, whichever worker saw it; the account stays stopped until it is released.

Guards against false alarms: first-time recipients count from a share of the account's own
limit on, and not at all where that limit is off (lists) or waits (a new server, a new
account); a place means nothing before the account has sent for some time; a release gives
an account time in which nothing stops it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from mailstack.disk import migrations
from mailstack.disk.sqlite import failure, open_database, transaction
from mailstack.model.containment import Contained
from mailstack.model.network import is_outside, network_of
from mailstack.model.sending import DAY_MINUTES, Used
from mailstack.state.containment_options import ContainmentOptions
from mailstack.state.sending import sent_so_far
from mailstack.state.statedb import SCHEMA, StateTable

_DAY_S: Final = 86_400
#: A known place's date is written again only so often, in seconds.
_REFRESH_S: Final = _DAY_S
#: So many new places at once are more than a journey.
_MANY_PLACES: Final = 3
#: What a sign adds at most, in times its score.
_MOST: Final = {"new": 1.5, "bounces": 2.0, "places": 1.5}
#: Places of one account that are looked at and kept.
_MAX_PLACES: Final = 1_000

_COLUMNS: Final = "account_id, since, score, why, held_at IS NOT NULL, told_at IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known about an account beside what was counted.

    Attributes:
        ip: where a message comes from; "" when none is sent now.
        new_limit: first-time recipients it may have in an hour; None: these do not count.
    """

    options: ContainmentOptions
    ip: str = ""
    new_limit: int | None = None


class Sign(NamedTuple):
    """One thing that looks odd, and what it adds."""

    score: float
    why: str


def place_of(ip: str) -> str:
    """The part of the network an address belongs to, "" for one that says nothing.

    So wide because a phone wanders through its provider's networks all day.
    """
    return network_of(ip, 16, 32) if is_outside(ip) else ""


def look(
    connection: sqlite3.Connection,
    account_id: int,
    watch: Watch,
    *,
    used: Used,
    new: int,
    now: float,
) -> Contained | None:
    """Whether an account may send; notes where it sends from.  Inside the caller's transaction.

    Args:
        used: what it has sent, without what is about to be counted.
        new: first-time recipients of that.
    """
    standing = _standing(connection, account_id, watch.options, now)
    if isinstance(standing, Contained):
        return standing
    _note_place(connection, account_id, place_of(watch.ip), now)
    if standing == "grace":
        return None
    signs = _signs(connection, account_id, watch, used, new, now)
    score = sum(sign.score for sign in signs)
    if score < watch.options.score:
        return None
    found = Contained(account_id, now, score, "; ".join(sign.why for sign in signs))
    connection.execute(
        "REPLACE INTO contained (account_id, since, score, why) VALUES (?, ?, ?, ?)",
        (account_id, now, found.score, found.why),
    )
    return found


def find(connection: sqlite3.Connection, account_id: int) -> Contained | None:
    """The account as it stands; None when it may send."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM contained WHERE account_id = ? AND released_at IS NULL",  # noqa: S608
        (account_id,),
    ).fetchone()
    return None if row is None else _contained(row)


class Containment(StateTable):
    """The table, for whoever carries out what follows."""

    def bounced(self, account_id: int, recipients: int, watch: Watch, *, now: float) -> Contained | None:
        """Counts recipients that refused a message for good; gives the account when it is stopped.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        minute = int(now // 60)
        with self._lock, transaction(self._open(), "counting bounces") as connection:
            connection.execute(
                "INSERT INTO bounced (account_id, minute, recipients) VALUES (?, ?, ?)"
                " ON CONFLICT (account_id, minute)"
                " DO UPDATE SET recipients = recipients + excluded.recipients",
                (account_id, minute, recipients),
            )
            used = sent_so_far(connection, account_id, minute)
            return look(connection, account_id, watch, used=used, new=0, now=now)

    def find(self, account_id: int) -> Contained | None:
        """The account as it stands; None when it may send."""
        with self._lock:
            try:
                return find(self._open(), account_id)
            except sqlite3.Error as error:
                raise failure(error, "looking up a stopped account") from error

    def listed(self) -> list[Contained]:
        """Accounts that are stopped, the longest first."""
        with self._lock:
            try:
                rows = self._open().execute(
                    f"SELECT {_COLUMNS} FROM contained WHERE released_at IS NULL ORDER BY since"  # noqa: S608
                )
                return [_contained(row) for row in rows]
            except sqlite3.Error as error:
                raise failure(error, "looking up stopped accounts") from error

    def held_before(self, account_id: int, at: float) -> bool:
        """True when its mail was held before that time, or never."""
        with self._lock:
            try:
                row = self._open().execute(
                    "SELECT held_at FROM contained WHERE account_id = ?", (account_id,)
                )
                found = row.fetchone()
            except sqlite3.Error as error:
                raise failure(error, "looking up a stopped account") from error
        return found is None or found[0] is None or float(found[0]) < at

    def mark_held(self, account_id: int, *, now: float) -> None:
        """What it has in the queue is held now."""
        self._set("held_at", account_id, now)

    def claim_notice(self, account_id: int, *, now: float) -> bool:
        """True for the first who asks: that one tells owner and operator."""
        with self._lock, transaction(self._open(), "noting a notice") as connection:
            return bool(
                connection.execute(
                    "UPDATE contained SET told_at = ? WHERE account_id = ? AND told_at IS NULL"
                    " AND released_at IS NULL",
                    (now, account_id),
                ).rowcount
            )

    def release(self, account_id: int, *, now: float) -> bool:
        """Lets it send again; False when it was not stopped.

        What it was stopped for counts no more, and where it sends from is known.
        """
        with self._lock, transaction(self._open(), "releasing an account") as connection:
            changed = connection.execute(
                "UPDATE contained SET released_at = ? WHERE account_id = ? AND released_at IS NULL",
                (now, account_id),
            ).rowcount
            if changed:
                connection.execute("DELETE FROM bounced WHERE account_id = ?", (account_id,))
                connection.execute(
                    "UPDATE sending_network SET first_at = 0 WHERE account_id = ?", (account_id,)
                )
            return bool(changed)

    def _set(self, column: str, account_id: int, now: float) -> None:
        with self._lock, transaction(self._open(), "noting what was done about an account") as connection:
            connection.execute(
                f"UPDATE contained SET {column} = ? WHERE account_id = ?",  # noqa: S608
                (now, account_id),
            )


def purge(path: Path, options: ContainmentOptions, *, now: float) -> int:
    """Removes what counts no more; gives how many rows.

    Raises:
        TemporaryFailure: the database cannot be written.
    """
    connection = open_database(path, synchronous="NORMAL")
    try:
        migrations.check(connection, SCHEMA)
        with transaction(connection, "removing old signs of stolen accounts"):
            return sum(
                connection.execute(f"DELETE FROM {table} WHERE {where} < ?", (before,)).rowcount  # noqa: S608
                for table, where, before in (
                    ("bounced", "minute", now // 60 - DAY_MINUTES),
                    ("sending_network", "last_at", now - options.network_keep_days * _DAY_S),
                    ("contained", "released_at", now - options.grace_s),
                )
            )
    finally:
        connection.close()


def _contained(row: tuple[int, float, float, str, int, int]) -> Contained:
    account_id, since, score, why, is_held, is_told = row
    return Contained(account_id, since, score, why, bool(is_held), bool(is_told))


def _standing(
    connection: sqlite3.Connection, account_id: int, options: ContainmentOptions, now: float
) -> Contained | str:
    """Stopped; or "grace" after a release; or ""."""
    row = connection.execute(
        f"SELECT {_COLUMNS}, released_at FROM contained WHERE account_id = ?",  # noqa: S608
        (account_id,),
    ).fetchone()
    if row is None:
        return ""
    if row[6] is None:
        return _contained(row[:6])
    return "grace" if 0 <= now - row[6] < options.grace_s else ""


def _note_place(connection: sqlite3.Connection, account_id: int, place: str, now: float) -> None:
    if not place:
        return
    row = connection.execute(
        "SELECT last_at FROM sending_network WHERE account_id = ? AND network = ?", (account_id, place)
    ).fetchone()
    if row is not None and 0 <= now - row[0] < _REFRESH_S:
        return
    connection.execute(
        "INSERT INTO sending_network (account_id, network, first_at, last_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (account_id, network) DO UPDATE SET last_at = excluded.last_at",
        (account_id, place, now, now),
    )
    connection.execute(
        "DELETE FROM sending_network WHERE account_id = ?1 AND network IN ("
        " SELECT network FROM sending_network WHERE account_id = ?1"
        " ORDER BY last_at DESC LIMIT -1 OFFSET ?2)",
        (account_id, _MAX_PLACES),
    )


def _signs(
    connection: sqlite3.Connection, account_id: int, watch: Watch, used: Used, new: int, now: float
) -> list[Sign]:
    makers: tuple[Callable[[], Sign | None], ...] = (
        lambda: _first_time(watch, used.new_recipients_per_hour + new),
        lambda: _bounces(connection, account_id, watch.options, used, now),
        lambda: _places(connection, account_id, watch.options, now),
    )
    return [sign for make in makers if (sign := make()) is not None and sign.score > 0]


def _first_time(watch: Watch, new: int) -> Sign | None:
    if not watch.new_limit or not new:
        return None
    from_ = max(1.0, watch.new_limit * watch.options.new_recipients_share)
    if new < from_:
        return None
    score = watch.options.new_recipients_score * min(_MOST["new"], new / from_)
    return Sign(score, f"{new} recipients in an hour to whom it never wrote before")


def _bounces(
    connection: sqlite3.Connection, account_id: int, options: ContainmentOptions, used: Used, now: float
) -> Sign | None:
    minute = int(now // 60)
    count = connection.execute(
        "SELECT coalesce(sum(recipients), 0) FROM bounced WHERE account_id = ? AND minute BETWEEN ? AND ?",
        (account_id, minute - DAY_MINUTES, minute + DAY_MINUTES),
    ).fetchone()[0]
    if count < options.bounces or count < options.bounces_share * used.recipients_per_day:
        return None
    score = options.bounces_score * min(_MOST["bounces"], count / options.bounces)
    return Sign(
        score, f"{count} of {max(count, used.recipients_per_day)} recipients in 24 hours refused for good"
    )


def _places(
    connection: sqlite3.Connection, account_id: int, options: ContainmentOptions, now: float
) -> Sign | None:
    rows = connection.execute(
        "SELECT network, first_at FROM sending_network WHERE account_id = ? AND last_at > ?"
        " ORDER BY last_at DESC",
        (account_id, now - options.network_keep_days * _DAY_S),
    ).fetchall()
    if not any(first_at <= now - options.network_after_days * _DAY_S for _, first_at in rows):
        return None
    found = [network for network, first_at in rows if first_at > now - options.network_new_s]
    if not found:
        return None
    most = _MOST["places"] if len(found) >= _MANY_PLACES else 1.0
    shown = ", ".join(found[:_MANY_PLACES])
    return Sign(options.networks_score * most, f"mail from where it never sent from: {shown}")
