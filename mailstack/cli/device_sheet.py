"""The settings sheet of a printer or scanner: what to type where, and what cannot work."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from mailstack.app.notices import size
from mailstack.app.options import parse_endpoint
from mailstack.directory.values import DeviceEntry
from mailstack.model.directory import Account
from mailstack.smtp.policy import limits, sending

if TYPE_CHECKING:
    from mailstack.app.config import Config


def facts(config: Config, account: Account, entry: DeviceEntry) -> dict[str, object]:
    """The sheet for programs."""
    listen = config.listen
    messages = sending.caps_of(account, config.sending).messages_per_day
    return {
        "address": str(account.address),
        "server": config.hostname,
        "ports": {
            "tls": _ports(listen.submissions),
            "starttls": _ports(listen.submission),
            "legacy_tls": _ports(listen.submissions_legacy),
            "legacy_starttls": _ports(listen.submission_legacy),
        },
        "user": str(account.address),
        "sender": str(account.address),
        "recipients_per_message": limits.recipients(account, config.smtp),
        "messages_per_day": messages,
        "message_octets": limits.message_octets(account, config.smtp),
        "legacy_networks": list(config.tls.devices),
        "without_login": {"networks": list(entry.networks), "domains": list(entry.domains)},
    }


def text(config: Config, account: Account, entry: DeviceEntry) -> str:
    """The sheet for people."""
    lines = [f"Settings for {account.address}, a printer or scanner that sends by e-mail", ""]
    lines += [f"  {name + ':':<24} {value}" for name, value in _rows(config, account)]
    lines += ["", "Good to know"]
    for note in _notes(config, account, entry):
        lines += textwrap.wrap(note, 100, initial_indent="  - ", subsequent_indent="    ")
    return "\n".join(lines)


def _rows(config: Config, account: Account) -> list[tuple[str, str]]:
    rows = [("Server (SMTP)", config.hostname)]
    for number, port in enumerate(_ports(config.listen.submissions)):
        name = "or port" if number else "Port"
        rows.append((name, f"{port}, encryption SSL/TLS (also called SMTPS)"))
    for port in _ports(config.listen.submission):
        rows.append(("or port" if len(rows) > 1 else "Port", f"{port}, encryption STARTTLS"))
    most = sending.caps_of(account, config.sending).messages_per_day
    return [
        *rows,
        ("Authentication", "on, SMTP AUTH: LOGIN or PLAIN (not POP before SMTP)"),
        ("User name", f"{account.address} (the whole address)"),
        ("Password", "the password of this address, or an app password for SMTP"),
        ("Sender (From)", str(account.address)),
        ("Recipients a message", f"{limits.recipients(account, config.smtp)} at most"),
        ("Messages a day", "as many as you like" if most is None else f"{most} at most"),
        ("Size of a message", f"{size(limits.message_octets(account, config.smtp))} at most"),
    ]


def _notes(config: Config, account: Account, entry: DeviceEntry) -> list[str]:
    notes = [
        f"Type the server's name, not a number: the certificate is for {config.hostname}, and the IP"
        " address may change. A device that takes nothing but an IP address cannot be set up. A device"
        " that does not find the name lacks a DNS server in its network settings.",
        "The sender may be left as the device has it: another From is replaced by the address above, and"
        " whom it named gets the replies. Nobody can write to this address.",
        "When it does not trust the certificate, load the root certificate of its authority into the device,"
        " or update its software; it is sent an RSA certificate when it knows no other.",
        "Set the device's clock from the network (NTP); a Date that is days off is replaced.",
        _old_tls(config),
    ]
    if entry.networks:
        notes.append(
            f"Without user name and password, and also without encryption, it may send from"
            f" {', '.join(entry.networks)} to addresses in {', '.join(entry.domains) or 'no domain'}."
        )
    notes.append(f"When something fails: 'mailstack user show {account.address}' tells the last error.")
    return notes


def _old_tls(config: Config) -> str:
    legacy = [
        *(f"{port} (SSL/TLS)" for port in _ports(config.listen.submissions_legacy)),
        *(f"{port} (STARTTLS)" for port in _ports(config.listen.submission_legacy)),
    ]
    ways = []
    if legacy:
        ways.append(f"on port {' or '.join(legacy)}")
    if config.tls.devices:
        ways.append(f"from {', '.join(config.tls.devices)} on any of the ports above")
    if ways:
        return f"The device needs TLS 1.2. With TLS 1.0 or 1.1 alone it can send {', or '.join(ways)}."
    return (
        "The device needs TLS 1.2; update its software. For one with TLS 1.0 or 1.1 alone the operator"
        " opens listen.submissions_legacy, or lists its address in tls.devices."
    )


def _ports(endpoints: tuple[str, ...]) -> list[int]:
    return list(dict.fromkeys(parse_endpoint(endpoint)[1] for endpoint in endpoints))
