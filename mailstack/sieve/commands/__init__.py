"""One file per Sieve command or extension; this is the table of them all."""

from __future__ import annotations

from mailstack.sieve.commands.address import ADDRESS
from mailstack.sieve.commands.allof import ALLOF
from mailstack.sieve.commands.anyof import ANYOF
from mailstack.sieve.commands.copy import COPY
from mailstack.sieve.commands.discard import DISCARD
from mailstack.sieve.commands.encoded_character import ENCODED_CHARACTER
from mailstack.sieve.commands.envelope import ENVELOPE
from mailstack.sieve.commands.exists import EXISTS
from mailstack.sieve.commands.false_ import FALSE
from mailstack.sieve.commands.fileinto import FILEINTO
from mailstack.sieve.commands.header import HEADER
from mailstack.sieve.commands.if_ import ELSE, ELSIF, IF
from mailstack.sieve.commands.keep import KEEP
from mailstack.sieve.commands.not_ import NOT
from mailstack.sieve.commands.redirect import REDIRECT
from mailstack.sieve.commands.require import REQUIRE
from mailstack.sieve.commands.size import SIZE
from mailstack.sieve.commands.stop import STOP
from mailstack.sieve.commands.true_ import TRUE
from mailstack.sieve.definition import Extension
from mailstack.sieve.match import ALL, ASCII_CASEMAP, CONTAINS, DOMAIN, IS, LOCALPART, MATCHES, OCTET
from mailstack.sieve.registry import BASE

#: RFC 5228 without its optional parts; never required.
_BASE = Extension(
    BASE,
    commands=[REQUIRE, IF, ELSIF, ELSE, STOP, KEEP, DISCARD, REDIRECT],
    tests=[ADDRESS, ALLOF, ANYOF, EXISTS, FALSE, HEADER, NOT, SIZE, TRUE],
    match_types=[IS, CONTAINS, MATCHES],
    comparators=[OCTET, ASCII_CASEMAP],
    address_parts=[LOCALPART, DOMAIN, ALL],
)

EXTENSIONS: tuple[Extension, ...] = (
    _BASE,
    # RFC 5228 section 6.1: these two may be required, and are there anyway.
    Extension("comparator-i;octet"),
    Extension("comparator-i;ascii-casemap"),
    COPY,
    ENCODED_CHARACTER,
    ENVELOPE,
    FILEINTO,
)
