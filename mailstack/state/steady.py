"""How much time has really passed, whatever the date says.

What is kept for so many days must not go because a clock was wrong for a moment (F28).
While the machine runs, the kernel's count since boot tells how much time passed; over a
boot the date is believed, forwards and for a day at most.  So this clock may go slow and
things are kept longer; it never goes fast.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

#: The longest time a machine that was off is believed to have been off, in seconds.
MAX_OFF_S = 86_400.0


class Reading(msgspec.Struct):
    """Three clocks at one moment.

    Attributes:
        boot: what changes when the machine starts; "" where nobody says.
        since_boot_s: seconds since then, no matter what the date does.
        date_s: Unix seconds.
    """

    boot: str
    since_boot_s: float
    date_s: float


class Steady(msgspec.Struct):
    """What is remembered between two looks.

    Attributes:
        elapsed_s: seconds that passed since the first look.
        date_s: the date as far as it can be believed: it may hurry after the clock's
            date, but not faster than twice the time that passes.
        last: the clocks at the last look.
    """

    elapsed_s: float = 0.0
    date_s: float = 0.0
    last: Reading | None = None

    def look(self, now: Reading) -> None:
        """Goes on to this moment."""
        if self.last is None:
            self.date_s, self.last = now.date_s, now
            return
        if now.boot and now.boot == self.last.boot:
            passed_s = max(now.since_boot_s - self.last.since_boot_s, 0.0)
        else:
            off_s = min(max(now.date_s - self.last.date_s, 0.0), MAX_OFF_S)
            passed_s = max(off_s, now.since_boot_s if now.boot else 0.0)
        self.elapsed_s += passed_s
        self.date_s = min(now.date_s, self.date_s + 2 * passed_s)
        self.last = now


def read_clocks(now: float) -> Reading:
    """The machine's clocks; `now`: Unix seconds."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return Reading(boot, time.clock_gettime(time.CLOCK_BOOTTIME), now)
