"""Short SRS addresses for senders that do not fit into 64 octets.

The sender is kept in a table under a key; the address carries the key as if it were the
local part of a sender at `srs.invalid` (RFC 2606: never a real domain), so that `reverse`
checks it like any other.  Whoever holds the table puts the real sender in.

Source: RFC 5321 section 4.5.3.1.1; threat T8.
Imports: model.  No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.model.address import Address
from mailstack.srs import rewrite, token

STORED_DOMAIN = "srs.invalid"
#: 80 bits: two senders never share a key.
_KEY_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Short:
    """A short rewritten sender, good once `key` leads to the real one.

    Attributes:
        key: upper case; equal for equal senders and secrets.
    """

    address: Address
    key: str


def shorten(sender: Address, *, domain: str, secrets: Sequence[bytes], now: float) -> Short:
    """The rewritten sender for one that is too long; arguments as for `rewrite.forward`."""
    if not secrets:
        raise ValueError("SRS needs a secret")
    key = token.make_tag(f"key={sender}", secrets[0], characters=_KEY_CHARACTERS)
    text = f"{token.make_stamp(now)}={STORED_DOMAIN}={key}"
    return Short(Address(rewrite.sign0(text, secrets[0]), domain), key)


def stored_key(address: Address) -> str | None:
    """The key in what `rewrite.reverse` gave for a short address; None for a real sender."""
    return address.local.upper() if address.domain == STORED_DOMAIN else None
