"""Section `[lmtp]`: who may hand mail over by LMTP."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from mailstack.model.errors import ConfigError
from mailstack.smtp.options import Cap

_MODE = re.compile(r"0?[0-7]{3}\Z")


class LmtpOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[lmtp]` of conf/mailstack.toml.

    The ports and sockets stand in `listen.lmtp`.  Mail that comes here is taken from a server
    that is trusted: it is filed as spam where it is spam, and never refused for what it says.
    """

    #: Addresses or networks that may connect to the TCP ports of `listen.lmtp`.
    networks: tuple[str, ...] = ("127.0.0.0/8", "::1")
    #: Permissions of the Unix sockets of `listen.lmtp`, in octal; who may write may deliver.
    socket_mode: str = "0660"
    #: Sessions in one process. "off": no limit.
    sessions: Cap = 100
    #: Seconds a whole session may last.
    session_s: float = 7200

    def __post_init__(self) -> None:
        """Refuses what is no network and no mode."""
        for network in self.networks:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError as error:
                raise ConfigError("lmtp.networks", f"{network!r} is no address or network: {error}") from None
        if not _MODE.match(self.socket_mode):
            raise ConfigError("lmtp.socket_mode", f'{self.socket_mode!r} is no mode such as "0660"')

    @property
    def mode(self) -> int:
        """The socket's permissions as a number."""
        return int(self.socket_mode, 8)
