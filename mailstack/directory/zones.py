"""Time zones by their names: the account's own, else its domain's, else the server's."""

from __future__ import annotations

import difflib
import zoneinfo
from datetime import UTC, tzinfo
from typing import Protocol

from mailstack.model.directory import Account, Domain
from mailstack.model.errors import PermanentFailure


class _Domains(Protocol):
    def domain(self, name: str) -> Domain | None: ...


def name_of(directory: _Domains, account: Account, default: str) -> str:
    """The name of the zone an account lives in.  `default`: the server's."""
    if account.time_zone:
        return account.time_zone
    domain = directory.domain(account.address.domain)
    return (domain.time_zone if domain is not None else "") or default


def load(name: str) -> tzinfo:
    """The zone; UTC when this machine's zone data does not have it."""
    return UTC if name == "UTC" else _find(name) or UTC


def check(text: str) -> str:
    """The name of a time zone as zone data has it; "" and "default": none is chosen.

    Raises:
        PermanentFailure: there is no such zone.
    """
    if text in ("", "default"):
        return ""
    if _find(text) is not None:
        return text
    known = {name.lower(): name for name in zoneinfo.available_timezones()}
    wanted = text[:100].strip().replace(" ", "_").lower()
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, 1)
    hint = f"; did you mean {known[near[0]]}?" if near else ""
    raise PermanentFailure(f"{text!r} is not a time zone; write it like Europe/Zurich or UTC{hint}")


def _find(name: str) -> tzinfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # the latter: not a name at all
        return None
