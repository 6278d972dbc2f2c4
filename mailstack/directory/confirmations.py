"""Targets of forwards that are asked first whether they want the mail.

A target an operator sets is taken for granted; one its user sets is asked by a letter with
a word in it that nobody can guess, and gets nothing until somebody brings the word back.
Only a hash of the word is kept.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Iterable

from mailstack.directory import names, rows
from mailstack.directory.session import Session, account_of
from mailstack.directory.settings import Settings
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure

_TOKEN_OCTETS = 15
_DAY_S = 86_400
#: A question nobody answered, and whose target is in no redirection any more, is forgotten then.
_KEEP_DAYS = 30


class Confirmations:
    """Asks and hears answers; every method is one transaction."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._settings = settings

    def redirect(
        self, address: str, targets: Iterable[str], *, keep: bool, mails_per_day: int
    ) -> tuple[Account, dict[str, str]]:
        """Sets a redirection whose new targets outside are asked first.

        Args:
            mails_per_day: how often one target may be asked in a day, by whomever.

        Returns:
            The account, and the word for each target that has to be asked now; who was asked
            in the last day is not asked again.

        Raises:
            PermanentFailure: as Settings.set_redirection; or a target was asked often enough.
        """
        wanted = [str(one) for one in names.unique_addresses(targets)]
        with self._session.transaction() as cursor:
            before = account_of(cursor, names.any_address(address))
            known = before.redirection
            asked = _questions(cursor, before.address)
            self._settings.set_redirection(address, wanted, keep=keep)
            for key, question in asked.items():
                # Also those of targets that are gone: who is asked again and again is asked once a day.
                self._keep(cursor, before.address, key, question)
            words = {}
            for text in wanted:
                target = Address.parse(text)
                if rows.domain(cursor, target.domain) is not None:
                    continue
                is_old = target.key in asked and asked[target.key][1] <= self._session.now() - _DAY_S
                is_known = known is not None and text in known.targets
                if is_old or (target.key not in asked and not is_known):
                    words[text] = self._ask(cursor, before.address, target, mails_per_day)
            return account_of(cursor, before.address), words

    def confirm(self, word: str, *, days: int) -> tuple[Address, Address]:
        """The target wants the mail; gives who forwards, and the target.

        Args:
            word: out of the letter; case and spaces do not matter.
            days: so long ago it may have been asked.

        Raises:
            PermanentFailure: the word is wrong or too old.
        """
        now = self._session.now()
        with self._session.transaction() as cursor:
            row = cursor.execute(
                "DELETE FROM pending_target WHERE token = ? AND asked_at >= ? RETURNING owner, target",
                (_hash(word), now - days * _DAY_S),
            ).fetchone()
        if row is None:
            raise PermanentFailure("this word is wrong, or was used before, or is too old: ask again")
        return Address.parse(row[0]), Address.parse(row[1])

    def _ask(self, cursor: sqlite3.Cursor, owner: Address, target: Address, most: int) -> str:
        now = self._session.now()
        cursor.execute(
            "DELETE FROM pending_target WHERE asked_at < ? AND owner NOT IN"
            " (SELECT n.key FROM address n JOIN redirection r ON r.account_id = n.account_id)",
            (now - _KEEP_DAYS * _DAY_S,),
        )
        asked = cursor.execute(
            "SELECT count(*) FROM pending_target WHERE target = ? AND asked_at > ?",
            (target.key, now - _DAY_S),
        ).fetchone()[0]
        if asked >= most:
            raise PermanentFailure(f"{target} was asked {asked} times in a day; try again tomorrow")
        token = base64.b32encode(self._session.random_bytes(_TOKEN_OCTETS)).decode("ascii").rstrip("=")
        self._keep(cursor, owner, target.key, (_hash(token), now))
        return token

    def _keep(
        self, cursor: sqlite3.Cursor, owner: Address, target: str, question: tuple[bytes, float]
    ) -> None:
        cursor.execute(
            "INSERT OR REPLACE INTO pending_target (owner, target, token, asked_at) VALUES (?, ?, ?, ?)",
            (owner.key, target, *question),
        )


def _questions(cursor: sqlite3.Cursor, owner: Address) -> dict[str, tuple[bytes, float]]:
    found = cursor.execute(
        "SELECT target, token, asked_at FROM pending_target WHERE owner = ?", (owner.key,)
    ).fetchall()
    return {target: (bytes(token), asked_at) for target, token, asked_at in found}


def _hash(word: str) -> bytes:
    return hashlib.sha256("".join(word.split()).upper().encode("utf-8", "replace")).digest()
