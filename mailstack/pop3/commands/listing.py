"""STAT, LIST and UIDL.

Standards: RFC 1939 sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mailstack.model.asking import Steps
from mailstack.pop3.response import END, ok

if TYPE_CHECKING:
    from mailstack.pop3.session import Session

#: Lines made before others get their turn.
_SLICE = 4_096


def stat(session: Session, argument: bytes) -> str:
    """Number and octets of the messages not marked as deleted."""
    return f"{session.count} {session.octets}"


def list_(session: Session, argument: bytes) -> Steps[str | None]:
    """Sizes."""
    sizes = session.drop.sizes
    return (yield from _lines(session, argument, lambda at: b"%d %d" % (at + 1, sizes[at])))


def uidl(session: Session, argument: bytes) -> Steps[str | None]:
    """Ids that stay the same in every session."""
    unique_id = session.drop.unique_id
    return (yield from _lines(session, argument, lambda at: b"%d %b" % (at + 1, unique_id(at))))


def _lines(session: Session, argument: bytes, line: Callable[[int], bytes]) -> Steps[str | None]:
    if argument:
        return line(session.position(argument)).decode("ascii")
    session.write(ok(f"{session.count} messages ({session.octets} octets)"))
    deleted = session.deleted
    for begin in range(0, len(deleted), _SLICE):
        end = min(begin + _SLICE, len(deleted))
        lines = [line(at) for at in range(begin, end) if not deleted[at]]
        session.write(b"\r\n".join([*lines, b""]))
        yield from session.flush()
    session.write(END)
    return None
