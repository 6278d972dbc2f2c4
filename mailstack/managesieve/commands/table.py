"""Every command, by name.

Standards: RFC 5804 section 2.
"""

from __future__ import annotations

from mailstack.managesieve.commands.authenticate import authenticate, unauthenticate
from mailstack.managesieve.commands.entry import Entry, State, at_once
from mailstack.managesieve.commands.putscript import check_script, put_script
from mailstack.managesieve.commands.scripts import (
    delete_script,
    get_script,
    have_space,
    list_scripts,
    rename_script,
    set_active,
)
from mailstack.managesieve.commands.simple import capability, logout, noop
from mailstack.managesieve.commands.starttls import starttls

_STRANGER = frozenset({State.STRANGER})
_USER = frozenset({State.USER})
_BOTH = _STRANGER | _USER

COMMANDS: dict[bytes, Entry] = {
    b"AUTHENTICATE": Entry(authenticate, _STRANGER, (bytes, bytes), optional=1),
    b"CAPABILITY": Entry(at_once(capability), _BOTH),
    b"CHECKSCRIPT": Entry(check_script, _USER, (bytes,)),
    b"DELETESCRIPT": Entry(delete_script, _USER, (bytes,)),
    b"GETSCRIPT": Entry(get_script, _USER, (bytes,)),
    b"HAVESPACE": Entry(have_space, _USER, (bytes, int)),
    b"LISTSCRIPTS": Entry(list_scripts, _USER),
    b"LOGOUT": Entry(at_once(logout), _BOTH),
    b"NOOP": Entry(at_once(noop), _BOTH, (bytes,), optional=1),
    b"PUTSCRIPT": Entry(put_script, _USER, (bytes, bytes), too_big="QUOTA/MAXSIZE"),
    b"RENAMESCRIPT": Entry(rename_script, _USER, (bytes, bytes)),
    b"SETACTIVE": Entry(set_active, _USER, (bytes,)),
    b"STARTTLS": Entry(starttls, _STRANGER),
    b"UNAUTHENTICATE": Entry(unauthenticate, _USER),
}
