"""A SCRAM-SHA-256 client, written from RFC 5802 alone: what ours is tested against."""

from __future__ import annotations

import base64
import hashlib
import hmac


class ScramClient:
    """`first`, `final`, `check`: the three things a client does."""

    def __init__(
        self,
        user: str,
        password: str,
        *,
        nonce: str = "rOprNGfwEbeRWgbNEkqO",
        flag: str = "n",
        binding: bytes = b"",
        authzid: str = "",
    ) -> None:
        name = user.replace("=", "=3D").replace(",", "=2C")
        self._gs2 = f"{flag},{'a=' + authzid if authzid else ''},"
        self._bare = f"n={name},r={nonce}"
        self._password = password
        self._binding = binding
        self._messages = b""
        self._salted = b""

    def first(self) -> bytes:
        """client-first-message, base64."""
        return base64.b64encode((self._gs2 + self._bare).encode())

    def final(self, challenge: bytes) -> bytes:
        """client-final-message, base64, to the server's first."""
        first = base64.b64decode(challenge).decode()
        fields = dict(part.split("=", 1) for part in first.split(","))
        self._salted = hashlib.pbkdf2_hmac(
            "sha256", self._password.encode(), base64.b64decode(fields["s"]), int(fields["i"])
        )
        channel = base64.b64encode(self._gs2.encode() + self._binding).decode()
        unproven = f"c={channel},r={fields['r']}"
        self._messages = f"{self._bare},{first},{unproven}".encode()
        key = self._hmac(self._salted, b"Client Key")
        signature = self._hmac(hashlib.sha256(key).digest(), self._messages)
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return base64.b64encode(f"{unproven},p={base64.b64encode(proof).decode()}".encode())

    def check(self, challenge: bytes) -> None:
        """The server knows the password too."""
        signature = self._hmac(self._hmac(self._salted, b"Server Key"), self._messages)
        assert base64.b64decode(challenge) == b"v=" + base64.b64encode(signature)

    @staticmethod
    def _hmac(key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, hashlib.sha256).digest()
