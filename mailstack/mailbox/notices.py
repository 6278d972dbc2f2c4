"""Warnings of a nearly full mailbox, written into its INBOX in the background.

What is due stands in account.db (`fullness`), so a crash delays a warning and neither
loses nor repeats it: its file name is made from when it became due.  It is written
although the mailbox is nearly full, and nothing is warned of because of it.
"""

from __future__ import annotations

from typing import Protocol

from mailstack.mailbox import fullness, quota, storing
from mailstack.mailbox.core import Core
from mailstack.model.mailbox import NewMessage
from mailstack.model.quota import Limits, QuotaState


class Notices(Protocol):
    """Words for warnings; `app` gives them."""

    def compose(self, address: str, state: QuotaState, level: int, at: int) -> bytes:
        """A whole message.

        Args:
            address: whose mailbox it is.
            level: the percentage that was reached.
            at: when, in Unix seconds.
        """
        ...

    def stored(self, address: str) -> None:
        """It is in that account's INBOX now."""
        ...


def write(core: Core) -> bool:
    """Writes the warning that is due, if one is; the worker's job.

    Raises:
        TemporaryFailure: disk or database in trouble; it stays due.
    """
    if core.notices is None:
        return False
    # Held for writing, so that whoever found it due has committed.
    with core.db.write("reading what is due", durable_commit=False) as connection:
        memory = fullness.recall(connection)
        state = quota.state(connection, Limits(memory.octets, memory.messages))
    if not memory.notice_at:
        return False
    storing.deliver(
        core,
        "INBOX",
        NewMessage(core.notices.compose(core.address, state, memory.level, memory.notice_at)),
        base_name=f"{memory.notice_at}.quota{memory.level}.mailstack",
        prefix=b"",
        cuts=(),
        create=False,
    )
    with core.db.write("noting a warning", durable_commit=True) as connection:
        fullness.told(connection, memory.notice_at)
    core.notices.stored(core.address)
    return False
