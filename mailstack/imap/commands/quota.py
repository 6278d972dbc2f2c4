"""GETQUOTA, GETQUOTAROOT, SETQUOTA: how full the account is.

There is one quota root, the account, by its address; an account without limits has none,
since a QUOTA response has at least one limit.  A folder of somebody else has none here: how
full their account is is their business.

Standards: RFC 9208, RFC 2087.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import astring
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.model.quota import QuotaState

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: RFC 9208 section 5.1.
STORAGE_OCTETS = 1_024


def get_quota(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells what one's own root holds and may hold."""
    root = cursor.astring()
    cursor.end()
    if root.lower() not in (_root(session).lower(), b""):
        raise No("There is no such quota root", code="NONEXISTENT")
    state = yield from slow(lambda store: store.quota())
    if not _is_limited(state):
        raise No("This account has no limits", code="NONEXISTENT")
    session.write(quota_line(root, state))
    return Ok("Getquota completed")


def get_quota_root(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells which root a folder belongs to; it need not exist."""
    name = session.read_name(cursor)
    cursor.end()
    state = yield from slow(lambda store: _state(store, name))
    line = b"* QUOTAROOT " + session.mailbox_name(name)
    if state is None:
        session.write(line + b"\r\n")
    else:
        session.write(b"%b %b\r\n%b" % (line, astring(_root(session)), quota_line(_root(session), state)))
    return Ok("Getquotaroot completed")


def set_quota(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Refused: limits are the operator's."""
    yield from ()
    cursor.astring()
    cursor.expect(b" (")
    while not cursor.take(b")"):
        cursor.atom()
        cursor.space()
        cursor.number(most=2**63 - 1)
        if cursor.peek() == b" ":
            cursor.space()
    cursor.end()
    raise No("Limits are set by the operator", code="NOPERM")


def _root(session: Session) -> bytes:
    assert session.account is not None
    return str(session.account.address).encode("utf-8")


def _state(store: AccountStore, name: str) -> QuotaState | None:
    try:
        if store.locate(name).owner:
            return None
    except MailboxError:
        pass  # it would be one's own
    state = store.quota()
    return state if _is_limited(state) else None


def _is_limited(state: QuotaState) -> bool:
    return state.limit_octets is not None or state.limit_messages is not None


def quota_line(root: bytes, state: QuotaState) -> bytes:
    """`* QUOTA root (STORAGE used limit MESSAGE used limit)`; what has no limit is left out."""
    found = []
    if state.limit_octets is not None:
        used = -(-state.used_octets // STORAGE_OCTETS)
        found.append(b"STORAGE %d %d" % (used, state.limit_octets // STORAGE_OCTETS))
    if state.limit_messages is not None:
        found.append(b"MESSAGE %d %d" % (state.used_messages, state.limit_messages))
    return b"* QUOTA %b (%b)\r\n" % (astring(root), b" ".join(found))
