"""Who may send as whom: the envelope sender and the authors of a submission.

Every address that a reader could take for the author must belong to the login (T10,
T20); fields are counted on the raw block, so that `From :` or a second From hides
nothing.  A refusal names the login, the refused address and one that is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mailstack.mime.addresses import Unparsable, parse, strict_addresses
from mailstack.mime.header import Headers
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.reply import Reply

MaySendAs = Callable[[Address], bool]

#: Fields that name who is behind a message, besides From.
_ALSO: Final = ("sender", "resent-from", "resent-sender")


def check_envelope(account: Account, sender: Address | None, *, may_send_as: MaySendAs) -> Reply | None:
    """The envelope sender of a submission; None when it may be used.

    The null sender is allowed: read receipts need it, and their From is checked later.
    A device may give any: the session puts the device's own address in its place.
    """
    if sender is None or account.kind == "device" or may_send_as(sender):
        return None
    return replace(_mismatch(account, str(sender), "as the envelope sender"), check="sender")


def check_from(
    header_block: bytes,
    account: Account,
    *,
    may_send_as: MaySendAs,
    reverse_path: Address | None = None,
) -> Reply | None:
    """The header of a submission; None when every author belongs to the login.

    Args:
        header_block: the message's header (what follows it does no harm).
        reverse_path: the envelope sender, already checked; for the text only.

    Returns:
        550 5.7.1 that says what to do, or None.  Devices are never refused: their From
        is rewritten (`fixups.rewrite_from`).
    """
    if account.kind == "device":
        return None
    headers = Headers.parse(header_block)
    count = headers.count("from")
    if count == 0:
        return _refuse(f"The message has no From field; {_use(account)}")
    if count > 1:
        return _refuse("The message has more than one From field")
    refusal = _check_field(headers, "from", account, may_send_as)
    for name in _ALSO:
        refusal = refusal or _check_field(headers, name, account, may_send_as)
    return refusal


def _check_field(headers: Headers, name: str, account: Account, may_send_as: MaySendAs) -> Reply | None:
    shown = name.title()
    values = headers.all(name)
    if name == "sender" and len(values) > 1:
        return _refuse("The message has more than one Sender field")
    for value in values:
        found = strict_addresses(value)
        if isinstance(found, Unparsable):
            return _refuse(f"The {shown} field cannot be read: {found.why}")
        if not found or any(not entry.is_mailbox for entry in parse(value)):
            return _refuse(f"The {shown} field names no author or a group; {_use(account)}")
        for address in found:
            if not may_send_as(address):
                return _mismatch(account, str(address), f"in the {shown} field")
    return None


def _use(account: Account) -> str:
    return f"use {account.address}"


def _mismatch(account: Account, refused: str, where: str) -> Reply:
    return _refuse(f"{account.address} may not use {refused} {where}; {_use(account)} or an alias of it")


def _refuse(text: str) -> Reply:
    return Reply(550, "7.1", text, "from")
