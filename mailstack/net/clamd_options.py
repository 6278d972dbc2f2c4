"""Section `[clamd]` of the configuration: a virus scanner that is asked about mail from outside."""

from __future__ import annotations

import ipaddress
from typing import Literal

import msgspec

from mailstack.model.errors import ConfigError

DEFAULT_PORT = 3310


class ClamdOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[clamd]`."""

    #: Where clamd listens: "unix:/run/clamav/clamd.ctl" or "127.0.0.1:3310"; empty: no mail is scanned.
    address: str = ""
    #: What is done with a virus: "refuse" answers 550, "spam" files it, "mark" only says so in its header.
    on_virus: Literal["refuse", "spam", "mark"] = "refuse"
    #: Seconds a scan may take, never more than half of filter.budget_s; then mail goes on, not scanned.
    budget_s: float = 4.0
    #: Larger messages are not scanned; StreamMaxLength of clamd.conf must be as large, in octets.
    max_octets: int = 26_214_400
    #: Messages scanned at one time; clamd has MaxThreads.
    connections: int = 8
    #: Scans in a row that fail before clamd is left alone for `rest_s` seconds.
    failures: int = 3
    #: Seconds it is left alone then; mail goes on, not scanned.
    rest_s: float = 30.0

    def __post_init__(self) -> None:
        if self.address:
            parse_address(self.address)
        if not 0 < self.budget_s <= 60:
            raise ConfigError("clamd.budget_s", "want 0 < budget_s <= 60")
        if not 0 < self.rest_s <= 3_600:
            raise ConfigError("clamd.rest_s", "want 0 < rest_s <= 3600")
        if not 1 <= self.connections <= 1_000:
            raise ConfigError("clamd.connections", "want 1 <= connections <= 1000")
        if self.max_octets < 1 or self.failures < 1:
            raise ConfigError("clamd", "max_octets and failures must be positive")


def parse_address(text: str) -> str | tuple[str, int]:
    """The path of a Unix socket, or host and port.

    Raises:
        ConfigError: it is neither.
    """
    kind, _, path = text.partition(":")
    if kind == "unix":
        if not path.startswith("/"):
            raise ConfigError("clamd.address", f"{text!r}: the path of a Unix socket begins with /")
        return path
    host, port = text, str(DEFAULT_PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        if host != "localhost":
            ipaddress.ip_address(host)
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ValueError
    except ValueError:
        raise ConfigError(
            "clamd.address", f'{text!r} is neither "unix:/path" nor an IP address with a port'
        ) from None
    return "127.0.0.1" if host == "localhost" else host, int(port)
