"""Why a TLS handshake failed, in words an operator can act on."""

from __future__ import annotations

import ssl
from typing import Final
from weakref import WeakKeyDictionary

#: What to do about a client that is too old for a context.
_REMEDIES: Final[WeakKeyDictionary[ssl.SSLContext, str]] = WeakKeyDictionary()
_OLD_VERSION: Final = "client offers at most TLS 1.0 or 1.1"
_OLD_CIPHERS: Final = "client has no cipher in common with us"
#: Reasons of OpenSSL that an old client is the cause of.
_OLD: Final = {
    "UNSUPPORTED_PROTOCOL": _OLD_VERSION,
    "VERSION_TOO_LOW": _OLD_VERSION,
    "NO_PROTOCOLS_AVAILABLE": _OLD_VERSION,
    "NO_SHARED_CIPHER": _OLD_CIPHERS,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "client knows no signature we can make",
    "NO_SHARED_SIGNATURE_ALGORITHMS": "client knows no signature we can make",
    "NO_SUITABLE_KEY_SHARE": "client knows no key exchange we can do",
    "UNSUPPORTED_SSL_VERSION": "client offers SSL 3.0 or older",
}
_REASONS: Final = {
    "HTTP_REQUEST": "client speaks HTTP on a TLS port",
    "HTTPS_PROXY_REQUEST": "client speaks HTTP on a TLS port",
    "WRONG_VERSION_NUMBER": "client speaks clear text on a TLS port; it must be set to SSL/TLS, not STARTTLS",
    "PACKET_LENGTH_TOO_LONG": "client speaks no TLS on a TLS port",
    "RECORD_TOO_SMALL": "client speaks no TLS on a TLS port",
    "CALLBACK_FAILED": "client asks for a host name that is none",
    "BAD_EXTENSION": "client sends a broken extension",
    "UNEXPECTED_EOF_WHILE_READING": "client went away during the TLS handshake",
    "TLSV1_ALERT_UNKNOWN_CA": "client does not trust our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "client does not trust our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "client does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "client says our certificate has expired",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "client gives up: it does not accept what we offer",
    "TLSV1_ALERT_PROTOCOL_VERSION": "client gives up: it does not accept our TLS versions",
}


def set_remedy(context: ssl.SSLContext, remedy: str) -> None:
    """Notes what helps a client that is too old for this context."""
    _REMEDIES[context] = remedy


def explain_handshake(error: BaseException, context: ssl.SSLContext | None = None) -> str:
    """Why a handshake with this context failed, in words."""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if reason in _OLD:
            remedy = _REMEDIES.get(context, "") if context is not None else ""
            return f"{_OLD[reason]}; {remedy or 'update it'}"
        return _REASONS.get(reason, f"TLS handshake failed: {reason}")
    if isinstance(error, (TimeoutError, ConnectionAbortedError)):
        return "TLS handshake timed out; perhaps the client waits for a greeting in clear text"
    if isinstance(error, ConnectionResetError):
        return "client went away during the TLS handshake"
    return f"TLS handshake failed: {error}"
