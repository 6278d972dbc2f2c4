"""How much an account may send, where that differs from its plan; and the list grant."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import fields, replace

from mailstack.directory import names, rows
from mailstack.directory.session import Session, account_of
from mailstack.model.directory import NO_LIMIT, Account
from mailstack.model.errors import PermanentFailure
from mailstack.model.sending import SendingRules

#: Columns of `sending_rule`, in the order of the attributes of SendingRules.
COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(SendingRules))
#: Recipients are held in memory: there is a bound, whatever the operator wants.
MAX_RECIPIENTS = 10_000
#: What a limit may be; without the first two an account could not send at all.
_BOUNDS = {"recipients": (1, MAX_RECIPIENTS), "message_octets": (1, NO_LIMIT)}


class Sending:
    """Changes what accounts may send; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def limit(self, address: str, limits: Mapping[str, int | None]) -> Account:
        """Sets limits of an account's own.

        Args:
            limits: by the names of SendingRules; None: the plan's; NO_LIMIT: no limit.

        Raises:
            PermanentFailure: no such account or limit, or a number that cannot be meant.
        """
        for name, value in limits.items():
            if name not in COLUMNS or name == "is_list":
                raise PermanentFailure(f"there is no limit {name!r}")
            least, most = _BOUNDS.get(name, (0, NO_LIMIT))
            if value is not None and not least <= value <= most:
                raise PermanentFailure(f"want {name} to be {least} to {most}, or default; not {value}")
        return self._change(address, limits)

    def grant_list(self, address: str, *, is_list: bool) -> Account:
        """Lets list software post as its members with this login, or no more.

        Raises:
            PermanentFailure: no such account, or it has no such grant.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            if not is_list and not account.sending.is_list:
                raise PermanentFailure(f"{address} had no list grant")
            return self._change(address, {"is_list": int(is_list)})

    def _change(self, address: str, values: Mapping[str, int | None]) -> Account:
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            changed = replace(account.sending, **values)  # type: ignore[arg-type]
            _store(cursor, account.id, changed)
            found = rows.account(cursor, account.id)
            assert found is not None
            return found


def _store(cursor: sqlite3.Cursor, account_id: int, rules: SendingRules) -> None:
    marks = ", ".join("?" * len(COLUMNS))
    cursor.execute(
        f"INSERT OR REPLACE INTO sending_rule (account_id, {', '.join(COLUMNS)}) VALUES (?, {marks})",  # noqa: S608
        (account_id, *(int(v) if v is not None else None for v in (getattr(rules, c) for c in COLUMNS))),
    )
