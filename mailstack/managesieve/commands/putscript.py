"""PUTSCRIPT and CHECKSCRIPT: every mistake at once, each with its line and column.

A script that is not accepted changes nothing (G4): it is stored in one transaction after
it was checked.

Standards: RFC 5804 sections 2.6 and 2.12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.managesieve.commands.entry import Args
from mailstack.managesieve.errors import Refused
from mailstack.managesieve.names import script_name
from mailstack.managesieve.requests import Check, OnScripts
from mailstack.managesieve.response import one_line, status
from mailstack.model.asking import Steps, ask
from mailstack.model.scripts import Checked

if TYPE_CHECKING:
    from mailstack.managesieve.session import Session


def put_script(session: Session, args: Args) -> Steps[bytes]:
    """Stores a script."""
    name, source = script_name(args.string(0)), args.string(1)
    # First what costs nothing: whether there is room for it, and whether it can have that name.
    yield from ask(OnScripts(lambda store: store.check_room(name, len(source))))
    checked = yield from _check(source)
    yield from ask(OnScripts(lambda store: store.put(name, source)))
    return _accepted(checked, "Stored")


def check_script(session: Session, args: Args) -> Steps[bytes]:
    """Says what is wrong with a script."""
    return _accepted((yield from _check(args.string(0))), "No mistakes")


def _check(source: bytes) -> Steps[Checked]:
    if not source:
        raise Refused("The script is empty")
    checked = yield from ask(Check(source))
    if checked is None:
        raise Refused("Too many scripts were checked; try again in a minute", code="TRYLATER")
    if checked.errors:
        raise Refused("\r\n".join(checked.errors))
    return checked


def _accepted(checked: Checked, text: str) -> bytes:
    if checked.warnings:
        return status("OK", one_line(checked.warnings), "WARNINGS")
    return status("OK", text)
