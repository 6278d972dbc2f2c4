"""Sections `[server]` and `[listen]` of the configuration."""

from __future__ import annotations

import ipaddress

import msgspec

from mailstack.model.address import Address, AddressError, parse_domain
from mailstack.model.errors import ConfigError, PermanentFailure
from mailstack.model.language import Language


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[server]`: the machine and the processes."""

    #: Full name of this host in greeting, HELO, Received and DSNs; empty: the system's host name.
    hostname: str = ""
    #: Folder of mail, queue, databases and secrets; one file system, never NFS.
    state_dir: str = "/var/lib/mailstack"
    #: Folder of sockets and pid files; empty: "run" inside state_dir.
    run_dir: str = ""
    #: Worker processes per daemon; 0: one per processor core.
    workers: int = 0
    #: Seconds a daemon may take to finish its work after SIGTERM.
    stop_grace_s: float = 30.0
    #: Address that gets postmaster@ and abuse@ of a domain that has none of its own; empty: nobody.
    postmaster: str = ""
    #: Language of what mailstack writes to people whose own is not known: en, fr, de, it, es.
    language: Language = "en"
    #: Time zone of people whose own is not known: their autoresponders and Sieve scripts go by it.
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        _check_hostname(self.hostname)
        for key in ("state_dir", "run_dir"):
            folder = getattr(self, key)
            if (folder or key == "state_dir") and not folder.startswith("/"):
                raise ConfigError(f"server.{key}", f"{folder!r} is not an absolute path")
        if not 0 <= self.workers <= 256:
            raise ConfigError("server.workers", "want 0 <= workers <= 256")
        if not 0 < self.stop_grace_s <= 3600:
            raise ConfigError("server.stop_grace_s", "want 0 < stop_grace_s <= 3600")
        if self.postmaster:
            try:
                Address.parse(self.postmaster)
            except AddressError as error:
                raise ConfigError("server.postmaster", f"{self.postmaster!r}: {error}") from None
        if self.time_zone != "UTC":
            _check_zone(self.time_zone)


class ListenOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[listen]`: "host:port" or "[v6 address]:port" each; an empty list: not at all.

    Sockets handed over by systemd (LISTEN_FDS) are used instead of these.
    """

    #: SMTP from other servers.
    mx: tuple[str, ...] = ("[::]:25",)
    #: Submission with STARTTLS.
    submission: tuple[str, ...] = ("[::]:587",)
    #: Submission with TLS from the first octet.
    submissions: tuple[str, ...] = ("[::]:465",)
    #: Submission with STARTTLS for devices (printers, scanners) with TLS as old as 1.0; no other logins.
    submission_legacy: tuple[str, ...] = ()
    #: The same with TLS from the first octet.
    submissions_legacy: tuple[str, ...] = ()
    #: LMTP from mail servers and list managers: also "unix:/path" for a Unix socket; see [lmtp].
    lmtp: tuple[str, ...] = ()
    #: IMAP with STARTTLS.
    imap: tuple[str, ...] = ("[::]:143",)
    #: IMAP with TLS from the first octet.
    imaps: tuple[str, ...] = ("[::]:993",)
    #: POP3 with STLS.
    pop3: tuple[str, ...] = ("[::]:110",)
    #: POP3 with TLS from the first octet.
    pop3s: tuple[str, ...] = ("[::]:995",)
    #: ManageSieve with STARTTLS.
    sieve: tuple[str, ...] = ("[::]:4190",)

    def __post_init__(self) -> None:
        for key in self.__struct_fields__:
            for text in getattr(self, key):
                try:
                    if key != "lmtp" or not unix_path(text):
                        parse_endpoint(text)
                except ValueError as error:
                    raise ConfigError(f"listen.{key}", str(error)) from None


def unix_path(text: str) -> str:
    """The path of "unix:/path"; "" for another kind of endpoint.

    Raises:
        ValueError: a path that is not absolute.
    """
    kind, _, path = text.partition(":")
    if kind != "unix":
        return ""
    if not path.startswith("/"):
        raise ValueError(f"{text!r}: the path of a Unix socket begins with /")
    return path


def parse_endpoint(text: str) -> tuple[str, int]:
    """IP address (or "localhost") and port of "host:port"; "" and "*" mean every address.

    Raises:
        ValueError: says what is wrong.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) < 65_536:
        raise ValueError(f"{text!r} is not host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in [ ]")
    if host in ("", "*"):
        return "::", int(port)
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"{text!r}: {host!r} is not an IP address") from None
    return host, int(port)


def _check_zone(name: str) -> None:
    from mailstack.directory import zones

    try:
        found = zones.check(name)
    except PermanentFailure as error:
        raise ConfigError("server.time_zone", error.why) from None
    if found != name:
        raise ConfigError(
            "server.time_zone", f"write it {found or 'like Europe/Zurich or UTC'}, not {name!r}"
        )


def _check_hostname(hostname: str) -> None:
    if not hostname:
        return
    try:
        parse_domain(hostname)
    except AddressError:
        raise ConfigError("server.hostname", f"{hostname!r} is not a host name") from None
    if hostname.startswith("[") or "." not in hostname:
        raise ConfigError("server.hostname", f"{hostname!r} is not a full host name with its domain")
