"""Section `[bans]`: what guessing passwords costs a network, beside the delays.

Numbers: section 7 of the limits.
"""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError
from mailstack.model.network import Networks


class BanOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[bans]`: when a network that guesses passwords is shut out of all ports for logins.

    A network is an IPv4 address or an IPv6 /64.  It is shut out for a while, never for ever, and only
    when it fails with far more accounts than log in well from it: offices, schools and phone networks
    share addresses.  An account is never locked.  Mail from other servers (port 25) is not affected.
    """

    #: Shut networks out, and slow down logins of an account that is guessed at from everywhere.
    enabled: bool = True
    #: Wrong passwords in an hour that are too many; the same one again counts once an hour.
    failures: int = 50
    #: Accounts with wrong passwords in an hour that are too many.
    accounts: int = 10
    #: It is only shut out when that many times more accounts fail than have logged in well from it.
    ratio: int = 5
    #: A network with a good login in the last days may fail so many times more often; a wider one (IPv4
    #: /24, IPv6 /48) that fails that often gets the longest delay, and is never shut out.
    known_factor: int = 5
    #: Days a good login is remembered for this.
    known_days: int = 30
    #: Seconds of the 1st, 2nd, ... time a network is shut out; the last one repeats.
    times_s: tuple[int, ...] = (600, 3_600, 21_600, 86_400)
    #: Days after which the next time is a first time again.
    memory_days: int = 7
    #: Addresses and networks that are never shut out, such as an office or a phone network: "192.0.2.0/24".
    never: tuple[str, ...] = ()
    #: Never shut out the networks from which Outlook's and Gmail's servers fetch mail for their users.
    spare_clouds: bool = True
    #: Shut out addresses of this machine and of private networks too; behind a proxy all clients have one.
    private_networks: bool = False
    #: Wrong passwords of one account in an hour, from everywhere, above which it counts as guessed at.
    account_failures: int = 100
    #: The same, networks they come from.
    account_networks: int = 20
    #: Seconds a login to such an account waits when it comes from a network that never logged in well to it.
    account_delay_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuses what cannot work."""
        for key in ("failures", "accounts", "ratio", "known_factor"):
            if not 1 <= getattr(self, key) <= 1_000_000:
                raise ConfigError(f"bans.{key}", f"want 1 <= {key} <= 1000000")
        for key in ("known_days", "memory_days"):
            if not 1 <= getattr(self, key) <= 365:
                raise ConfigError(f"bans.{key}", f"want 1 <= {key} <= 365")
        if not self.times_s or not all(1 <= time_s <= 2_592_000 for time_s in self.times_s):
            raise ConfigError("bans.times_s", "give at least one number, each 1 to 2592000 (30 days)")
        if self.account_delay_s > 30:
            raise ConfigError("bans.account_delay_s", "want at most 30: mail programs give up")
        try:
            Networks(self.never)
        except ValueError as error:
            raise ConfigError("bans.never", str(error)) from None
