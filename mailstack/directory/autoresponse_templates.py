"""Prepared answers of a domain, for its addresses to begin with.

A visible template is shown to the owners of addresses; a hidden one only to whoever runs
the domain.  Applying makes a copy, in which "{name}" and "{address}" are filled in; from
then on it is the address's own.

Source: product page, section 4.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from mailstack.directory import autoresponder, names, rows
from mailstack.directory import autoresponse_words as words
from mailstack.directory.autoresponder import COLUMNS, Wishes, check_takes_mail
from mailstack.directory.reader import Directory
from mailstack.directory.session import Session, account_of, domain_id
from mailstack.directory.settings import TAKES_NO_MAIL
from mailstack.model.autoresponse import Autoresponse
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure

#: Templates of one domain.
MAX_TEMPLATES = 50


@dataclass(frozen=True, slots=True)
class Template:
    """A prepared answer of a domain.  `changed_at`: Unix seconds."""

    response: Autoresponse
    is_hidden: bool
    changed_at: float


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one address.

    Attributes:
        result: "kept": it has an answer of this name, which was left as it is; "full": it has
            too many already.
    """

    address: str
    result: Literal["added", "replaced", "kept", "full"]
    is_active: bool


class AutoresponseTemplates:
    """Changes templates and applies them; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def set(self, domain: str, name: str, wishes: Wishes, *, hidden: bool | None = None) -> Template:
        """Makes a template, or changes the one with this name.

        Args:
            hidden: None: as it was; a new one is visible.

        Raises:
            PermanentFailure: no such domain, something in it is wrong, or too many.
        """
        domain, name = names.new_domain(domain), _name(name)
        now = self._session.now()
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, domain)
            before = _find(cursor, domain, name)
            response = autoresponder.with_wishes(before.response if before else None, name, wishes)
            is_hidden = hidden if hidden is not None else before is not None and before.is_hidden
            if before is None and len(_all(cursor, domain)) >= MAX_TEMPLATES:
                raise PermanentFailure(f"{domain} has {MAX_TEMPLATES} templates already; more do not work")
            cursor.execute(
                f"INSERT OR REPLACE INTO autoresponse_template ({COLUMNS}, domain_id, hidden, changed_at)"  # noqa: S608
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*autoresponder.columns_of(response), id_, is_hidden, now),
            )
            return Template(response, is_hidden, now)

    def remove(self, domain: str, name: str) -> None:
        """Removes a template; what was made of it stays.

        Raises:
            PermanentFailure: no such domain or template.
        """
        domain = names.new_domain(domain)
        with self._session.transaction() as cursor:
            self._get(cursor, domain, name)
            cursor.execute(
                "DELETE FROM autoresponse_template WHERE domain_id = ? AND name = ?",
                (domain_id(cursor, domain), _name(name)),
            )

    def apply(
        self,
        domain: str,
        name: str,
        addresses: Iterable[str] | None = None,
        *,
        activate: bool = False,
        overwrite: bool = False,
    ) -> list[Applied]:
        """Gives addresses of the domain a copy: all of them, or none when one is wrong.

        Args:
            addresses: None: every address of the domain that takes mail.
            activate: the copy (or what is there under its name) answers from now on.
            overwrite: also over an answer of the same name, which may be personal.

        Raises:
            PermanentFailure: no such domain, template or address; an address of another domain.
        """
        domain = names.new_domain(domain)
        with self._session.transaction() as cursor:
            template = self._get(cursor, domain, name)
            if addresses is None:
                found = [one for one in rows.accounts(cursor, domain) if one.kind not in TAKES_NO_MAIL]
            else:
                found = [_member(cursor, text, domain) for text in addresses]
            return [
                self._give(cursor, account, template.response, activate=activate, overwrite=overwrite)
                for account in found
            ]

    def _give(
        self,
        cursor: sqlite3.Cursor,
        account: Account,
        template: Autoresponse,
        *,
        activate: bool,
        overwrite: bool,
    ) -> Applied:
        before = autoresponder.find(cursor, account.id, template.name)
        result: Literal["added", "replaced", "kept", "full"] = "added" if before is None else "replaced"
        if before is None and not autoresponder.has_room(cursor, account.id):
            return Applied(str(account.address), "full", is_active=False)
        if before is not None and not overwrite:
            result = "kept"
        else:
            autoresponder.store(cursor, account.id, personal(template, account), self._session.now())
        if activate:
            autoresponder.activate(cursor, account.id, template.name)
        is_active = activate or (before is not None and before.is_active)
        return Applied(str(account.address), result, is_active)

    def _get(self, cursor: sqlite3.Cursor, domain: str, name: str) -> Template:
        domain_id(cursor, domain)
        found = _find(cursor, domain, _name(name))
        if found is None:
            known = [one.response.name for one in _all(cursor, domain)]
            there = f"it has {', '.join(known)}" if known else "it has none yet"
            raise PermanentFailure(f"{domain} has no template {name!r}; {there}")
        return found


def personal(template: Autoresponse, account: Account) -> Autoresponse:
    """A template as the answer of one account.

    Raises:
        PermanentFailure: it is too long with what was filled in.
    """
    values = {"name": account.name, "address": str(account.address)}
    return replace(
        template,
        text=words.body(words.personal(template.text, **values)),
        subject=words.subject(words.personal(template.subject, **values)),
    )


def templates(directory: Directory, domain: str) -> tuple[Template, ...]:
    """The templates of a domain, by name.

    Raises:
        TemporaryFailure: the directory cannot be read.
    """
    return directory.ask(("autoresponse templates", domain), lambda cursor: _all(cursor, domain))


def _all(cursor: sqlite3.Cursor, domain: str) -> tuple[Template, ...]:
    found = cursor.execute(
        f"SELECT {', '.join(f't.{column}' for column in COLUMNS.split(', '))}, t.hidden, t.changed_at"  # noqa: S608
        " FROM autoresponse_template t JOIN domain d ON d.id = t.domain_id"
        " WHERE d.name = ? AND d.removed_at IS NULL ORDER BY t.name",
        (domain,),
    ).fetchall()
    return tuple(
        Template(autoresponder.from_columns(columns), bool(hidden), float(changed_at))
        for *columns, hidden, changed_at in found
    )


def _find(cursor: sqlite3.Cursor, domain: str, name: str) -> Template | None:
    return next((one for one in _all(cursor, domain) if one.response.name == name), None)


def _member(cursor: sqlite3.Cursor, text: str, domain: str) -> Account:
    account = account_of(cursor, names.any_address(text))
    if account.address.domain != domain:
        raise PermanentFailure(f"{account.address} is not an address of {domain}")
    check_takes_mail(account)
    return account


def _name(text: str) -> str:
    return names.item_name(text, what="a template's name")
