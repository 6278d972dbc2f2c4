"""Who may send as whom: the envelope sender and the authors of a submission.

Every address that a reader could take for the author must belong to the login (T10,
T20); fields are counted on the raw block, so that `From :` or a second From hides
nothing.  A refusal names the login, the refused address and one that is allowed.

Two kinds of mail have an author who is somebody else: what a program redirects for its
user (Resent-From is the user; the original's signature must prove the author, `Resent`),
and what list software posts as its members (a list grant, and a List-Id).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mailstack.mime.addresses import Unparsable, parse, strict_addresses
from mailstack.mime.header import MAX_BLOCK_OCTETS, MAX_FIELDS, Headers, RawField
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.reply import Reply

MaySendAs = Callable[[Address], bool]

_RESENT_WHO: Final = (b"resent-from", b"resent-sender")


@dataclass(frozen=True, slots=True)
class Mismatch(Reply):
    """A refusal because of an address that belongs to somebody else: `address`."""

    address: str = ""


class Resent(NamedTuple):
    """Another one's mail, resent by the login: fine if its author is proven, else `refusal`."""

    refusal: Mismatch


def check_envelope(account: Account, sender: Address | None, *, may_send_as: MaySendAs) -> Reply | None:
    """The envelope sender of a submission; None when it may be used.

    The null sender is allowed: read receipts need it, and their From is checked later.
    A device may give any: the session puts the device's own address in its place.
    """
    if sender is None or account.kind == "device" or may_send_as(sender):
        return None
    return _mismatch(account, sender, "as the envelope sender", check="sender")


def check_header(header_block: bytes, account: Account, *, may_send_as: MaySendAs) -> Reply | Resent | None:
    """The header of a submission; None when every author belongs to the login.

    Args:
        header_block: the message's header (what follows it does no harm).

    Returns:
        550 5.7.1 that says what to do, `Resent`, or None.  Devices are never refused: their
        From is rewritten (`fixups.rewrite_from`).
    """
    if account.kind == "device":
        return None
    headers = Headers.parse(header_block)
    if _is_cut(headers, header_block):
        return _refuse("The header has more fields than are looked at", "header")
    count = headers.count("from")
    if count == 0:
        return _refuse(f"The message has no From field; {_use(account)}", "from_missing")
    if count > 1:
        return _refuse(f"The message has more than one From field; {_use(account)} in one", "from_twice")
    check = _Check(headers, account, may_send_as)
    if account.sending.is_list and headers.count("list-id"):
        return check.unreadable("from")
    if not any(field.name in _RESENT_WHO for field in headers.fields):
        return check.author()
    return check.newest_resent() or check.resent()


@dataclass(frozen=True, slots=True)
class _Check:
    """One message's fields against one login."""

    headers: Headers
    account: Account
    may_send_as: MaySendAs

    def author(self) -> Reply | None:
        """From and Sender."""
        if self.headers.count("sender") > 1:
            return _refuse(
                f"The message has more than one Sender field; {_use(self.account)} in one", "sender_field"
            )
        refusal = self._fields("from", "from")
        if isinstance(refusal, Mismatch) and self._is_list_mail():
            return _list_mismatch(self.account, refusal.address)
        return refusal or self._fields("sender", "sender_field")

    def newest_resent(self) -> Reply | None:
        """The block of whoever resends it now; it stands on top (RFC 5322 section 3.6.6)."""
        newest = list(_newest_block(self.headers))
        for name in _RESENT_WHO:
            if refusal := self._fields(name.decode(), "resent", among=newest):
                return refusal
        if not any(field.name == b"resent-from" for field in newest):
            return _refuse(f"The message is resent by nobody; {_use(self.account)} in Resent-From", "resent")
        return None

    def resent(self) -> Reply | Resent | None:
        """Author and earlier resenders, once the newest block is the login's."""
        refusals = [self.author()]
        for name in _RESENT_WHO:
            refusals.append(self._fields(name.decode(), "resent"))
        foreign = None
        for refusal in refusals:
            if isinstance(refusal, Mismatch):
                foreign = foreign or refusal
            elif refusal is not None:
                return refusal
        return None if foreign is None else Resent(_unproven(self.account, foreign.address))

    def unreadable(self, name: str) -> Reply | None:
        """As `_fields`, whoever the authors are."""
        return self._fields(name, name, anybody=True)

    def _is_list_mail(self) -> bool:
        return bool(self.headers.count("list-id") or self.headers.count("list-post"))

    def _fields(
        self, name: str, check: str, *, among: Sequence[RawField] | None = None, anybody: bool = False
    ) -> Reply | None:
        shown, wanted = name.title(), name.encode()
        for field in self.headers.fields if among is None else among:
            if field.name != wanted:
                continue
            # As it stands: what is cut for showing could hide somebody behind a lot of space.
            value = self.headers.raw(field)[field.value - field.start :]
            found = strict_addresses(value)
            if isinstance(found, Unparsable):
                return _refuse(
                    f"The {shown} field cannot be read: {found.why}; {_use(self.account)}",
                    "author_unreadable",
                )
            if not found or any(not entry.is_mailbox for entry in parse(value)):
                return _refuse(
                    f"The {shown} field names no author or a group; {_use(self.account)}", "author_group"
                )
            for address in found:
                if not anybody and not self.may_send_as(address):
                    return _mismatch(self.account, address, f"in the {shown} field", check=check)
        return None


def _is_cut(headers: Headers, block: bytes) -> bool:
    """There is more than `mime.header` looks at; a configuration may allow messages that have."""
    return len(block) > MAX_BLOCK_OCTETS or (
        len(headers.fields) >= MAX_FIELDS and headers.fields[-1].end < len(block)
    )


def _newest_block(headers: Headers) -> Iterator[RawField]:
    """The first Resent fields that stand together, up to a name that comes again."""
    names: set[bytes] = set()
    for field in headers.fields:
        if field.name.startswith(b"resent-") and field.name not in names:
            names.add(field.name)
            yield field
        elif names:
            return


def _use(account: Account) -> str:
    return f"use {account.address}"


def _mismatch(account: Account, refused: Address, where: str, *, check: str) -> Mismatch:
    text = f"{account.address} may not use {refused} {where}; {_use(account)} or an alias of it"
    return Mismatch(550, "7.1", text, check, str(refused))


def _list_mismatch(account: Account, refused: str) -> Mismatch:
    text = (
        f"{account.address} may not post to a list as {refused}; let the list software put"
        f" {account.address} into From (From munging), or ask for a list grant"
    )
    return Mismatch(550, "7.1", text, "list_from", refused)


def _unproven(account: Account, refused: str) -> Mismatch:
    text = (
        f"{account.address} may not redirect mail of {refused}, because its signature does not prove"
        f" that it is unchanged; forward it as {account.address} instead"
    )
    return Mismatch(550, "7.1", text, "redirect", refused)


def _refuse(text: str, check: str) -> Reply:
    return Reply(550, "7.1", text, check)
