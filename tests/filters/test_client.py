"""Reverse names and HELO as facts for the score."""

from __future__ import annotations

from typing import Any

import pytest

from mailstack.filters.client import Client, check
from tests.kit.lookups import resolve, resolve_counted

IP = "198.51.100.7"
ZONE: dict[str, dict[str, Any]] = {
    "7.100.51.198.in-addr.arpa": {"PTR": ["mail.example.org"]},
    "mail.example.org": {"A": [IP]},
    "8.100.51.198.in-addr.arpa": {"PTR": ["mail.example.org"]},
    "9.100.51.198.in-addr.arpa": {"PTR": "SERVFAIL"},
    "10.100.51.198.in-addr.arpa": {"PTR": ["host-198-51-100-10.isp.example"]},
    "host-198-51-100-10.isp.example": {"A": ["198.51.100.10"]},
    "11.100.51.198.in-addr.arpa": {"PTR": ["slow.example.org"]},
    "slow.example.org": {"A": "TIMEOUT"},
    "12.100.51.198.in-addr.arpa": {"PTR": [f"n{n}.many.example" for n in range(50)]},
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": {"PTR": ["six.example.org"]},
    "six.example.org": {"AAAA": ["2001:0db8::1"]},
}


def look(ip: str = IP, helo: str = "mail.example.org") -> Client:
    return resolve(lambda lookup: check(ip, helo, ours=("mx.example.test",), lookup=lookup), ZONE)


def names(client: Client) -> list[str]:
    return [reason.name for reason in client.reasons]


@pytest.mark.parametrize(
    ("ip", "name", "reasons"),
    [
        (IP, "mail.example.org", []),
        ("198.51.100.8", "", ["reverse_name_wrong"]),
        ("198.51.100.99", "", ["no_reverse_name"]),
        ("198.51.100.10", "host-198-51-100-10.isp.example", ["reverse_name_generic"]),
        ("2001:db8::1", "six.example.org", []),
    ],
)
def test_a_reverse_name_counts_when_it_leads_back(ip: str, name: str, reasons: list[str]) -> None:
    found = look(ip)
    assert (found.name, names(found)) == (name, reasons)


@pytest.mark.parametrize("ip", ["198.51.100.9", "198.51.100.11"])
def test_silence_of_the_dns_says_nothing(ip: str) -> None:
    # P13
    assert look(ip) == Client()


@pytest.mark.parametrize("ip", ["", "127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "fd00::1", "rubbish"])
def test_nobody_is_asked_about_this_machine_and_its_network(ip: str) -> None:
    found, asked = resolve_counted(lambda lookup: check(ip, "localhost", ours=("x",), lookup=lookup), ZONE)
    assert (found, asked) == (Client(), [])


@pytest.mark.parametrize(
    ("helo", "reasons"),
    [
        # S22
        ("mail.example.org", []),
        ("MAIL.example.org.", []),
        ("mx.example.test", ["helo_ours"]),
        ("MX.Example.Test.", ["helo_ours"]),
        ("localhost", ["helo_ours"]),
        (f"[{IP}]", ["helo_literal"]),
        ("[127.0.0.1]", ["helo_literal_wrong"]),
        ("WIN-PC", ["helo_no_name"]),
        ("", []),
        ("x" * 300, ["helo_no_name"]),
        ("a;\r\nX: y", ["helo_no_name"]),
        ("nowhere.example", ["helo_unknown"]),
    ],
)
def test_what_a_client_calls_itself(helo: str, reasons: list[str]) -> None:
    assert names(look(helo=helo)) == reasons


def test_a_client_with_many_names_costs_few_questions() -> None:
    _, asked = resolve_counted(
        lambda lookup: check("198.51.100.12", "mail.example.org", ours=(), lookup=lookup), ZONE
    )
    assert len(asked) <= 5
