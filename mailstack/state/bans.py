"""Networks that are shut out of everything that takes passwords, for a while.

In `state.db`, so that every daemon and worker sees a ban with its next connection, and
`mailstack ban` too.  A ban is made by wrong passwords (state/logins.py) or by an operator,
who may also name a wider network; it always ends.
"""

from __future__ import annotations

import ipaddress
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailstack.disk.sqlite import failure, transaction
from mailstack.model.errors import PermanentFailure
from mailstack.model.network import Networks, is_outside, network_of
from mailstack.state.ban_options import BanOptions
from mailstack.state.shared_networks import CLOUDS
from mailstack.state.statedb import StateTable

DAY_S: Final = 86_400
#: What a ban by wrong passwords names, by IP version.
_USUAL_BITS: Final = {4: 32, 6: 64}
#: Wider networks an operator banned are looked at again this often, in seconds.
_WIDE_S: Final = 1.0

_ROW = "SELECT network, since, until, step, why, operator FROM ban"


@dataclass(frozen=True, slots=True)
class Ban:
    """A network that is shut out, or was.

    Attributes:
        network: "192.0.2.7/32", "2001:db8::/64", or a wider one.
        since, until: Unix seconds.
        step: how many bans came before, of those that are remembered.
        why: a sentence for people.
        is_by_operator: somebody typed it in.
    """

    network: str
    since: float
    until: float
    step: int
    why: str
    is_by_operator: bool

    def holds(self, now: float) -> bool:
        """True while it is in force.  A clock that was set back ends it rather than stretch it."""
        return self.since <= now < self.until


def ban_network(ip: str) -> str:
    """What is banned for an address: itself, or the IPv6 /64 around it."""
    return network_of(ip, _USUAL_BITS[4], _USUAL_BITS[6])


class Spared:
    """Addresses that are never banned by wrong passwords."""

    def __init__(self, options: BanOptions) -> None:
        self._private = options.private_networks
        self._listed = Networks(options.never + (CLOUDS if options.spare_clouds else ()))

    def why(self, ip: str) -> str:
        """Why not; "" when it may be banned."""
        if ip in self._listed:
            return "many people share this network (bans.never, or a mail cloud)"
        if not self._private and not is_outside(ip):
            return "it is an address of this machine or a private network (bans.private_networks)"
        return ""


class Bans(StateTable):
    """The table, for whoever asks before a greeting, and for the operator."""

    def __init__(self, path: Path) -> None:
        """`path`: state.db, already migrated."""
        super().__init__(path, synchronous="NORMAL")
        self._wide: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, Ban]] = []
        self._wide_at = -_WIDE_S

    def find(self, ip: str, *, now: float) -> Ban | None:
        """The ban that holds for an address; some microseconds.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        with self._lock:
            try:
                row = self._open().execute(f"{_ROW} WHERE network = ?", (ban_network(ip),)).fetchone()
                if row is not None and (found := _ban(row)).holds(now):
                    return found
                return self._find_wide(ip, now)
            except sqlite3.Error as error:
                raise failure(error, "looking for a ban") from error

    def found(self, *, now: float, ended: bool = False) -> list[Ban]:
        """Bans in force, the newest first; with `ended` also those that are remembered."""
        with self._lock:
            try:
                rows = self._open().execute(f"{_ROW} ORDER BY since DESC, network").fetchall()
            except sqlite3.Error as error:
                raise failure(error, "reading the bans") from error
        return [ban for ban in map(_ban, rows) if ended or ban.holds(now)]

    def add(self, network: str, *, now: float, seconds: float, why: str) -> Ban:
        """Bans a network by an operator's word; replaces a ban that is there.

        Raises:
            PermanentFailure: the text is no address or network.
        """
        made = Ban(parse_network(network), now, now + seconds, 0, why, True)
        with self._lock, transaction(self._open(), "adding a ban") as connection:
            write_ban(connection, made)
        return made

    def clear(self, network: str) -> list[str]:
        """Lifts every ban inside a network ("" for all) and forgets what led to it.

        Raises:
            PermanentFailure: the text is no address or network.
        """
        within = ipaddress.ip_network(parse_network(network)) if network else None
        with self._lock, transaction(self._open(), "lifting bans") as connection:
            banned = [text for (text,) in connection.execute("SELECT network FROM ban").fetchall()]
            failed = connection.execute("SELECT DISTINCT network FROM login_failure").fetchall()
            lifted = [text for text in banned if _is_inside(text, within)]
            for text in lifted:
                connection.execute("DELETE FROM ban WHERE network = ?", (text,))
            for (text,) in failed:
                if _is_inside(text, within):
                    connection.execute("DELETE FROM login_failure WHERE network = ?", (text,))
        return sorted(lifted)

    def _find_wide(self, ip: str, now: float) -> Ban | None:
        if not 0 <= now - self._wide_at < _WIDE_S:
            rows = self._open().execute(f"{_ROW} WHERE operator = 1").fetchall()
            found = [(ipaddress.ip_network(ban.network), ban) for ban in map(_ban, rows)]
            self._wide = [pair for pair in found if pair[0].prefixlen != _USUAL_BITS[pair[0].version]]
            self._wide_at = now
        if not self._wide:
            return None
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return None
        return next((ban for network, ban in self._wide if address in network and ban.holds(now)), None)


def write_ban(connection: sqlite3.Connection, ban: Ban) -> None:
    """Puts a ban into the table, inside the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO ban (network, since, until, step, why, operator) VALUES (?, ?, ?, ?, ?, ?)",
        (ban.network, ban.since, ban.until, ban.step, ban.why, int(ban.is_by_operator)),
    )


def last_ban(connection: sqlite3.Connection, network: str) -> Ban | None:
    """The ban of exactly this network, also when it is over."""
    row = connection.execute(f"{_ROW} WHERE network = ?", (network,)).fetchone()
    return None if row is None else _ban(row)


def forget_bans(connection: sqlite3.Connection, before: float) -> None:
    """Drops bans that ended before a time."""
    connection.execute("DELETE FROM ban WHERE until < ?", (before,))


def parse_network(text: str) -> str:
    """An address or network as stored; a single IPv6 address means its /64.

    Raises:
        PermanentFailure: it is neither.
    """
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise PermanentFailure(f"{text!r} is not an IP address or network, such as 192.0.2.7") from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen == 128:
        mapped = network.network_address.ipv4_mapped
        return ban_network(str(mapped or network.network_address))
    return str(network)


def _is_inside(text: str, within: ipaddress.IPv4Network | ipaddress.IPv6Network | None) -> bool:
    if within is None:
        return True
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return False
    if isinstance(network, ipaddress.IPv4Network) and isinstance(within, ipaddress.IPv4Network):
        return network.subnet_of(within)
    if isinstance(network, ipaddress.IPv6Network) and isinstance(within, ipaddress.IPv6Network):
        return network.subnet_of(within)
    return False


def _ban(row: tuple[str, float, float, int, str, int]) -> Ban:
    return Ban(row[0], row[1], row[2], row[3], row[4], bool(row[5]))
