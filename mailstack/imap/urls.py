"""IMAP URLs that name a message, or a part of one, of this account.

Absolute ones must name this server and this user.  Relative ones begin with "/" and a
mailbox, or with ";UID=": a message of the selected mailbox.  URLAUTH is not taken.

Standards: RFC 5092 (IMAP URLs), RFC 3986 section 2.1, RFC 4469 section 3.
Imports: fetch_items.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from mailstack.imap.errors import Bad
from mailstack.imap.fetch_items import Section, parse_section

MAX_OCTETS = 4_096
_MAX_NUMBER = 4_294_967_295

_SERVER = re.compile(r"imaps?://(?:([^/@]*)@)?([^/@:]*)(?::[0-9]{1,5})?(/.*)\Z", re.IGNORECASE)
_MESSAGE = re.compile(
    r"(?P<mailbox>[^;]*?)(?:;UIDVALIDITY=(?P<validity>[0-9]{1,10}))?/?;UID=(?P<uid>[0-9]{1,10})"
    r"(?:/?;SECTION=(?P<section>[^;]*?))?(?:/?;PARTIAL=(?P<first>[0-9]{1,19})(?:\.(?P<count>[0-9]{1,19}))?)?\Z",
    re.IGNORECASE,
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class BadUrl(Exception):
    """Not a URL of a message that can be here."""


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """What a URL names.

    Attributes:
        user, host: of an absolute URL; "" for any.
        mailbox: its name; None: the selected one.
        uid_validity: 0 for any.
        section: all of the message, or a part of it; its partial is the URL's.
    """

    user: str
    host: str
    mailbox: str | None
    uid_validity: int
    uid: int
    section: Section


def parse(text: bytes) -> MessageUrl:
    """Reads a URL.

    Raises:
        BadUrl: it names no message or part, or is malformed.

    Source: RFC 5092 section 11.
    """
    if len(text) > MAX_OCTETS or not text.isascii():
        raise BadUrl
    url = text.decode("ascii")
    server = _SERVER.match(url)
    user, host, path = (server[1] or "", server[2], server[3]) if server is not None else ("", "", url)
    found = _MESSAGE.match(path)
    if found is None or _BAD_ESCAPE.search(url) or (server is not None and not host):
        raise BadUrl
    return MessageUrl(
        _user(user),
        host.lower(),
        _mailbox(found["mailbox"], absolute=server is not None),
        _number(found["validity"]) if found["validity"] is not None else 0,
        _number(found["uid"]),
        _section(found["section"], found["first"], found["count"]),
    )


def _user(text: str) -> str:
    # RFC 5092 section 3: ";AUTH=..." says how to log in, which has been done.
    return _text(re.split(";auth=", text, maxsplit=1, flags=re.IGNORECASE)[0])


def _mailbox(text: str, *, absolute: bool) -> str | None:
    if not text and not absolute:
        return None
    # A "//" begins another server's name (RFC 3986 section 4.2).
    if not text.startswith("/") or text.startswith("//"):
        raise BadUrl
    name = _text(text[1:])
    if not name:
        raise BadUrl
    return name


def _text(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise BadUrl from None


def _number(text: str) -> int:
    number = int(text)
    if not 0 < number <= _MAX_NUMBER:
        raise BadUrl
    return number


def _section(text: str | None, first: str | None, count: str | None) -> Section:
    partial = None
    if first is not None:
        partial = int(first), int(count) if count is not None else 1 << 62
        if not partial[1]:
            raise BadUrl
    if text == "":
        raise BadUrl
    try:
        return parse_section(unquote_to_bytes(text or ""), partial)
    except Bad:
        raise BadUrl from None
