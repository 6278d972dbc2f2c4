"""Every command, by name.

Standards: RFC 1939 sections 4 to 7, RFC 2449 (CAPA), RFC 2595 section 4 (STLS), RFC 5034
(AUTH), RFC 6856 (UTF8).
"""

from __future__ import annotations

from mailstack.pop3.commands.auth import auth
from mailstack.pop3.commands.dele import dele, rset
from mailstack.pop3.commands.entry import Entry, State, at_once
from mailstack.pop3.commands.listing import list_, stat, uidl
from mailstack.pop3.commands.login import password, user
from mailstack.pop3.commands.quit import quit_
from mailstack.pop3.commands.retr import retr, top
from mailstack.pop3.commands.simple import capa, noop, utf8
from mailstack.pop3.commands.stls import stls

_STRANGER = frozenset({State.AUTHORIZATION})
_USER = frozenset({State.TRANSACTION})
_BOTH = _STRANGER | _USER

COMMANDS: dict[bytes, Entry] = {
    b"AUTH": Entry(auth, _STRANGER, takes_argument=True),
    b"CAPA": Entry(at_once(capa), _BOTH),
    b"DELE": Entry(at_once(dele), _USER, takes_argument=True),
    b"LIST": Entry(list_, _USER, takes_argument=True),
    b"NOOP": Entry(at_once(noop), _USER),
    b"PASS": Entry(password, _STRANGER, takes_argument=True),
    b"QUIT": Entry(quit_, _BOTH),
    b"RETR": Entry(retr, _USER, takes_argument=True),
    b"RSET": Entry(at_once(rset), _USER),
    b"STAT": Entry(at_once(stat), _USER),
    b"STLS": Entry(stls, _STRANGER),
    b"TOP": Entry(top, _USER, takes_argument=True),
    b"UIDL": Entry(uidl, _USER, takes_argument=True),
    b"USER": Entry(at_once(user), _STRANGER, takes_argument=True),
    b"UTF8": Entry(at_once(utf8), _STRANGER),
}
