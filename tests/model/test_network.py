"""Addresses as keys of limits."""

from __future__ import annotations

import pytest

from mailstack.model.network import network_of, unmap


@pytest.mark.parametrize(
    ("ip", "shown"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
        ("", ""),
        ("not:an:address", "not:an:address"),
    ],
)
def test_mapped_addresses_are_shown_as_people_write_them(ip: str, shown: str) -> None:
    assert unmap(ip) == shown


def test_a_network_is_cut_by_its_family() -> None:
    assert network_of("192.0.2.77", 24, 64) == "192.0.2.0/24"
    assert network_of("2001:db8:1:2:3::4", 24, 64) == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:2:3::4", 24, 48) == "2001:db8:1::/48"
    assert network_of("nonsense", 24, 64) == "nonsense"
