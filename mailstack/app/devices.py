"""What is different for printers and scanners: whom they may write to, and no "try later".

A device that is known by its address alone may write to listed domains only.  Most devices
have no queue: what "try again later" would lose is taken, and tried again by our own queue.
"""

from __future__ import annotations

import logging

from mailstack.directory import Directory
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply

_log = logging.getLogger(__name__)


def check_recipient(
    directory: Directory, client: Client, account: Account, recipient: Address
) -> Reply | None:
    """Whether a device that has not logged in may write to this domain; None when it may.

    Asked each time, so that what is taken back counts in open sessions too.
    """
    try:
        still = directory.device_at(client.ip)
        if still is None or still.id != account.id:
            text = f"{account.address} may not send from {client.ip} without a login any more"
            return Reply(550, "7.1", text, "device_recipient")
        domains = directory.device_entry(account.id).domains
    except TemporaryFailure as error:
        _log.error("whom %s may write to: %s", account.address, error.why)
        return Reply(451, "3.0", "Addresses cannot be checked at the moment; try again later", "directory")
    if recipient.domain in domains:
        return None
    listed = ", ".join(domains[:5]) or "nobody"
    text = f"{account.address} has not logged in and may only write to {listed}, not to {recipient}"
    return Reply(550, "7.1", text, "device_recipient")


def is_patient(account: Account | None) -> bool:
    """True for a client that would lose what it is told to send again later."""
    return account is not None and account.kind == "device"
