"""Devices that cannot log in: known by their network, writing to listed domains only.

A network belongs to one device, so that what comes from there has one sender.  Which
device an address belongs to is asked of the narrowest network that holds it.
"""

from __future__ import annotations

import ipaddress
import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

from mailstack.directory import names
from mailstack.directory.session import Session, account_of
from mailstack.directory.values import DeviceEntry
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Wider networks would make everybody in them the device.
MIN_V4_BITS = 16
MIN_V6_BITS = 48
MAX_NETWORKS = 50
MAX_DOMAINS = 100


class Devices:
    """Changes who may send without a login; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def allow(self, address: str, *, networks: Sequence[str], domains: Sequence[str] = ()) -> DeviceEntry:
        """Lets a device send from these networks without a login; adds to what it has.

        Args:
            domains: whom it may write to; its own domain when there are none yet.

        Raises:
            PermanentFailure: not a device, not a network, too wide a one, or another device's.
        """
        wanted = [parse_network(text) for text in networks]
        listed = [names.new_domain(text) for text in domains]
        with self._session.transaction() as cursor:
            account = _device(cursor, address)
            for network in wanted:
                self._add_network(cursor, account, network)
            for domain in listed:
                _add_domain(cursor, account, domain)
            entry = find_entry(cursor, account.id)
            if not entry.domains:
                _add_domain(cursor, account, account.address.domain)
            entry = find_entry(cursor, account.id)
            if len(entry.networks) > MAX_NETWORKS or len(entry.domains) > MAX_DOMAINS:
                raise PermanentFailure(
                    f"a device has at most {MAX_NETWORKS} networks and {MAX_DOMAINS} domains"
                )
            return entry

    def forbid(
        self, address: str, *, networks: Sequence[str] = (), domains: Sequence[str] = ()
    ) -> DeviceEntry:
        """Takes networks and domains away; everything when none are named.

        Raises:
            PermanentFailure: not a device, or it does not have what is named.
        """
        with self._session.transaction() as cursor:
            account = _device(cursor, address)
            if not networks and not domains:
                cursor.execute("DELETE FROM device_network WHERE account_id = ?", (account.id,))
                cursor.execute("DELETE FROM device_recipient WHERE account_id = ?", (account.id,))
            for text in networks:
                network = str(parse_network(text))
                done = cursor.execute(
                    "DELETE FROM device_network WHERE account_id = ? AND network = ?", (account.id, network)
                )
                if not done.rowcount:
                    raise PermanentFailure(f"{account.address} does not send from {network} without a login")
            for text in domains:
                domain = names.new_domain(text)
                done = cursor.execute(
                    "DELETE FROM device_recipient WHERE account_id = ? AND domain = ?", (account.id, domain)
                )
                if not done.rowcount:
                    raise PermanentFailure(f"{domain} is no domain {account.address} may write to")
            return find_entry(cursor, account.id)

    def _add_network(self, cursor: sqlite3.Cursor, account: Account, network: Network) -> None:
        owner = cursor.execute(
            "SELECT a.local || '@' || d.name FROM device_network n JOIN account a ON a.id = n.account_id"
            " JOIN domain d ON d.id = a.domain_id"
            " WHERE n.network = ? AND n.account_id != ? AND a.removed_at IS NULL",
            (str(network), account.id),
        ).fetchone()
        if owner is not None:
            raise PermanentFailure(f"{network} belongs to {owner[0]}: one network is one device")
        cursor.execute(
            "INSERT INTO device_network (network, account_id, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT (network) DO UPDATE SET account_id = excluded.account_id",
            (str(network), account.id, self._session.now()),
        )


def parse_network(text: str) -> Network:
    """An address or a network narrow enough to be one device's.

    Raises:
        PermanentFailure: it is neither.
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise PermanentFailure(f"{text!r} is not an IP address or network such as 192.0.2.0/24") from None
    least = MIN_V4_BITS if network.version == 4 else MIN_V6_BITS
    if network.prefixlen < least:
        raise PermanentFailure(f"{network} is too wide: at least /{least}, best the device's own address")
    return network


def find_entry(cursor: sqlite3.Cursor, account_id: int) -> DeviceEntry:
    """What a device may do without a login."""
    networks = cursor.execute(
        "SELECT network FROM device_network WHERE account_id = ? ORDER BY network", (account_id,)
    ).fetchall()
    domains = cursor.execute(
        "SELECT domain FROM device_recipient WHERE account_id = ? ORDER BY domain", (account_id,)
    ).fetchall()
    return DeviceEntry(tuple(text for (text,) in networks), tuple(text for (text,) in domains))


def load_networks(cursor: sqlite3.Cursor) -> tuple[tuple[Network, int], ...]:
    """Every network and whose it is, the narrowest first."""
    found = cursor.execute(
        "SELECT n.network, n.account_id FROM device_network n JOIN account a ON a.id = n.account_id"
        " WHERE a.kind = 'device' AND a.enabled = 1 AND a.removed_at IS NULL"
    ).fetchall()
    pairs = [(ipaddress.ip_network(text), int(account_id)) for text, account_id in found]
    return tuple(sorted(pairs, key=lambda pair: -pair[0].prefixlen))


def account_at(networks: Sequence[tuple[Network, int]], ip: str) -> int | None:
    """The account whose narrowest network holds an address; None for nobody's."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return None
    return next((account_id for network, account_id in networks if address in network), None)


def _add_domain(cursor: sqlite3.Cursor, account: Account, domain: str) -> None:
    cursor.execute(
        "INSERT OR IGNORE INTO device_recipient (account_id, domain) VALUES (?, ?)", (account.id, domain)
    )


def _device(cursor: sqlite3.Cursor, address: str) -> Account:
    account = account_of(cursor, names.any_address(address))
    if account.kind != "device":
        raise PermanentFailure(
            f"{account.address} is a {account.kind}, not a device; 'mailstack user add ADDRESS --kind device'"
        )
    return account
