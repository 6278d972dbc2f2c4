"""What is remembered of a full or nearly full account: since when, and what was said about it.

One row in `meta`, there only while the account is nearly full.  It is kept inside the
transactions that add and remove messages, so it is exact across processes; who only looks
(`look`) notes what it finds too, for accounts whose limit was changed.

How long an account has been full is summed up from look to look, and no step of it is
longer than a day: a clock that jumps cannot make a mailbox refuse mail for good (F28).

Source: product, section 7: 452 for seven days, then 550; warnings at 80 and 95 percent.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import msgspec

from mailstack.mailbox import quota
from mailstack.model.errors import TemporaryFailure
from mailstack.model.quota import Limits, QuotaState

if TYPE_CHECKING:
    from mailstack.mailbox.core import Core

#: Percents at which a warning is written.
LEVELS = (95, 80)
#: So much below a level there must be room again before its warning is written once more.
HYSTERESIS = 5
#: The longest step by which the time an account has been full grows, in seconds.
_MAX_STEP_S = 86_400
#: Looks nearer to each other than this write nothing, in seconds.
_NOTE_EVERY_S = 3_600
KEY = "quota"


class Memory(msgspec.Struct):
    """What is remembered.

    Attributes:
        octets, messages: the limits at the last change; None: no limit.
        level: the level a warning was written for, or is about to be; 0: none.
        notice_at: when the warning that is still to be written became due, in Unix
            seconds; 0: none is.
        full_since: Unix seconds; 0: there is room.
        seen_at: when `full_for_s` was last brought up to date, in Unix seconds.
        full_for_s: how long it has been full.
    """

    octets: int | None = None
    messages: int | None = None
    level: int = 0
    notice_at: int = 0
    full_since: int = 0
    seen_at: int = 0
    full_for_s: int = 0


def recall(connection: sqlite3.Connection) -> Memory:
    """What is remembered; an empty memory when there is nothing, or nothing that can be read."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (KEY,)).fetchone()
    if row is None:
        return Memory()
    try:
        return msgspec.json.decode(str(row[0]).encode(), type=Memory)
    except msgspec.MsgspecError:
        return Memory()


def _keep(connection: sqlite3.Connection, memory: Memory) -> None:
    if memory.level or memory.notice_at or memory.full_since:
        text = msgspec.json.encode(memory).decode()
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (KEY, text))
    else:
        connection.execute("DELETE FROM meta WHERE key = ?", (KEY,))


def note(connection: sqlite3.Connection, limits: Limits, now: int) -> bool:
    """Notes how full the account is, after something was added; True when a warning is due.

    Args:
        now: Unix seconds.
    """
    state = quota.state(connection, limits)
    memory = recall(connection)
    fresh = updated(memory, state, now)
    if fresh != memory:
        _keep(connection, fresh)
    return fresh.notice_at != 0


def watch(core: Core, connection: sqlite3.Connection, limits: Limits) -> None:
    """As `note`, and has the warning written."""
    if limits != quota.UNLIMITED and note(connection, limits, int(core.now())):
        core.worker.notices(core)


def eased(connection: sqlite3.Connection) -> None:
    """Notes that something was removed."""
    memory = recall(connection)
    if memory.level or memory.full_since:
        note(connection, Limits(memory.octets, memory.messages), memory.seen_at)


def check_room(core: Core, connection: sqlite3.Connection, limits: Limits, special_use: str) -> None:
    """Refuses a delivery when the account is full; what goes to Spam or Trash always fits.

    Raises:
        TemporaryFailure: 2.2.
    """
    if limits == quota.UNLIMITED or quota.is_aside(special_use):
        return
    if quota.state(connection, limits).is_full:
        raise TemporaryFailure(f"the mailbox of {core.address} is full", status="2.2")


def is_news(connection: sqlite3.Connection, limits: Limits, now: int) -> bool:
    """True when `note` would write something."""
    memory = recall(connection)
    return updated(memory, quota.state(connection, limits), now) != memory


def updated(memory: Memory, state: QuotaState, now: int) -> Memory:
    """What is to be remembered from now on."""
    fresh = msgspec.structs.replace(memory, octets=state.limit_octets, messages=state.limit_messages)
    if not state.is_full:
        fresh.full_since = fresh.seen_at = fresh.full_for_s = 0
    elif not fresh.full_since:
        fresh.full_since = fresh.seen_at = now
    elif abs(now - fresh.seen_at) >= _NOTE_EVERY_S:
        fresh.full_for_s += min(max(now - fresh.seen_at, 0), _MAX_STEP_S)
        fresh.seen_at = now
    reached = _reached(state)
    if reached > fresh.level:
        fresh.level, fresh.notice_at = reached, now
    elif state.percent < fresh.level - HYSTERESIS:
        fresh.level = reached
        fresh.notice_at = fresh.notice_at if reached else 0
    if not (fresh.level or fresh.notice_at or fresh.full_since):
        return Memory()
    return fresh


def _reached(state: QuotaState) -> int:
    return next((level for level in LEVELS if state.percent >= level), 0)


def told(connection: sqlite3.Connection, notice_at: int) -> None:
    """The warning that became due at that time is in INBOX; its own size is no reason for another."""
    memory = recall(connection)
    if memory.notice_at == notice_at:
        memory.notice_at = 0
        state = quota.state(connection, Limits(memory.octets, memory.messages))
        memory.level = max(memory.level, _reached(state))
        _keep(connection, memory)
