"""A hub whose logins are counted over all workers."""

from __future__ import annotations

import logging
from typing import Protocol, TypeVar

from mailstack.model.directory import Account
from mailstack.net.login_slots import LoginSlots
from mailstack.net.session_hub import Member, SessionHub, SessionServices, account_key

_log = logging.getLogger(__name__)


class SlottedMember(Member, Protocol):
    """A connection that holds a slot while somebody is logged in."""

    slot: int | None


S = TypeVar("S", bound=SlottedMember)


class SlottedHub(SessionHub[S]):
    """One event loop's connections of one protocol."""

    def __init__(
        self,
        services: SessionServices,
        slots: LoginSlots,
        *,
        protocol: str,
        max_before_login: int,
        max_per_account: int,
        stalled_time_s: float,
    ) -> None:
        """Takes the limits; `protocol`: its name for people."""
        super().__init__(
            services,
            max_before_login=max_before_login,
            max_per_account=max_per_account,
            max_per_account_and_address=max_per_account,
            stalled_time_s=stalled_time_s,
        )
        self._slots = slots
        self._protocol = protocol
        self._most = max_per_account

    def log_in(self, connection: S, account: Account) -> str:
        """Counts a login; "" or why there are too many."""
        try:
            slot = self._slots.take(account_key(account))
        except OSError as error:
            _log.error("counting the sessions of %s: %s", account.address, error.strerror)
            return "Sessions cannot be counted now"
        if slot is None:
            return f"This account has {self._most} {self._protocol} sessions already"
        why = super().log_in(connection, account)
        if why:
            self._slots.release(slot)
        else:
            connection.slot = slot
        return why

    def leave(self, connection: S) -> None:
        """The connection is over, or its user is gone."""
        super().leave(connection)
        if connection.slot is not None:
            self._slots.release(connection.slot)
            connection.slot = None
