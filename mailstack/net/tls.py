"""TLS contexts per listener kind and client address, reloaded when the files change.

Who may be how old stands in the limits, section 8: other servers on port 25 get what
beats clear text, people get TLS 1.2, listed devices on 465 and 587 get anything.

STARTTLS box: nothing that was read in clear may survive the handshake (T3).  The caller
stops feeding its parser at the command, checks that nothing is held, answers, and calls
`start_tls`; what arrives until that returns is already decrypted and may be held.

Standards: RFC 8996, RFC 9325, RFC 3207 section 4.2, RFC 5929 section 4.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from mailstack.model.errors import ConfigError
from mailstack.net.listener import explain_handshake
from mailstack.net.tls_options import TlsOptions

#: "mx": port 25; "submission": 465 and 587; "access": IMAP and the like.
Kind = Literal["mx", "submission", "access"]

_STRICT_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
# RFC 9325 would drop RSA key exchange and CBC; printers with TLS 1.2 have nothing else.
_WIDE_CIPHERS: Final = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=1"
)
_LEGACY_CIPHERS: Final = "DEFAULT:@SECLEVEL=0"
#: What SCRAM binds to, of contexts that have one certificate.
_END_POINTS: Final[WeakKeyDictionary[ssl.SSLContext, bytes]] = WeakKeyDictionary()


class TlsFailed(Exception):
    """The handshake did not come about; `why` in words.  The connection is closed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class TlsContexts:
    """The server's TLS contexts.

    Args:
        options: section `[tls]`.
        alarm: told in one sentence when a changed file cannot be used.

    Raises:
        ConfigError: a file is missing, unreadable, or key and certificate do not match.
    """

    def __init__(self, options: TlsOptions, *, alarm: Callable[[str], None] = lambda _: None) -> None:
        self._options = options
        self._alarm = alarm
        self._devices = [ipaddress.ip_network(device, strict=False) for device in options.devices]
        self._checked_at = time.monotonic()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._stamps = self._stat()
        if options.certificate_file:
            self._contexts = _build(options)
            if why := _not_valid_now(options):
                self._alarm(why)

    @property
    def is_available(self) -> bool:
        """False when no certificate is configured."""
        return bool(self._contexts)

    def get(self, kind: Kind, ip: str = "") -> ssl.SSLContext:
        """The context for a client.

        Args:
            ip: unmapped address; decides whether a device's old TLS is taken.

        Raises:
            ConfigError: there is no certificate.
        """
        if not self._contexts:
            raise ConfigError("tls.certificate_file", "TLS needs a certificate and its key")
        self._reload_when_changed()
        if kind == "submission" and self.is_device(ip):
            return self._contexts["legacy"]
        return self._contexts[kind]

    def chooser(self, kind: Kind) -> Callable[[str], ssl.SSLContext]:
        """`get` for one kind, as a listener wants it."""
        return lambda ip: self.get(kind, ip)

    def is_device(self, ip: str) -> bool:
        """True when the address is listed in `tls.devices`."""
        return bool(self._devices) and _is_in(ip, tuple(self._devices))

    def _reload_when_changed(self) -> None:
        now = time.monotonic()
        if now - self._checked_at < self._options.reload_s:
            return
        self._checked_at = now
        stamps = self._stat()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        # A certificate that was good a moment ago beats one that is not.
        try:
            contexts = _build(self._options)
            why = _not_valid_now(self._options)
        except ConfigError as error:
            why = str(error)
        else:
            if not why:
                self._contexts = contexts
                return
        self._alarm(f"the changed certificate is not used, the old one stays: {why}")

    def _stat(self) -> tuple[tuple[float, int, int], ...]:
        stamps = []
        for path in _files(self._options):
            try:
                found = os.stat(path)
                stamps.append((found.st_mtime, found.st_ino, found.st_size))
            except OSError:
                stamps.append((0.0, 0, 0))
        return tuple(stamps)


def end_point(transport: asyncio.BaseTransport) -> bytes:
    """The hash of the certificate a client was shown; b"" without TLS or where there are several.

    Source: RFC 5929 section 4.1.
    """
    tls = transport.get_extra_info("ssl_object")
    return b"" if tls is None else _END_POINTS.get(tls.context, b"")


def _hash_of(path: str) -> bytes:
    with open(path, "rb") as file:
        certificate = x509.load_pem_x509_certificate(file.read(1_048_576))
    used = certificate.signature_hash_algorithm
    if used is None:
        return b""  # such as Ed25519: RFC 5929 does not say what to hash with
    weak = isinstance(used, hashes.MD5 | hashes.SHA1)
    return certificate.fingerprint(hashes.SHA256() if weak else used)


@lru_cache(maxsize=4096)
def _is_in(ip: str, networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _files(options: TlsOptions) -> list[str]:
    files = (
        options.certificate_file,
        options.key_file,
        options.ecdsa_certificate_file,
        options.ecdsa_key_file,
    )
    return [file for file in files if file]


def _not_valid_now(options: TlsOptions) -> str:
    """ "" or which certificate is outside its dates."""
    now = datetime.now(tz=UTC)
    for path in (options.certificate_file, options.ecdsa_certificate_file):
        if not path:
            continue
        try:
            with open(path, "rb") as file:
                certificate = x509.load_pem_x509_certificate(file.read(1_048_576))
        except (OSError, ValueError) as error:
            raise ConfigError("tls.certificate_file", f"{path}: {error}") from None
        if now > certificate.not_valid_after_utc:
            return f"{path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        if now < certificate.not_valid_before_utc:
            return f"{path} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d}"
    return ""


def _build(options: TlsOptions) -> dict[str, ssl.SSLContext]:
    strict = _context(options, ssl.TLSVersion.TLSv1_2, _STRICT_CIPHERS)
    wide = _context(options, ssl.TLSVersion.TLSv1_2, _WIDE_CIPHERS)
    # @SECLEVEL below 1 is what lets OpenSSL 3 speak TLS 1.0 at all.
    legacy = _context(options, ssl.TLSVersion.TLSv1, _LEGACY_CIPHERS, tickets=False, ecdsa=False)
    if options.mx_tls_legacy:
        mx = _context(options, ssl.TLSVersion.TLSv1, _LEGACY_CIPHERS, tickets=False)
    else:
        mx = _context(options, ssl.TLSVersion.TLSv1_2, _WIDE_CIPHERS, tickets=False)
    return {"access": strict, "submission": wide, "legacy": legacy, "mx": mx}


def _context(
    options: TlsOptions, oldest: ssl.TLSVersion, ciphers: str, *, tickets: bool = True, ecdsa: bool = True
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if not tickets:
        # A large sender fails to resume sessions on port 25; one full handshake is cheaper.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    _set_oldest(context, oldest)
    _load(context, "tls.certificate_file", options.certificate_file, options.key_file)
    if not options.ecdsa_certificate_file and (found := _hash_of(options.certificate_file)):
        _END_POINTS[context] = found
    if options.ecdsa_certificate_file and ecdsa:
        _load(context, "tls.ecdsa_certificate_file", options.ecdsa_certificate_file, options.ecdsa_key_file)
    return context


def _set_oldest(context: ssl.SSLContext, oldest: ssl.TLSVersion) -> None:
    if oldest >= ssl.TLSVersion.TLSv1_2:
        return
    # Python warns of everything below 1.2; here it is asked for, for listed clients only.
    context.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED


def _load(context: ssl.SSLContext, key: str, certificate: str, private: str) -> None:
    try:
        context.load_cert_chain(certificate, private, password=_no_password)
    except FileNotFoundError:
        missing = certificate if not os.path.exists(certificate) else private
        raise ConfigError(key, f"{missing} does not exist") from None
    except PermissionError:
        raise ConfigError(key, f"{certificate} or {private} may not be read by us") from None
    except ssl.SSLError as error:
        what = (
            "key and certificate do not match"
            if error.reason == "KEY_VALUES_MISMATCH"
            else f"not a usable PEM file ({error.reason or error})"
        )
        raise ConfigError(key, f"{certificate} with {private}: {what}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(key, f"{certificate} with {private}: {error}") from None


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key is protected by a password")


async def start_tls(
    transport: asyncio.Transport,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    *,
    handshake_s: float,
) -> asyncio.Transport:
    """Makes a plain connection an encrypted one, as server.

    The caller has checked that it holds no input, and processes none until this returns.

    Args:
        handshake_s: seconds the handshake may take.

    Returns:
        The transport to use from now on.

    Raises:
        TlsFailed: the old transport is closed.
    """
    loop = asyncio.get_running_loop()
    try:
        encrypted = await loop.start_tls(
            transport,
            protocol,
            context,
            server_side=True,
            ssl_handshake_timeout=handshake_s,
            ssl_shutdown_timeout=5.0,
        )
    except (TimeoutError, OSError) as error:
        transport.abort()
        raise TlsFailed(explain_handshake(error)) from None
    if encrypted is None:
        raise TlsFailed("client went away during the TLS handshake")
    return encrypted


def describe(transport: asyncio.BaseTransport) -> str:
    """Version and cipher for `Client.tls`, e.g. "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" in clear."""
    found = transport.get_extra_info("ssl_object")
    if found is None:
        return ""
    cipher = found.cipher()
    return f"{found.version()} {cipher[0]}" if cipher else str(found.version())


def lighten_asyncio() -> None:
    """Lets stock asyncio's TLS take 40 KiB a connection instead of 280; uvloop needs nothing.

    Its SSLProtocol reserves 256 KiB per connection; 17,408 hold the largest record.
    """
    from asyncio import sslproto

    sslproto.SSLProtocol.max_size = 17_408
