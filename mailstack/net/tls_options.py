"""Section `[tls]`: certificates and how old a client may be."""

from __future__ import annotations

import ipaddress

import msgspec

from mailstack.model.errors import ConfigError


class TlsName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[tls.names]]`: the certificate of host names that the one of `[tls]` does not hold.

    A client says in the handshake (SNI) which name it wants, so the mail programs of every
    hosted domain find a certificate with its own name.  One that cannot be used is reported,
    and the certificate of `[tls]` is served in its place.
    """

    #: Certificate chain, best RSA-2048.
    certificate_file: str
    #: Its private key.
    key_file: str
    #: A second chain (ECDSA) for clients that can use it; "" for none.
    ecdsa_certificate_file: str = ""
    #: Its private key.
    ecdsa_key_file: str = ""
    #: Host names it is for, also "*.example.org"; empty: those that stand in the certificate.
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses half a pair."""
        _check_pairs("tls.names", self)


class TlsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[tls]` of conf/mailstack.toml.

    Files are PEM.  They are read again when they change; a change that cannot be used
    keeps the old ones and is logged.
    """

    #: Certificate chain, best RSA-2048: old printers know nothing newer. "": no TLS.
    certificate_file: str = ""
    #: Its private key.
    key_file: str = ""
    #: A second chain (ECDSA) for clients that can use it; "" for none.
    ecdsa_certificate_file: str = ""
    #: Its private key.
    ecdsa_key_file: str = ""
    #: Seconds between two looks whether the files changed.
    reload_s: float = 5.0
    #: Let other servers use TLS 1.0 and 1.1 on port 25: weak encryption beats none.
    mx_tls_legacy: bool = False
    #: Addresses or networks of devices that may use TLS 1.0 and old ciphers on 465 and 587.
    devices: tuple[str, ...] = ()
    #: Days before a certificate ends from which that is said in the log, once a day.
    warn_days: float = 10
    #: Certificates for other host names.
    names: tuple[TlsName, ...] = ()

    def __post_init__(self) -> None:
        """Refuses half a pair and what is no network."""
        _check_pairs("tls", self)
        for device in self.devices:
            try:
                ipaddress.ip_network(device, strict=False)
            except ValueError as error:
                raise ConfigError("tls.devices", f"{device!r} is no address or network: {error}") from None


def _check_pairs(where: str, options: TlsName | TlsOptions) -> None:
    for certificate, key in (
        ("certificate_file", "key_file"),
        ("ecdsa_certificate_file", "ecdsa_key_file"),
    ):
        if bool(getattr(options, certificate)) != bool(getattr(options, key)):
            raise ConfigError(f"{where}.{key}", f"{certificate} and {key} go together")
