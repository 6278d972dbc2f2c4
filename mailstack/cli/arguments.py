"""What people type in more than one command: addresses, folders and times."""

from __future__ import annotations

import datetime
import os
import re

from mailstack.cli.context import fail
from mailstack.model.address import Address, AddressError

_AGO = re.compile(r"([0-9]{1,6})([smhd])\Z")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def address(text: str) -> Address:
    """An address of anybody, here or elsewhere.

    Raises:
        PermanentFailure: it is none (exit 65).
    """
    try:
        return Address.parse(text)
    except AddressError as error:
        from mailstack.directory.names import not_an_address

        raise not_an_address(text, str(error)) from None


def envelope(text: str) -> str:
    """An envelope address, with or without angle brackets; "" is the null sender.

    Raises:
        PermanentFailure: it is none (exit 65).
    """
    bare = text.strip().removeprefix("<").removesuffix(">")
    if bare:
        address(bare)
    return bare


def folder(text: str) -> str:
    """The name of a folder that is there, or could be made, in its one spelling.

    Raises:
        CommandFailed: no folder can have it (exit 65).
    """
    from mailstack.mailbox import maildir
    from mailstack.model.mailbox import MailboxError

    try:
        return maildir.check_name(text)
    except MailboxError as error:
        fail(os.EX_DATAERR, f"{text!r} cannot be a folder: {error.text}")


def moment(option: str, text: str, now: float) -> float:
    """A point in time: `2h` (ago), `2026-11-22`, `2026-11-22T13:00` (UTC unless a zone is given).

    Raises:
        CommandFailed: neither form (exit 64).
    """
    ago = _AGO.match(text)
    if ago is not None:
        return now - int(ago.group(1)) * _UNIT_S[ago.group(2)]
    try:
        stamp = datetime.datetime.fromisoformat(text)
    except ValueError:
        fail(
            os.EX_USAGE,
            f"{option}: {text!r} is no time; write it like 30m, 2h or 3d (ago),"
            " 2026-11-22 or 2026-11-22T13:00",
        )
    return (stamp if stamp.tzinfo else stamp.replace(tzinfo=datetime.UTC)).timestamp()
