"""SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS: who else may do what with a folder.

Standards: RFC 4314.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad, No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import astring
from mailstack.imap.rights import changed, my_rights_line, parse_rights, with_old
from mailstack.model.address import Address, AddressError
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.model.sharing import ALL_RIGHTS, ANYONE

if TYPE_CHECKING:
    from mailstack.imap.session import Session

MAX_IDENTIFIER_OCTETS = 512


def set_acl(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Changes what one identifier may do."""
    name, identifier, _ = _folder_and_identifier(session, cursor)
    cursor.space()
    operation, rights = parse_rights(cursor.astring())
    cursor.end()

    def work(store: AccountStore) -> None:
        before = store.access(name).get(identifier, "")
        store.grant(name, identifier, changed(before, operation, rights))

    yield from slow(work)
    yield from session.changed(name)
    return Ok("Setacl completed")


def delete_acl(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Removes an identifier from the list."""
    name, identifier, _ = _folder_and_identifier(session, cursor)
    cursor.end()
    yield from slow(lambda store: store.grant(name, identifier, ""))
    yield from session.changed(name)
    return Ok("Deleteacl completed")


def get_acl(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells the list, the owner first."""
    name = session.read_name(cursor)
    cursor.end()
    entries = yield from slow(lambda store: store.access(name))
    pairs = [
        b" %b %b" % (astring(identifier.encode("utf-8")), astring(with_old(rights).encode("ascii")))
        for identifier, rights in entries.items()
    ]
    session.write(b"* ACL %b%b\r\n" % (session.mailbox_name(name), b"".join(pairs)))
    return Ok("Getacl completed")


def list_rights(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells what an identifier always has, and what it can be given."""
    name, identifier, asked = _folder_and_identifier(session, cursor)
    cursor.end()
    owner = next(iter((yield from slow(lambda store: store.access(name)))))
    always, can = (with_old(ALL_RIGHTS), "") if identifier == owner else ("", with_old(ALL_RIGHTS))
    if identifier.removeprefix("-") == ANYONE and not session.options.sharing_anyone:
        can = ""
    line = b"* LISTRIGHTS %b %b %b" % (session.mailbox_name(name), astring(asked), astring(always.encode()))
    session.write(line + b"".join(b" %c" % ord(right) for right in can) + b"\r\n")
    return Ok("Listrights completed")


def my_rights(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells what one may do oneself."""
    name = session.read_name(cursor)
    cursor.end()
    place = yield from slow(lambda store: store.locate(name))
    if not place.rights:
        raise MailboxError("NONEXISTENT", "There is no such folder")
    session.write(my_rights_line(session.mailbox_name(name), place.rights))
    return Ok("Myrights completed")


def _folder_and_identifier(session: Session, cursor: Cursor) -> tuple[str, str, bytes]:
    """The folder, the identifier as it is stored, and as the client wrote it."""
    name = session.read_name(cursor)
    cursor.space()
    asked = cursor.astring()
    return name, _identifier(session, asked), asked


def _identifier(session: Session, wire: bytes) -> str:
    """An address key or `anyone`, perhaps with "-" in front.

    A name without "@" is one of one's own domain.

    Raises:
        Bad: empty, or not UTF-8 (RFC 4314 section 3).
        No: CANNOT, no address.
    """
    try:
        text = wire.decode("utf-8")
    except UnicodeDecodeError:
        raise Bad("The identifier is not UTF-8") from None
    sign = "-" if text.startswith("-") else ""
    text = text.removeprefix("-")
    if not text or len(wire) > MAX_IDENTIFIER_OCTETS:
        raise Bad("The identifier is empty or too long")
    if text.lower() == ANYONE:
        return sign + ANYONE
    assert session.account is not None
    try:
        return sign + Address.parse(text if "@" in text else f"{text}@{session.account.address.domain}").key
    except AddressError as error:
        raise No(f"Not an address: {error}", code="CANNOT") from None
