"""What a report is about: values for `dsn` and `dsn_text`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mailstack.delivery.entry import Kind, RecipientKind
from mailstack.mime import generate
from mailstack.model.language import Language
from mailstack.model.reply import Reply

Action = Literal["failed", "delayed", "relayed", "delivered", "expanded"]

GOOD: tuple[Action, ...] = ("relayed", "delivered", "expanded")
#: Of a header only this much is looked at and returned.
MAX_HEADER_OCTETS = 65_536
#: Of an answer.
_MAX_LINES = 12


@dataclass(frozen=True, slots=True)
class Site:
    """Who reports.

    Attributes:
        hostname: full name of this host.
        route: where a report goes: the return path's final form and whether that is
            a mailbox here; SRS addresses of ours are turned back into the sender.
        sign: DKIM fields to put in front of a message of this domain; b"" for none.
        full_octets: larger messages are returned with their header only.
        chosen: the language the owner of an address here has chosen, or their domain; None: nobody has.
        language: of everybody else, unless their mail program says another.
    """

    hostname: str
    route: Callable[[str], tuple[str, RecipientKind]]
    sign: Callable[[bytes, str], bytes] = lambda message, domain: b""
    full_octets: int = 50_000
    chosen: Callable[[str], Language | None] = lambda address: None
    language: Language = "en"


@dataclass(frozen=True, slots=True)
class Original:
    """The message a report is about.

    Attributes:
        id: accept or queue id, for the text.
        sender: its envelope sender; "" for the null sender.
        owner: the local address that sent or forwarded it; "" for mail from outside.
        octets: the message; its start, holding the whole header, is enough when it is
            larger than `Site.full_octets`.
        size_octets: of the whole.
        arrived_at: Unix seconds.
        ret, envid: RFC 3461, decoded.
        is_binary: it holds binary parts; its header alone is returned.
        requiretls: it may travel over TLS only; so may the report.
    """

    id: str
    kind: Kind
    sender: str
    owner: str
    octets: bytes
    size_octets: int
    arrived_at: float
    ret: str = ""
    envid: str = ""
    smtputf8: bool = False
    is_binary: bool = False
    requiretls: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """One recipient.

    Attributes:
        host: who said so, `name[ip]`; "" when nobody was asked.
        is_ours: this server says so of the host.
        at: of the last attempt; Unix seconds; None when there was none.
        until: for "delayed": when we give up; Unix seconds.
        shown: the address the sender wrote to; "": `address`, unless that is private.
    """

    address: str
    action: Action
    reply: Reply
    notify: frozenset[str] = frozenset()
    orcpt: str = ""
    host: str = ""
    at: float | None = None
    until: float | None = None
    shown: str = ""
    is_ours: bool = False


def shown_address(original: Original, one: Reported) -> str:
    """The address the sender knows: not the private target of a redirection (RFC 3461 section 5.2.7.4)."""
    if one.shown:
        return one.shown
    return original.owner if original.kind == "forward" and original.owner else one.address


def status_of(one: Reported) -> str:
    """The enhanced status with its class digit."""
    # RFC 3464 section 2.3.4: a failure after days of temporary refusals keeps its 4.
    if one.action in GOOD:
        return "2.0.0"
    status = one.reply.status if re.match(r"\d{1,3}\.\d{1,3}\Z", one.reply.status) else "0.0"
    return f"{4 if one.reply.is_temporary else 5}.{status}"


def said(original: Original, one: Reported) -> list[str]:
    """The far server's sentence, line by line, each with its codes."""
    codes = f"{one.reply.code} {status_of(one)} " if one.reply.status else f"{one.reply.code} "
    lines = _masked(original, one).split("\n")[:_MAX_LINES]
    return [generate.clean(codes + line) for line in lines]


def _masked(original: Original, one: Reported) -> str:
    """The reply, with the private target of a redirection replaced."""
    shown = shown_address(original, one)
    if shown == one.address:
        return one.reply.text
    return re.sub(re.escape(one.address), lambda _: shown, one.reply.text, flags=re.IGNORECASE)
