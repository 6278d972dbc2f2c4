"""Secrets in the database, encrypted with a key that lies outside it (T90).

AES-256-GCM under `secrets/master.key`.  What the secret belongs to is authenticated with
it, so that a ciphertext copied into another row does not open there.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mailstack.model.errors import TemporaryFailure

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_OCTETS = 32
_NONCE_OCTETS = 12


class Sealer:
    """Encrypts and decrypts with one master key.

    Attributes:
        master_id: names the key in the rows it encrypted.
    """

    def __init__(self, key: bytes) -> None:
        """Takes the key; ValueError unless it has 32 octets."""
        if len(key) != KEY_OCTETS:
            raise ValueError("a master key has 32 octets")
        self._key = key
        self.master_id = hashlib.sha256(b"mailstack master key\0" + key).hexdigest()[:16]

    @cached_property
    def _cipher(self) -> AESGCM:
        # Many processes only derive keys; the library would cost each of them megabytes.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    def derive(self, purpose: str) -> bytes:
        """A key of 32 octets for one purpose, the same at every start."""
        return hmac.digest(self._key, b"mailstack derived key\0" + purpose.encode(), "sha256")

    def seal(self, secret: bytes, belongs_to: str, random_bytes: Callable[[int], bytes]) -> bytes:
        """The nonce and the ciphertext.

        Args:
            belongs_to: whose secret it is, e.g. "dkim example.org 202501r".
        """
        nonce = random_bytes(_NONCE_OCTETS)
        return nonce + self._cipher.encrypt(nonce, secret, belongs_to.encode())

    def open(self, sealed: bytes, belongs_to: str, master_id: str) -> bytes:
        """The secret.

        Raises:
            TemporaryFailure: sealed with another master key, or damaged.
        """
        from cryptography.exceptions import InvalidTag

        if master_id != self.master_id:
            raise TemporaryFailure(
                f"the secret of {belongs_to} was encrypted with master key {master_id},"
                f" but secrets/master.key is {self.master_id}: restore the old file"
            )
        try:
            nonce, text = sealed[:_NONCE_OCTETS], sealed[_NONCE_OCTETS:]
            return self._cipher.decrypt(nonce, text, belongs_to.encode())
        except (InvalidTag, ValueError) as error:
            raise TemporaryFailure(f"the secret of {belongs_to} is damaged") from error


def load(path: Path) -> Sealer:
    """The sealer of a key file.

    Raises:
        TemporaryFailure: missing, unreadable, or not 32 octets long.
    """
    try:
        key = path.read_bytes()
    except OSError as error:
        raise TemporaryFailure(f"the master key {path} cannot be read: {error.strerror}") from error
    if len(key) != KEY_OCTETS:
        raise TemporaryFailure(f"the master key {path} has {len(key)} octets instead of {KEY_OCTETS}")
    return Sealer(key)


def create(path: Path, random_bytes: Callable[[int], bytes]) -> None:
    """Makes a key file, mode 0600, durable; FileExistsError when there is one."""
    from mailstack.disk.durable import sync_folder, write_synced

    write_synced(path, [random_bytes(KEY_OCTETS)], mode=0o600)
    os.chmod(path, 0o600)
    sync_folder(path.parent)
