"""What the mail log says about a device, for `device list` and `user show`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mailstack.cli import usage
from mailstack.cli.log import words
from mailstack.model.errors import TemporaryFailure
from mailstack.state.device_record import DeviceRecord, find_record
from mailstack.state.maillog_db import RETENTION_DAYS
from mailstack.state.maillog_reader import MailLogReader

if TYPE_CHECKING:
    from mailstack.cli.context import Context
    from mailstack.model.directory import Account

DAY_S = 86_400


def records(context: Context, accounts: list[Account], *, days: int) -> list[tuple[Account, DeviceRecord]]:
    """Each device with its last days; devices of an instance without a log did nothing."""
    since = time.time() - days * DAY_S
    try:
        log = MailLogReader(context.paths.maillog_db)
    except TemporaryFailure:
        return [(account, DeviceRecord()) for account in accounts]
    try:
        return [(account, find_record(log, account.address.key, since=since)) for account in accounts]
    finally:
        log.close()


def of(context: Context, account: Account) -> dict[str, object]:
    """The lines of `user show`; none for what is no device."""
    if account.kind != "device":
        return {}
    ((_, record),) = records(context, [account], days=RETENTION_DAYS)
    return {"device": row(record)}


def row(record: DeviceRecord) -> dict[str, object]:
    """One device's record for people and programs."""
    return {
        "last_seen": usage.stamp(record.last_at) if record.last_at else None,
        "from": record.last_from or None,
        "messages": record.messages,
        "oldest_tls": record.tls or None,
        "tls_age": record.age or None,
        "last_error": error(record),
    }


def error(record: DeviceRecord) -> str | None:
    """What went wrong last, and when; and whether something went well since."""
    if record.error is None:
        return None
    since = "; it worked since" if record.is_mended else ""
    return f"{usage.stamp(record.error.at)} {words(record.error)}{since}"
