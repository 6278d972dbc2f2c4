"""Accounts for tests of policy."""

from __future__ import annotations

from mailstack.model.address import Address
from mailstack.model.directory import Account

ALICE = Account(1, Address("alice", "example.test"))
CAROL = Account(3, Address("carol", "example.test"), plan="free")
PRINTER = Account(4, Address("printer", "example.test"), kind="device")


def owns(*texts: str) -> _Owns:
    """A `may_send_as` that knows these addresses."""
    return _Owns(texts)


class _Owns:
    def __init__(self, texts: tuple[str, ...]) -> None:
        self._keys = {Address.parse(text).key for text in texts}

    def __call__(self, address: Address) -> bool:
        return address.key in self._keys
