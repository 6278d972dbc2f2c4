"""CAPABILITY, NOOP and LOGOUT: said in one breath.

Standards: RFC 5804 sections 2.3, 2.4 and 2.13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.managesieve.capability import capabilities
from mailstack.managesieve.commands.entry import Args
from mailstack.managesieve.response import status

if TYPE_CHECKING:
    from mailstack.managesieve.session import Session


def capability(session: Session, args: Args) -> bytes:
    """Lists what there is."""
    return capabilities(session) + status("OK")


def noop(session: Session, args: Args) -> bytes:
    """Does nothing; gives back the string it was sent."""
    if not len(args):
        return status("OK", "Done")
    return status("OK", "Done", "TAG", args.string(0))


def logout(session: Session, args: Args) -> bytes:
    """Ends the session."""
    session.leaving = True
    return status("OK", "Goodbye")
