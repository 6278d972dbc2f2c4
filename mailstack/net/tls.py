"""TLS contexts per kind of port, client address and host name; and STARTTLS.

Who may be how old stands in the limits, section 8: other servers on port 25 get what
beats clear text, people get TLS 1.2, listed devices on 465 and 587 get anything.  The
client says which host name it wants (SNI); whoever says none, an address or a name we
have no certificate of gets that of `[tls]`, whose RSA chain the oldest printers can use.

STARTTLS box: nothing that was read in clear may survive the handshake (T3).  The caller
stops feeding its parser at the command, checks that nothing is held, answers, and calls
`start_tls`; what arrives until that returns is already decrypted and may be held.

Standards: RFC 6066 section 3 (SNI), RFC 6125 section 6.4.3 (wild cards), RFC 3207 section 4.2.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from mailstack.model.errors import ConfigError
from mailstack.model.network import Networks
from mailstack.net.handshake import explain_handshake
from mailstack.net.tls_chain import Chain, Kind, end_point_of
from mailstack.net.tls_options import TlsOptions

__all__ = ("Kind", "TlsContexts", "TlsFailed", "describe", "end_point", "lighten_asyncio", "start_tls")

_ALL: Final[tuple[Kind, ...]] = ("mx", "submission", "access", "legacy")

_log = logging.getLogger(__name__)


class TlsFailed(Exception):
    """The handshake did not come about; `why` in words.  The connection is closed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class TlsContexts:
    """The server's TLS contexts.

    Args:
        options: section `[tls]`.
        alarm: told in one sentence when a file cannot be used.
        kinds: what this daemon serves.

    Raises:
        ConfigError: a file of `[tls]` itself is missing, unreadable, or key and certificate
            do not match.
    """

    def __init__(
        self,
        options: TlsOptions,
        *,
        alarm: Callable[[str], None] = lambda _: None,
        kinds: Sequence[Kind] = _ALL,
    ) -> None:
        self._options = options
        self._alarm = alarm
        self._devices = Networks(options.devices)
        self._checked_at = time.monotonic()
        self._default: Chain | None = None
        self._chains: list[Chain] = []
        self._by_name: dict[str, Chain] = {}
        if options.names:
            _hide_names_that_are_none()
        if options.certificate_file:
            self._default = Chain("tls", options, options, alarm=alarm, made=self._made)
            self._default.load(kinds, now=time.time())
            self._load_names(kinds[0])

    @property
    def is_available(self) -> bool:
        """False when no certificate is configured."""
        return self._default is not None

    def get(self, kind: Kind, ip: str = "") -> ssl.SSLContext:
        """The context for a client that has not said yet which name it wants.

        Args:
            ip: unmapped address; decides whether a device's old TLS is taken.

        Raises:
            ConfigError: there is no certificate.
        """
        if self._default is None:
            raise ConfigError("tls.certificate_file", "TLS needs a certificate and its key")
        self._reload_when_changed()
        found = self._default.get("legacy" if kind == "submission" and self.is_device(ip) else kind)
        if found is None:
            raise ConfigError("tls.certificate_file", "the certificate cannot be used; the log says why")
        return found

    def chooser(self, kind: Kind) -> Callable[[str], ssl.SSLContext]:
        """`get` for one kind, as a listener wants it."""
        return lambda ip: self.get(kind, ip)

    def is_device(self, ip: str) -> bool:
        """True when the address is listed in `tls.devices`."""
        return ip in self._devices

    # -- other names (SNI) ---------------------------------------------------------------

    def _load_names(self, kind: Kind) -> None:
        for files in self._options.names:
            chain = Chain("tls.names", files, self._options, alarm=self._alarm)
            self._chains.append(chain)
            try:
                chain.load((kind,), now=time.time())
            except ConfigError as error:
                # One customer's broken file is no reason to serve nobody.
                self._alarm(f"{error}; its names get the certificate of tls.certificate_file")
        self._index()

    def _index(self) -> None:
        """Which chain has which name; the first of several."""
        self._by_name = {}
        for chain in self._chains:
            for name in chain.names:
                self._by_name.setdefault(name, chain)

    def _made(self, kind: Kind, context: ssl.SSLContext) -> None:
        if self._options.names:
            context.sni_callback = partial(self._switch, kind)

    def _switch(
        self, kind: Kind, tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext
    ) -> None:
        """The client has said which name it wants; it must not raise."""
        if not name:
            return
        try:
            chain = self._find(name.lower().rstrip("."))
            if chain is None or (kind == "legacy" and not chain.has_rsa):
                return
            context = chain.get(kind)
            if context is not None:
                tls.context = context
        except Exception:  # OpenSSL would end the handshake with an alert nobody can explain
            _log.exception("certificate for %r", name)

    def _find(self, name: str) -> Chain | None:
        # RFC 6125 section 6.4.3: the star stands for exactly one label.
        return self._by_name.get(name) or self._by_name.get(f"*.{name.partition('.')[2]}")

    # -- changes ---------------------------------------------------------------------------

    def _reload_when_changed(self) -> None:
        now = time.monotonic()
        if now - self._checked_at < self._options.reload_s:
            return
        self._checked_at = now
        assert self._default is not None
        self._default.refresh(now=time.time())
        changed = [chain.refresh(now=time.time()) for chain in self._chains]
        if any(changed):
            self._index()


def _hide_names_that_are_none() -> None:
    """Keeps strangers from writing tracebacks into the log.

    Python's ssl decodes the name a client asks for as ASCII, ends the handshake when it is
    not, and reports that as an exception nobody could catch; `CALLBACK_FAILED` says it too.
    """
    if sys.unraisablehook is not _hook:
        _before.append(sys.unraisablehook)
        sys.unraisablehook = _hook


_before: Final[list[Callable[[sys.UnraisableHookArgs], object]]] = []


def _hook(what: sys.UnraisableHookArgs) -> None:
    if not (isinstance(what.exc_value, UnicodeDecodeError) and isinstance(what.object, bytes)):
        _before[-1](what)


def end_point(transport: asyncio.BaseTransport) -> bytes:
    """The hash of the certificate a client was shown; b"" without TLS or where there are several.

    Source: RFC 5929 section 4.1.
    """
    tls = transport.get_extra_info("ssl_object")
    return end_point_of(None if tls is None else tls.context)


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
        raise TlsFailed(explain_handshake(error, context)) from None
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
