"""Certificate files as they were at one moment: read once, used for as many contexts as needed.

Python's `load_cert_chain` takes paths only, and a file that is renewed between two
contexts would leave half of them with another certificate; so it is given the octets
that were read, through an unnamed file in memory.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from mailstack.model.errors import ConfigError

#: A chain is a few kilobytes.
MAX_FILE_OCTETS: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain with its key.

    Attributes:
        key_name: of the configuration, for errors.
        path, key_path: where it was read.
        leaf: the server's own certificate.
    """

    key_name: str
    path: str
    key_path: str
    chain: bytes
    key: bytes
    leaf: x509.Certificate

    def use(self, context: ssl.SSLContext) -> None:
        """Gives it to a context.

        Raises:
            ConfigError: key and certificate do not match, or cannot be used.
        """
        try:
            with _in_memory(self.chain) as chain, _in_memory(self.key) as key:
                context.load_cert_chain(chain, key, password=_no_password)
        except ssl.SSLError as error:
            what = (
                "key and certificate do not match"
                if error.reason == "KEY_VALUES_MISMATCH"
                else f"not a usable PEM file ({error.reason or error})"
            )
            raise ConfigError(self.key_name, f"{self.path} with {self.key_path}: {what}") from None
        except (OSError, ValueError) as error:
            raise ConfigError(self.key_name, f"{self.path} with {self.key_path}: {error}") from None

    def fingerprint(self) -> bytes:
        """What tls-server-end-point binds to (RFC 5929 section 4.1); b"" where the RFC is silent."""
        return fingerprint_of(self.leaf)


def fingerprint_of(leaf: x509.Certificate) -> bytes:
    """What tls-server-end-point binds to with a server's certificate; b"" where the RFC is silent."""
    used = leaf.signature_hash_algorithm
    if used is None:
        return b""  # such as Ed25519: RFC 5929 does not say what to hash with
    weak = isinstance(used, hashes.MD5 | hashes.SHA1)
    return leaf.fingerprint(hashes.SHA256() if weak else used)


def read_pair(key_name: str, path: str, key_path: str) -> Pair:
    """Reads a chain and its key.

    Raises:
        ConfigError: missing, unreadable, or no certificate.
    """
    chain, key = _read(key_name, path), _read(key_name, key_path)
    try:
        leaf = x509.load_pem_x509_certificate(chain)
    except ValueError as error:
        raise ConfigError(key_name, f"{path}: not a usable PEM file ({error})") from None
    return Pair(key_name, path, key_path, chain, key, leaf)


def _read(key_name: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE_OCTETS)
    except FileNotFoundError:
        raise ConfigError(key_name, f"{path} does not exist") from None
    except PermissionError:
        raise ConfigError(key_name, f"{path} may not be read by us") from None
    except (OSError, ValueError) as error:
        raise ConfigError(key_name, f"{path}: {error}") from None


@contextlib.contextmanager
def _in_memory(octets: bytes) -> Iterator[str]:
    """The path of a file in memory; every opening begins at its first octet."""
    with os.fdopen(os.memfd_create("mailstack", os.MFD_CLOEXEC), "wb") as file:
        file.write(octets)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key is protected by a password")
