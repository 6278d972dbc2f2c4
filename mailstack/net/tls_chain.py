"""One certificate, RSA or ECDSA or both, as contexts for every kind of port.

A chain looks at its files again when it is used and some seconds have passed.  A change
that cannot be used keeps what was there (L10): a certificate that was good a moment ago
beats none.

Standards: RFC 8996, RFC 9325, RFC 5929 section 4.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from mailstack.model.errors import ConfigError
from mailstack.net.handshake import set_remedy
from mailstack.net.pem import Pair, read_pair
from mailstack.net.tls_options import TlsName, TlsOptions

#: "mx": port 25; "submission": 465 and 587; "access": IMAP and the like; "legacy": old devices.
Kind = Literal["mx", "submission", "access", "legacy"]

_DAY_S: Final = 86_400.0
_STRICT_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
# RFC 9325 would drop RSA key exchange and CBC; printers with TLS 1.2 have nothing else.
_WIDE_CIPHERS: Final = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=1"
)
# @SECLEVEL below 1 is what lets OpenSSL 3 speak TLS 1.0 at all.
_LEGACY_CIPHERS: Final = "DEFAULT:@SECLEVEL=0"
#: What SCRAM binds to, of contexts that have one certificate.
_END_POINTS: Final[WeakKeyDictionary[ssl.SSLContext, bytes]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class _Recipe:
    ciphers: str
    remedy: str
    oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    tickets: bool = True
    ecdsa: bool = True


_RECIPES: Final[dict[Kind, _Recipe]] = {
    "access": _Recipe(_STRICT_CIPHERS, "update it"),
    "submission": _Recipe(_WIDE_CIPHERS, "add it to tls.devices or update it"),
    # A large sender fails to resume sessions on port 25; one full handshake is cheaper.
    "mx": _Recipe(_WIDE_CIPHERS, "set tls.mx_tls_legacy, or it sends in clear text", tickets=False),
    "legacy": _Recipe(
        _LEGACY_CIPHERS,
        "it is too old even for legacy TLS; update it",
        ssl.TLSVersion.TLSv1,
        tickets=False,
        ecdsa=False,
    ),
}
_OLD_MX: Final = _Recipe(_LEGACY_CIPHERS, "it sends in clear text", ssl.TLSVersion.TLSv1, tickets=False)


class Chain:
    """A certificate and its contexts.

    Args:
        key: of the configuration, for errors: "tls" or "tls.names".
        files: where it lies.
        options: section `[tls]`.
        alarm: told in one sentence what is wrong with the files.
        made: told of each new context.

    Attributes:
        names: host names it is for, lower case; "*.example.org" too.
        has_rsa: old devices can use it.
    """

    def __init__(
        self,
        key: str,
        files: TlsName | TlsOptions,
        options: TlsOptions,
        *,
        alarm: Callable[[str], None],
        made: Callable[[Kind, ssl.SSLContext], None] = lambda kind, context: None,
    ) -> None:
        self._key = key
        self._files = files
        self._options = options
        self._alarm = alarm
        self._made = made
        self._stamps: tuple[tuple[float, int, int], ...] = ()
        self._contexts: dict[Kind, ssl.SSLContext] = {}
        self._pairs: list[Pair] = []
        self._ends_at = 0.0
        self._warned_at = 0.0
        self.has_rsa = True
        self.names: tuple[str, ...] = ()

    def load(self, kinds: Iterable[Kind], *, now: float) -> None:
        """Reads the files for the first time; what is outside its dates is served with an alarm.

        Args:
            kinds: contexts to make at once; others are made when they are asked for.
            now: Unix seconds.

        Raises:
            ConfigError: a file is missing, unreadable, or key and certificate do not match.
        """
        self._stamps = self._stat()
        why = self._read(kinds, now)
        if why:
            self._warned_at = now
            self._alarm(why)

    def refresh(self, *, now: float) -> bool:
        """Looks whether the files changed; True when there are new contexts."""
        self._warn(now)
        stamps = self._stat()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        old = self._pairs, self._contexts, self.names, self._ends_at, self.has_rsa
        try:
            why = self._read(tuple(self._contexts) or ("access",), now)
        except ConfigError as error:
            why = str(error)
        if why and old[0]:
            self._pairs, self._contexts, self.names, self._ends_at, self.has_rsa = old
            self._alarm(f"the changed certificate is not used, the old one stays: {why}")
            return False
        if why:
            self._alarm(why)
        return bool(self._contexts)

    def get(self, kind: Kind) -> ssl.SSLContext | None:
        """The context; None when the files cannot be used."""
        found = self._contexts.get(kind)
        if found is None and self._pairs:
            found = self._contexts[kind] = self._context(kind, self._pairs)
        return found

    # -- the files ---------------------------------------------------------------------

    def _stat(self) -> tuple[tuple[float, int, int], ...]:
        files, stamps = self._files, []
        for path in (
            files.certificate_file,
            files.key_file,
            files.ecdsa_certificate_file,
            files.ecdsa_key_file,
        ):
            try:
                found = os.stat(path)
                stamps.append((found.st_mtime, found.st_ino, found.st_size))
            except OSError:
                stamps.append((0.0, 0, 0))
        return tuple(stamps)

    def _read(self, kinds: Iterable[Kind], now: float) -> str:
        """Makes everything anew; gives why the certificate is outside its dates, or ""."""
        files = self._files
        pairs = [read_pair(f"{self._key}.certificate_file", files.certificate_file, files.key_file)]
        if files.ecdsa_certificate_file:
            key = f"{self._key}.ecdsa_certificate_file"
            pairs.append(read_pair(key, files.ecdsa_certificate_file, files.ecdsa_key_file))
        made = {kind: self._context(kind, pairs) for kind in kinds}
        leaves = [pair.leaf for pair in pairs]
        self._pairs, self._contexts = pairs, made
        self.has_rsa = isinstance(leaves[0].public_key(), rsa.RSAPublicKey)
        self._ends_at = min(leaf.not_valid_after_utc.timestamp() for leaf in leaves)
        self.names = self._wanted_names(leaves[0])
        for pair in pairs:
            if now > pair.leaf.not_valid_after_utc.timestamp():
                return f"{pair.path} expired on {pair.leaf.not_valid_after_utc:%Y-%m-%d}"
            if now < pair.leaf.not_valid_before_utc.timestamp():
                return f"{pair.path} is valid only from {pair.leaf.not_valid_before_utc:%Y-%m-%d}"
        return ""

    def _wanted_names(self, certificate: x509.Certificate) -> tuple[str, ...]:
        if isinstance(self._files, TlsName) and self._files.names:
            return tuple(name.lower() for name in self._files.names)
        try:
            held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, x509.ExtensionNotFound):
            return ()
        return tuple(name.lower() for name in held.get_values_for_type(x509.DNSName))

    def _warn(self, now: float) -> None:
        left_s = self._ends_at - now
        if not self._contexts or left_s > self._options.warn_days * _DAY_S:
            return
        if now - self._warned_at >= _DAY_S:
            self._warned_at = now
            ends = datetime.fromtimestamp(self._ends_at, tz=UTC)
            word = "ends" if left_s > 0 else "ended"
            self._alarm(f"the certificate {self._files.certificate_file} {word} on {ends:%Y-%m-%d}; renew it")

    # -- the contexts ------------------------------------------------------------------

    def _context(self, kind: Kind, pairs: Sequence[Pair]) -> ssl.SSLContext:
        recipe = _OLD_MX if kind == "mx" and self._options.mx_tls_legacy else _RECIPES[kind]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(recipe.ciphers)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        if not recipe.tickets:
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        _set_oldest(context, recipe.oldest)
        for pair in pairs if recipe.ecdsa else pairs[:1]:
            pair.use(context)
        if len(pairs) == 1 and (found := pairs[0].fingerprint()):
            _END_POINTS[context] = found
        set_remedy(context, recipe.remedy)
        self._made(kind, context)
        return context


def end_point_of(context: ssl.SSLContext | None) -> bytes:
    """The hash of the context's certificate; b"" where there are several.

    Source: RFC 5929 section 4.1.
    """
    return b"" if context is None else _END_POINTS.get(context, b"")


def _set_oldest(context: ssl.SSLContext, oldest: ssl.TLSVersion) -> None:
    if oldest >= ssl.TLSVersion.TLSv1_2:
        return
    # Python warns of everything below 1.2; here it is asked for, for listed clients only.
    context.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
