"""One file per Sieve command or extension; this is the table of them all."""

from __future__ import annotations

from mailstack.sieve.commands.address import ADDRESS
from mailstack.sieve.commands.allof import ALLOF
from mailstack.sieve.commands.anyof import ANYOF
from mailstack.sieve.commands.body import BODY
from mailstack.sieve.commands.comparators import ASCII_NUMERIC, UNICODE_CASEMAP
from mailstack.sieve.commands.copy import COPY
from mailstack.sieve.commands.date import DATE
from mailstack.sieve.commands.discard import DISCARD
from mailstack.sieve.commands.dsn import ENVELOPE_DSN, REDIRECT_DSN
from mailstack.sieve.commands.duplicate import DUPLICATE
from mailstack.sieve.commands.editheader import EDITHEADER
from mailstack.sieve.commands.encoded_character import ENCODED_CHARACTER
from mailstack.sieve.commands.enotify import ENOTIFY
from mailstack.sieve.commands.envelope import ENVELOPE
from mailstack.sieve.commands.environment import ENVIRONMENT
from mailstack.sieve.commands.exists import EXISTS
from mailstack.sieve.commands.extlists import EXTLISTS
from mailstack.sieve.commands.false_ import FALSE
from mailstack.sieve.commands.fcc import FCC
from mailstack.sieve.commands.fileinto import FILEINTO
from mailstack.sieve.commands.foreverypart import EXTRACTTEXT, FOREVERYPART, MIME
from mailstack.sieve.commands.header import HEADER
from mailstack.sieve.commands.if_ import ELSE, ELSIF, IF
from mailstack.sieve.commands.ihave import IHAVE
from mailstack.sieve.commands.imap4flags import IMAP4FLAGS
from mailstack.sieve.commands.include import INCLUDE
from mailstack.sieve.commands.index import INDEX
from mailstack.sieve.commands.keep import KEEP
from mailstack.sieve.commands.mailbox import (
    MAILBOX,
    MAILBOXID,
    MBOXMETADATA,
    SERVERMETADATA,
    SPECIAL_USE,
)
from mailstack.sieve.commands.not_ import NOT
from mailstack.sieve.commands.redirect import REDIRECT
from mailstack.sieve.commands.regex import REGEX
from mailstack.sieve.commands.reject import EREJECT, REJECT
from mailstack.sieve.commands.relational import RELATIONAL
from mailstack.sieve.commands.replace import ENCLOSE, REPLACE
from mailstack.sieve.commands.require import REQUIRE
from mailstack.sieve.commands.size import SIZE
from mailstack.sieve.commands.spamtest import SPAMTEST, SPAMTESTPLUS, VIRUSTEST
from mailstack.sieve.commands.stop import STOP
from mailstack.sieve.commands.subaddress import SUBADDRESS
from mailstack.sieve.commands.true_ import TRUE
from mailstack.sieve.commands.vacation import VACATION, VACATION_SECONDS
from mailstack.sieve.commands.variables import VARIABLES
from mailstack.sieve.definition import Extension
from mailstack.sieve.match import ALL, ASCII_CASEMAP, CONTAINS, DOMAIN, IS, LOCALPART, MATCHES, OCTET
from mailstack.sieve.registry import BASE

#: RFC 5228 without its optional parts; never required.
_BASE = Extension(
    BASE,
    commands=[REQUIRE, IF, ELSIF, ELSE, STOP, KEEP, DISCARD, REDIRECT],
    tests=[ADDRESS, ALLOF, ANYOF, EXISTS, FALSE, HEADER, NOT, SIZE, TRUE],
    match_types=[IS, CONTAINS, MATCHES],
    # The third one is there without being required too, as in Pigeonhole.
    comparators=[OCTET, ASCII_CASEMAP, *UNICODE_CASEMAP.comparators],
    address_parts=[LOCALPART, DOMAIN, ALL],
)

EXTENSIONS: tuple[Extension, ...] = (
    _BASE,
    # RFC 5228 section 6.1: these two may be required, and are there anyway.
    Extension("comparator-i;octet"),
    Extension("comparator-i;ascii-casemap"),
    ASCII_NUMERIC,
    BODY,
    COPY,
    DATE,
    DUPLICATE,
    EDITHEADER,
    ENCLOSE,
    ENCODED_CHARACTER,
    ENOTIFY,
    ENVELOPE,
    ENVELOPE_DSN,
    ENVIRONMENT,
    EREJECT,
    EXTLISTS,
    EXTRACTTEXT,
    FCC,
    FILEINTO,
    FOREVERYPART,
    IHAVE,
    IMAP4FLAGS,
    INCLUDE,
    INDEX,
    MAILBOX,
    MAILBOXID,
    MBOXMETADATA,
    MIME,
    REDIRECT_DSN,
    REGEX,
    REJECT,
    RELATIONAL,
    REPLACE,
    SERVERMETADATA,
    SPAMTEST,
    SPAMTESTPLUS,
    SPECIAL_USE,
    SUBADDRESS,
    UNICODE_CASEMAP,
    VACATION,
    VACATION_SECONDS,
    VARIABLES,
    VIRUSTEST,
)
