"""How much checking of scripts an account may ask for.

Two buckets for each account, which empty as time passes: the number of checks, and the
processor time they took.  A check is let through while both have room; what it took is
known only afterwards, so the second may be a check too full.

Numbers: limits, section 5; G7, T50.
Imports: options.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailstack.managesieve.options import ManageSieveOptions

#: Accounts that are remembered; then those whose buckets are empty are forgotten.
MAX_ACCOUNTS = 10_000


@dataclass(slots=True)
class _Spent:
    at: float
    checks: float = 0.0
    cpu_s: float = 0.0


class CheckBudget:
    """Of one process."""

    def __init__(self, options: ManageSieveOptions) -> None:
        self._checks = float(options.checks_per_minute)
        self._cpu_s = options.check_s_per_hour
        self._spent: dict[str, _Spent] = {}

    def take(self, key: str, now: float) -> bool:
        """True, and counted, when the account may have one more script checked.

        Args:
            now: a clock that never goes back, in seconds.
        """
        spent = self._of(key, now)
        if spent.checks + 1 > self._checks or spent.cpu_s >= self._cpu_s:
            return False
        spent.checks += 1
        return True

    def charge(self, key: str, cpu_s: float, now: float) -> None:
        """What the check took."""
        self._of(key, now).cpu_s += cpu_s

    def _of(self, key: str, now: float) -> _Spent:
        if key not in self._spent and len(self._spent) >= MAX_ACCOUNTS:
            self._forget(now)
        spent = self._spent.setdefault(key, _Spent(now))
        self._drain(spent, now)
        return spent

    def _drain(self, spent: _Spent, now: float) -> None:
        passed = now - spent.at
        spent.at = now
        spent.checks = max(0.0, spent.checks - passed * self._checks / 60)
        spent.cpu_s = max(0.0, spent.cpu_s - passed * self._cpu_s / 3_600)

    def _forget(self, now: float) -> None:
        for spent in self._spent.values():
            self._drain(spent, now)
        self._spent = {key: spent for key, spent in self._spent.items() if spent.checks or spent.cpu_s}
