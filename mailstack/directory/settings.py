"""What an account's owner sets: redirection, filters, blocked and allowed senders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mailstack.directory import names
from mailstack.directory.session import Session, account_of, check_target
from mailstack.directory.values import ListedSender
from mailstack.model.address import Address
from mailstack.model.directory import Account, FilterSettings, Redirection
from mailstack.model.errors import PermanentFailure

MAX_TARGETS = 50
MAX_LISTED_SENDERS = 10_000
TAKES_NO_MAIL = {
    "device": "a device only sends",
    "noreply": "it refuses incoming mail",
    "spamtrap": "its mail is only learned from",
}


class Settings:
    """Changes settings; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def set_redirection(self, address: str, targets: Iterable[str], *, keep: bool = False) -> Account:
        """Forwards an account's mail; targets set here count as verified.

        Args:
            keep: whether a copy stays in the mailbox.

        Raises:
            PermanentFailure: no such account, or a target that is wrong or the account itself.
        """
        wanted = names.unique_addresses(targets)
        now = self._session.now()
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            _check_targets(account, wanted)
            for target in wanted:
                check_target(cursor, target)
            cursor.execute("DELETE FROM redirection WHERE account_id = ?", (account.id,))
            cursor.execute(
                "INSERT INTO redirection (account_id, keep, created_at) VALUES (?, ?, ?)",
                (account.id, keep, now),
            )
            cursor.executemany(
                "INSERT INTO redirection_target (account_id, position, address) VALUES (?, ?, ?)",
                [(account.id, n, str(target)) for n, target in enumerate(wanted)],
            )
            cursor.execute("DELETE FROM pending_target WHERE owner = ?", (account.address.key,))
            return replace(account, redirection=Redirection(tuple(map(str, wanted)), keep))

    def clear_redirection(self, address: str) -> bool:
        """Ends forwarding; False when there was none.

        Raises:
            PermanentFailure: no such account.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            done = cursor.execute("DELETE FROM redirection WHERE account_id = ?", (account.id,))
            return done.rowcount > 0

    def set_filters(
        self,
        address: str,
        *,
        spam: bool | None = None,
        ads: bool | None = None,
        spam_folder: str | None = None,
        promotions_folder: str | None = None,
        social_folder: str | None = None,
    ) -> FilterSettings:
        """Changes what is not None; counts for the next message.

        Raises:
            PermanentFailure: no such account, or a folder that has another purpose.
        """
        changes: dict[str, bool | str | None] = {
            "spam": spam,
            "ads": ads,
            "spam_folder": _folder(spam_folder, names.SPAM_FOLDER),
            "promotions_folder": _folder(promotions_folder, "promotions folder"),
            "social_folder": _folder(social_folder, "social folder"),
            # Whoever says on or off has been asked.
            "ads_offered": None if ads is None else False,
        }
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            settings = replace(
                account.filters,
                **{key: value for key, value in changes.items() if value is not None},  # type: ignore[arg-type]
            )
            cursor.execute(
                "INSERT OR REPLACE INTO filter_settings"
                " (account_id, spam, ads, spam_folder, promotions_folder, social_folder, ads_offered)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    account.id,
                    settings.spam,
                    settings.ads,
                    settings.spam_folder,
                    settings.promotions_folder,
                    settings.social_folder,
                    settings.ads_offered,
                ),
            )
            return settings

    def offer_ads(self, address: str) -> FilterSettings:
        """Leaves the class folders off until the owner of a mailbox from elsewhere wants them.

        Raises:
            PermanentFailure: no such account.
        """
        settings = self.set_filters(address, ads=False)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            cursor.execute("UPDATE filter_settings SET ads_offered = 1 WHERE account_id = ?", (account.id,))
        return replace(settings, ads_offered=True)

    def list_sender(self, address: str, pattern: str, *, kind: str) -> ListedSender:
        """Blocks or allows a sender; what stood in the other list moves.

        Args:
            pattern: an address, or a domain, also as "@domain" or "*@domain".
            kind: "block" or "allow".

        Returns:
            The pattern as stored, and the list it was taken from.

        Raises:
            PermanentFailure: no such account, not a pattern, or the lists are full.
        """
        if kind not in ("block", "allow"):
            raise ValueError(kind)
        stored = names.sender_pattern(pattern)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            count = cursor.execute(
                "SELECT count(*) FROM sender_list WHERE account_id = ? AND pattern != ?", (account.id, stored)
            ).fetchone()[0]
            if count >= MAX_LISTED_SENDERS:
                raise PermanentFailure(f"the lists of {address} hold {MAX_LISTED_SENDERS} senders already")
            before = cursor.execute(
                "SELECT kind FROM sender_list WHERE account_id = ? AND pattern = ? AND kind != ?",
                (account.id, stored, kind),
            ).fetchone()
            cursor.execute(
                "INSERT OR REPLACE INTO sender_list (account_id, pattern, kind, created_at)"
                " VALUES (?, ?, ?, ?)",
                (account.id, stored, kind, self._session.now()),
            )
        return ListedSender(stored, before[0] if before else "")

    def unlist_sender(self, address: str, pattern: str) -> str:
        """Takes a sender from whichever list it is in.

        Raises:
            PermanentFailure: no such account, or it is in neither.
        """
        stored = names.sender_pattern(pattern)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            done = cursor.execute(
                "DELETE FROM sender_list WHERE account_id = ? AND pattern = ?", (account.id, stored)
            )
            if not done.rowcount:
                raise PermanentFailure(f"{pattern} is in no list of {address}")
        return stored


def _check_targets(account: Account, targets: list[Address]) -> None:
    if account.kind in TAKES_NO_MAIL:
        raise PermanentFailure(f"{account.address} cannot forward: {TAKES_NO_MAIL[account.kind]}")
    if not 0 < len(targets) <= MAX_TARGETS:
        raise PermanentFailure(f"a redirection has 1 to {MAX_TARGETS} targets")
    for target in targets:
        base = Address(target.local.partition("+")[0] or target.local, target.domain)
        if account.address.key in (target.key, base.key):
            raise PermanentFailure(f"{account.address} cannot forward to itself; use --keep for a copy")


def _folder(name: str | None, what: str) -> str | None:
    return None if name is None else names.filter_folder(name, what=what)
