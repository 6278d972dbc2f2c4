"""LISTSCRIPTS, GETSCRIPT, SETACTIVE, RENAMESCRIPT, DELETESCRIPT, HAVESPACE.

Standards: RFC 5804 sections 2.5 and 2.7 to 2.11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.managesieve.commands.entry import Args
from mailstack.managesieve.errors import Refused
from mailstack.managesieve.names import script_name
from mailstack.managesieve.requests import OnScripts
from mailstack.managesieve.response import literal, status, string
from mailstack.model.asking import Steps, ask

if TYPE_CHECKING:
    from mailstack.managesieve.session import Session


def list_scripts(session: Session, args: Args) -> Steps[bytes]:
    """Their names, and which is active."""
    listed = yield from ask(OnScripts(lambda store: store.listed()))
    lines = [
        string(one.name.encode("utf-8")) + (b" ACTIVE" if one.active else b"") + b"\r\n" for one in listed
    ]
    return b"".join(lines) + status("OK")


def get_script(session: Session, args: Args) -> Steps[bytes]:
    """One script, as it is stored."""
    name = script_name(args.string(0))
    source = yield from ask(OnScripts(lambda store: store.source(name)))
    if source is None:
        raise Refused(f"There is no script {name!r}", code="NONEXISTENT")
    return literal(source) + b"\r\n" + status("OK")


def set_active(session: Session, args: Args) -> Steps[bytes]:
    """Makes one the active script, or with "" none; counts from the next message on."""
    name = script_name(args.string(0))
    yield from ask(OnScripts(lambda store: store.activate(name)))
    return status("OK", f"{name} is active" if name else "No script is active")


def rename_script(session: Session, args: Args) -> Steps[bytes]:
    """Gives one another name; the active one stays active."""
    old, new = script_name(args.string(0)), script_name(args.string(1))
    yield from ask(OnScripts(lambda store: store.rename(old, new)))
    return status("OK", "Renamed")


def delete_script(session: Session, args: Args) -> Steps[bytes]:
    """Removes one that is not active."""
    name = script_name(args.string(0))
    yield from ask(OnScripts(lambda store: store.remove(name)))
    return status("OK", "Deleted")


def have_space(session: Session, args: Args) -> Steps[bytes]:
    """Whether a script of this name and size could be stored."""
    name, octets = script_name(args.string(0)), args.number(1)
    yield from ask(OnScripts(lambda store: store.check_room(name, octets)))
    return status("OK")
