"""`mailstack device`: printers and scanners."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mailstack.cli import device_report
from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.cli.directory_access import account, known_domain, reader, writer
from mailstack.directory.devices import parse_network
from mailstack.directory.reader import Directory
from mailstack.directory.values import DeviceEntry
from mailstack.model.directory import Account

app = group("Printers and scanners: what to type into them, how they are doing.")

AddressArgument = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="Of the kind device, such as printer@example.org.")
]
NetworkOption = Annotated[
    list[str] | None,
    typer.Option("--network", metavar="IP", help="Its address, or a network such as 192.0.2.0/28."),
]
ToOption = Annotated[
    list[str] | None, typer.Option("--to", metavar="DOMAIN", help="A domain it may write to.")
]


@app.command()
def sheet(address: AddressArgument) -> None:
    """Prints the settings sheet: what to type into the device, and what cannot work.

    The password is not on it; 'mailstack user passwd' makes a new one.
    """
    from mailstack.cli import device_sheet

    context = Context.load()
    with reader(context) as directory:
        found = _device(directory, address)
        entry = directory.device_entry(found.id)
    config = context.config
    show(device_sheet.facts(config, found, entry), device_sheet.text(config, found, entry))


@app.command("list")
def list_devices(
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", help="Only this domain.")] = "",
    days: Annotated[int, typer.Option(min=1, max=20, help="How far back to look.")] = 7,
    legacy: Annotated[
        bool, typer.Option("--legacy", help="Only those that needed TLS 1.0 or 1.1, or old ciphers.")
    ] = False,
) -> None:
    """Lists devices: when they were last here, how old their TLS is, what went wrong last.

    With --legacy, once a week, it says which ones stand in the way of closing
    listen.submissions_legacy, listen.submission_legacy and tls.devices.
    """
    context = Context.load()
    with reader(context) as directory:
        domain = domain and known_domain(directory, domain).name
        found = [one for one in directory.accounts(domain) if one.kind == "device"]
        entries = {one.id: directory.device_entry(one.id) for one in found}
    rows = [
        {
            "address": str(one.address),
            **device_report.row(record),
            "without_login": list(entries[one.id].networks),
        }
        for one, record in device_report.records(context, found, days=days)
        if not legacy or record.age in ("legacy", "old ciphers")
    ]
    show(rows, None if rows else "")
    if not rows:
        talk(f"no device needed old TLS in {days} days" if legacy else "there are no devices")


@app.command()
def allow(address: AddressArgument, network: NetworkOption = None, to: ToOption = None) -> None:
    """Lets a device that cannot log in send from its network, without user name and password.

    Its sender is always ADDRESS; it may write to its own domain, or to those named with
    --to; its limits are those of every device.  It connects to the submission ports, with
    TLS or without.  One network is one device: everybody behind the same address is it.
    """
    if not network and not to:
        fail(os.EX_USAGE, "name a --network it sends from, or a domain it may write --to")
    with writer() as directory:
        entry = directory.devices.allow(address, networks=network or [], domains=to or [])
    show(_row(address, entry), _sentence(address, entry))
    wide = [text for text in entry.networks if parse_network(text).num_addresses > 1]
    if wide:
        talk(f"warning: whatever sends from {', '.join(wide)} is {address} now; best name its own address")


@app.command()
def forbid(address: AddressArgument, network: NetworkOption = None, to: ToOption = None) -> None:
    """Takes networks and domains back; without any, everything: the device must log in again."""
    with writer() as directory:
        entry = directory.devices.forbid(address, networks=network or [], domains=to or [])
    show(_row(address, entry), _sentence(address, entry))


def _device(directory: Directory, address: str) -> Account:
    found = account(directory, address)
    if found.kind != "device":
        fail(
            os.EX_DATAERR,
            f"{found.address} is a {found.kind}; make a device with"
            " 'mailstack user add ADDRESS --kind device', or change it with 'mailstack user set'",
        )
    return found


def _row(address: str, entry: DeviceEntry) -> dict[str, object]:
    return {"address": address, "networks": entry.networks, "domains": entry.domains}


def _sentence(address: str, entry: DeviceEntry) -> str:
    if not entry.networks:
        return f"{address} must log in"
    domains = ", ".join(entry.domains) or "no domain"
    return f"{address} sends from {', '.join(entry.networks)} without a login, to {domains}"
