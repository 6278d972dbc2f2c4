"""Autoresponders of accounts: several prepared answers, at most one of them active.

Source: product page, section 4.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace

from mailstack.directory import autoresponse_words as words
from mailstack.directory import names
from mailstack.directory.reader import Directory
from mailstack.directory.session import Session, account_of
from mailstack.directory.settings import TAKES_NO_MAIL
from mailstack.model.address import Address, with_name
from mailstack.model.autoresponse import Autoresponse
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure

#: Prepared answers of one account.
MAX_RESPONSES = 20
COLUMNS = "name, text, subject, starts, ends, weekdays, excluded"


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A prepared answer.  `changed_at`: Unix seconds."""

    response: Autoresponse
    is_active: bool
    changed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is to become different; None, and nothing to add or drop: as it was.

    Attributes:
        starts, ends: a day or a minute of the owner's clock; "none".
        weekdays: such as "mon-fri", or "all".
        sender: another address of From; "none": the one written to.
        exclude, include: addresses and domains that get no answer, or get one again.
    """

    text: str | None = None
    subject: str | None = None
    starts: str | None = None
    ends: str | None = None
    weekdays: str | None = None
    sender: str | None = None
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


class Autoresponders:
    """Changes autoresponders; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def set(
        self,
        address: str,
        name: str,
        wishes: Wishes,
        *,
        owns: Callable[[Account, Address], bool],
        like: Autoresponse | None = None,
    ) -> StoredResponse:
        """Makes a prepared answer, or changes the one with this name; active stays active.

        Args:
            owns: whether the account may write as an address (Directory.may_send_as).
            like: what it begins with, instead of what it was.

        Raises:
            PermanentFailure: no such account, or one that takes no mail; something in it
                is wrong, or too much; From is not the owner's.
        """
        name = _name(name)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            check_takes_mail(account)
            before = find(cursor, account.id, name)
            changed = with_wishes(like or (before.response if before is not None else None), name, wishes)
            sender = wishes.sender if wishes.sender is not None else changed.sender
            changed = replace(changed, sender=_check_sender(account, sender, owns))
            if before is None and not has_room(cursor, account.id):
                raise PermanentFailure(
                    f"{account.address} has {MAX_RESPONSES} autoresponders already; more do not work"
                )
            store(cursor, account.id, changed, self._session.now())
            return StoredResponse(changed, before is not None and before.is_active, self._session.now())

    def activate(self, address: str, name: str) -> StoredResponse:
        """Lets one answer, and no other of this account.

        Raises:
            PermanentFailure: no such account or answer.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            found = find(cursor, account.id, _name(name))
            if found is None:
                raise PermanentFailure(_missing(cursor, account, name))
            activate(cursor, account.id, found.response.name)
            return replace(found, is_active=True)

    def deactivate(self, address: str) -> str:
        """Lets none answer; gives the name of the one that did, "" for none.

        Raises:
            PermanentFailure: no such account.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            row = cursor.execute(
                "UPDATE autoresponse SET active = 0 WHERE account_id = ? AND active = 1 RETURNING name",
                (account.id,),
            ).fetchone()
            return "" if row is None else str(row[0])

    def remove(self, address: str, name: str) -> bool:
        """Removes a prepared answer; True when it was active: then nobody is answered any more.

        Raises:
            PermanentFailure: no such account or answer.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            row = cursor.execute(
                "DELETE FROM autoresponse WHERE account_id = ? AND name = ? RETURNING active",
                (account.id, _name(name)),
            ).fetchone()
            if row is None:
                raise PermanentFailure(_missing(cursor, account, name))
            return bool(row[0])


# -- reading -------------------------------------------------------------------------------


def active(directory: Directory, account: Account) -> Autoresponse | None:
    """The answer of an account that is switched on, another From with the owner's name.

    That the From is still the owner's is looked at when it answers.

    Raises:
        TemporaryFailure: the directory cannot be read.
    """
    found = next((one for one in stored(directory, account.id) if one.is_active), None)
    if found is None:
        return None
    response = found.response
    sender = with_name(account.name, response.sender) if response.sender else ""
    return replace(response, sender=sender)


def active_name(directory: Directory, account_id: int) -> str:
    """Which answer of an account is switched on; "" for none.

    Raises:
        TemporaryFailure: the directory cannot be read.
    """
    return next((one.response.name for one in stored(directory, account_id) if one.is_active), "")


def stored(directory: Directory, account_id: int) -> tuple[StoredResponse, ...]:
    """The prepared answers of an account, by name.

    Raises:
        TemporaryFailure: the directory cannot be read.
    """
    return directory.ask(("autoresponses", account_id), lambda cursor: _all(cursor, account_id))


def _all(cursor: sqlite3.Cursor, account_id: int) -> tuple[StoredResponse, ...]:
    rows = cursor.execute(
        f"SELECT {COLUMNS}, sender, active, changed_at FROM autoresponse WHERE account_id = ? ORDER BY name",  # noqa: S608
        (account_id,),
    ).fetchall()
    return tuple(_stored(row) for row in rows)


def find(cursor: sqlite3.Cursor, account_id: int, name: str) -> StoredResponse | None:
    """One prepared answer by its name."""
    row = cursor.execute(
        f"SELECT {COLUMNS}, sender, active, changed_at FROM autoresponse WHERE account_id = ? AND name = ?",  # noqa: S608
        (account_id, name),
    ).fetchone()
    return None if row is None else _stored(row)


def _stored(row: tuple[object, ...]) -> StoredResponse:
    *columns, sender, is_active, changed_at = row
    return StoredResponse(
        replace(from_columns(columns), sender=str(sender)), bool(is_active), float(str(changed_at))
    )


def from_columns(row: list[object]) -> Autoresponse:
    """An answer of COLUMNS."""
    name, text, subject, starts, ends, weekdays, excluded = row
    return Autoresponse(
        name=str(name),
        text=str(text),
        subject=str(subject),
        starts=str(starts),
        ends=str(ends),
        weekdays=int(str(weekdays)),
        excluded=frozenset(filter(None, str(excluded).split("\n"))),
    )


# -- writing, also for templates -----------------------------------------------------------


def columns_of(response: Autoresponse) -> tuple[str | int, ...]:
    """The values of COLUMNS."""
    return (
        response.name,
        response.text,
        response.subject,
        response.starts,
        response.ends,
        response.weekdays,
        "\n".join(sorted(response.excluded)),
    )


def store(cursor: sqlite3.Cursor, account_id: int, response: Autoresponse, now: float) -> None:
    """Writes an answer over the one with its name; active stays active."""
    cursor.execute(
        f"INSERT INTO autoresponse ({COLUMNS}, account_id, sender, changed_at)"  # noqa: S608
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, name) DO UPDATE SET"
        " text = excluded.text, subject = excluded.subject, starts = excluded.starts, ends = excluded.ends,"
        " weekdays = excluded.weekdays, excluded = excluded.excluded, sender = excluded.sender,"
        " changed_at = excluded.changed_at",
        (*columns_of(response), account_id, response.sender, now),
    )


def activate(cursor: sqlite3.Cursor, account_id: int, name: str) -> None:
    """Makes one the active one."""
    cursor.execute("UPDATE autoresponse SET active = 0 WHERE account_id = ?", (account_id,))
    cursor.execute("UPDATE autoresponse SET active = 1 WHERE account_id = ? AND name = ?", (account_id, name))


def with_wishes(before: Autoresponse | None, name: str, wishes: Wishes) -> Autoresponse:
    """An answer as wished; the sender stays.

    Raises:
        PermanentFailure: something in it is wrong; a new one has no text.
    """
    if before is None:
        if wishes.text is None:
            raise PermanentFailure(f"there is no autoresponder {name!r} yet: give it a text")
        before = Autoresponse(name, words.body(wishes.text))
    changed = replace(
        before,
        name=name,
        text=before.text if wishes.text is None else words.body(wishes.text),
        subject=before.subject if wishes.subject is None else words.subject(wishes.subject),
        starts=before.starts if wishes.starts is None else words.local_time(wishes.starts),
        ends=before.ends if wishes.ends is None else words.local_time(wishes.ends),
        weekdays=before.weekdays if wishes.weekdays is None else words.weekdays(wishes.weekdays),
        excluded=words.changed(before.excluded, exclude=wishes.exclude, include=wishes.include),
    )
    words.check_period(changed.starts, changed.ends)
    return changed


def has_room(cursor: sqlite3.Cursor, account_id: int) -> bool:
    """True when an account may have one more."""
    row = cursor.execute("SELECT count(*) FROM autoresponse WHERE account_id = ?", (account_id,)).fetchone()
    return bool(row[0] < MAX_RESPONSES)


def check_takes_mail(account: Account) -> None:
    """Refuses an account that has nothing to answer.

    Raises:
        PermanentFailure: it takes no mail.
    """
    why = TAKES_NO_MAIL.get(account.kind)
    if why is not None:
        raise PermanentFailure(f"{account.address} has no autoresponder: {why}")


def _name(text: str) -> str:
    return names.item_name(text, what="an autoresponder's name")


def _check_sender(account: Account, sender: str, owns: Callable[[Account, Address], bool]) -> str:
    if sender in ("", "none"):
        return ""
    address = names.any_address(sender)
    if not owns(account, address):
        raise PermanentFailure(
            f"{account.address} may not write as {address}; 'mailstack user set {account.address}"
            f" --grant {address}' allows it"
        )
    return str(address)


def _missing(cursor: sqlite3.Cursor, account: Account, name: str) -> str:
    known = [one.response.name for one in _all(cursor, account.id)]
    there = f"it has {', '.join(known)}" if known else "it has none yet"
    return f"{account.address} has no autoresponder {name!r}; {there}"
