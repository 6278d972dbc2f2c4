"""Devices without a login: their networks, whom they may write to."""

from __future__ import annotations

import pytest

from mailstack.directory import Directory, DirectoryWriter
from mailstack.directory.values import DeviceEntry
from mailstack.model.errors import PermanentFailure

PRINTER, SCANNER = "printer@example.test", "scanner@example.test"


@pytest.fixture(autouse=True)
def users(writer: DirectoryWriter) -> None:
    writer.accounts.add(PRINTER, kind="device")
    writer.accounts.add(SCANNER, kind="device")
    writer.accounts.add("alice@example.test")


def at(reader: Directory, ip: str) -> str:
    found = reader.device_at(ip)
    return str(found.address) if found is not None else ""


def test_nobody_is_known_by_an_address_at_first(reader: Directory) -> None:
    assert at(reader, "192.0.2.7") == ""
    assert at(reader, "") == ""


def test_a_device_is_known_by_its_network_and_writes_to_its_own_domain(
    writer: DirectoryWriter, reader: Directory
) -> None:
    made = writer.devices.allow(PRINTER, networks=["192.0.2.7"])
    assert made == DeviceEntry(("192.0.2.7/32",), ("example.test",))
    assert at(reader, "192.0.2.7") == PRINTER
    assert at(reader, "192.0.2.8") == ""
    found = reader.device_at("192.0.2.7")
    assert found is not None
    assert reader.device_entry(found.id) == made


def test_the_narrowest_network_decides(writer: DirectoryWriter, reader: Directory) -> None:
    writer.devices.allow(PRINTER, networks=["10.1.0.0/16", "2001:db8::/48"], domains=["Example.TEST"])
    writer.devices.allow(SCANNER, networks=["10.1.2.3"])
    assert at(reader, "10.1.2.3") == SCANNER
    assert at(reader, "10.1.2.4") == PRINTER
    assert at(reader, "2001:db8:0:5::1") == PRINTER
    assert at(reader, "2001:db8:1::1") == ""


@pytest.mark.parametrize("network", ["0.0.0.0/0", "10.0.0.0/15", "2001:db8::/47", "printer", "10.0.0.1/33"])
def test_what_is_no_devices_network_is_refused(writer: DirectoryWriter, network: str) -> None:
    with pytest.raises(PermanentFailure, match=r"network|wide"):
        writer.devices.allow(PRINTER, networks=[network])


def test_one_network_is_one_device_and_people_are_none(writer: DirectoryWriter) -> None:
    writer.devices.allow(PRINTER, networks=["192.0.2.7"])
    with pytest.raises(PermanentFailure, match=r"belongs to printer@example\.test"):
        writer.devices.allow(SCANNER, networks=["192.0.2.7"])
    with pytest.raises(PermanentFailure, match="is a mailbox, not a device"):
        writer.devices.allow("alice@example.test", networks=["192.0.2.9"])
    writer.accounts.remove(PRINTER)
    writer.devices.allow(SCANNER, networks=["192.0.2.7"])


@pytest.mark.parametrize("change", ["disable", "kind", "remove", "forbid"])
def test_it_ends_with_the_device(writer: DirectoryWriter, reader: Directory, change: str) -> None:
    writer.devices.allow(PRINTER, networks=["192.0.2.7"])
    assert at(reader, "192.0.2.7") == PRINTER
    match change:
        case "disable":
            writer.accounts.set(PRINTER, enabled=False)
        case "kind":
            writer.accounts.set(PRINTER, kind="mailbox")
        case "remove":
            writer.accounts.remove(PRINTER)
        case _:
            assert writer.devices.forbid(PRINTER) == DeviceEntry()
    assert at(reader, "192.0.2.7") == ""


def test_networks_and_domains_are_taken_away_one_by_one(writer: DirectoryWriter) -> None:
    writer.devices.allow(PRINTER, networks=["192.0.2.7", "192.0.2.8"], domains=["a.test", "b.test"])
    assert writer.devices.forbid(PRINTER, networks=["192.0.2.7"], domains=["a.test"]) == DeviceEntry(
        ("192.0.2.8/32",), ("b.test",)
    )
    with pytest.raises(PermanentFailure, match="does not send from"):
        writer.devices.forbid(PRINTER, networks=["192.0.2.7"])
    with pytest.raises(PermanentFailure, match="is no domain"):
        writer.devices.forbid(PRINTER, domains=["a.test"])
