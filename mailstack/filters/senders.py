"""Who stands behind an envelope sender that is another one every day.

Forwarders (SRS) and servers that know their own bounces by a mark (BATV) write a day into
the address.  Whoever remembers senders would take each day's for somebody new.

Source: srs/rewrite.py; draft-levine-smtp-batv section 3 (prvs), and the like of it.
Imports: model, srs.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import replace

from mailstack.model.address import Address, AddressError
from mailstack.srs import rewrite

_MARKED = re.compile(
    r"(?:prvs=[0-9a-z]{8,12}=|btv1==[0-9a-z]{3,12}==)(.+)\Z", re.ASCII | re.IGNORECASE | re.DOTALL
)


def person(sender: str) -> str:
    """The address that stays the same; by its word alone: to be remembered, not to be written to.

    Args:
        sender: as in MAIL FROM; what is no address comes back as it is.
    """
    try:
        address = Address.parse(sender)
    except AddressError:
        return sender
    found = _unmarked(rewrite.claimed(_unmarked(address)))
    return sender if found == address else str(found)


def remembered(sender: str) -> str:
    """What a sender is remembered by: the person, and the forwarder who says so, if there is one.

    A forwarder that makes names up has only its own forgotten, or taken for somebody it knows.
    """
    found, host = person(sender), sender.rpartition("@")[2].lower()
    return found if found.rpartition("@")[2].lower() == host else f"{found} by {host}"


def _unmarked(address: Address) -> Address:
    match = _MARKED.match(address.local)
    return address if match is None else replace(address, local=match.group(1))
