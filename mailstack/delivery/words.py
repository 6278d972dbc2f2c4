"""What a far server's refusal means, and what its reader can do.

Servers say one thing in a hundred ways, and some use status codes for what they were not
made for.  So, in this order: wordings that leave no doubt, among them those of the large
providers; the enhanced status; weaker hints in the words; the subject of the status; the
plain code.  Of what this server says itself only the codes count.

The words for people are `[report.meaning]` and `[report.todo]` of `delivery/texts`.

Source: RFC 3463 (enhanced status codes), RFC 7505 (null MX), RFC 7372 (authentication), the
providers' published lists of answers, and what their servers say.
Imports: model.  No I/O.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mailstack.delivery import texts
from mailstack.delivery.wordings import LIKELY, SURE
from mailstack.model.language import Language
from mailstack.model.reply import Reply

#: Meaning -> what its reader can do.
ADVICE: dict[str, str] = {
    "unknown_address": "check",
    "unknown_domain": "check",
    "bad_address": "check",
    "moved": "ask",
    "sender_refused": "ours",
    "sender_domain_refused": "ours",
    "takes_no_mail": "check",
    "disabled": "ask",
    "full": "room",
    "too_large": "smaller",
    "no_room": "later",
    "closed": "later",
    "no_answer": "later",
    "broken": "later",
    "dns": "later",
    "no_host": "check",
    "circle": "ask",
    "expired": "later",
    "too_many_recipients": "fewer",
    "kind": "ask",
    "characters": "plain",
    "utf8_address": "plain_address",
    "utf8_header": "plain_header",
    "refused": "ask",
    "not_permitted": "ask",
    "list": "list",
    "no_tls": "ours",
    "wants_tls": "ours",
    "not_verified_tls": "without_wish",
    "requiretls": "without_wish",
    "dkim": "ours",
    "spf": "ours",
    "dmarc": "ours",
    "unauthenticated": "ours",
    "no_name": "ours",
    "null_mx_sender": "ours",
    "rate": "later",
    "arc": "ours",
    "block_list": "ours_ask",
    "spam": "reword",
    "virus": "virus",
    "attachment": "attachment",
    "greylisted": "later",
    "relaying": "domain_wrong",
    "policy": "ask",
    "address_refused": "check",
    "mailbox": "ask",
    "server": "later",
    "route": "later",
    "protocol": "ours",
    "unusable": "later",
    "said_no": "ask",
    "put_off": "later",
    "login": "ours",
    "setup": "ours",
    "their_setup": "ask",
}

#: Enhanced status without its class digit, in full or the subject alone.
_BY_STATUS: dict[str, str] = {
    "1.1": "unknown_address",
    "1.2": "unknown_domain",
    "1.3": "bad_address",
    "1.6": "moved",
    "1.7": "sender_refused",
    "1.8": "sender_domain_refused",
    "1.10": "takes_no_mail",
    "2.1": "disabled",
    "2.2": "full",
    "2.3": "too_large",
    "3.1": "no_room",
    "3.2": "closed",
    "3.4": "too_large",
    "3.5": "their_setup",
    "4.1": "no_answer",
    "4.2": "broken",
    "4.3": "dns",
    "4.4": "no_host",
    "4.6": "circle",
    "4.7": "expired",
    "5.3": "too_many_recipients",
    "6.1": "kind",
    "6.3": "characters",
    "6.7": "utf8_address",
    "6.9": "utf8_header",
    "7.2": "list",
    "7.5": "no_tls",
    "7.8": "login",
    "7.10": "not_verified_tls",
    "7.20": "dkim",
    "7.21": "dkim",
    "7.22": "dkim",
    "7.23": "spf",
    "7.24": "spf",
    "7.25": "no_name",
    "7.26": "unauthenticated",
    "7.27": "null_mx_sender",
    "7.28": "rate",
    "7.29": "arc",
    "7.30": "requiretls",
}
_BY_SUBJECT: dict[str, str] = {
    "1": "address_refused",
    "2": "mailbox",
    "3": "server",
    "4": "route",
    "5": "protocol",
    "6": "kind",
    "7": "policy",
}
#: A status that says little more than its subject: weaker hints in the words count first.
_VAGUE_STATUS = {"7.0": "refused", "7.1": "not_permitted"}
#: What a status means that this server says itself.
_OURS = {"3.5": "setup"}
#: Servers that send no enhanced status.
_BY_CODE: dict[int, str] = {
    421: "closed",
    450: "unusable",
    452: "no_room",
    550: "address_refused",
    551: "moved",
    552: "full",
    553: "bad_address",
    556: "takes_no_mail",
}

#: Longer answers are not read further.
_MAX_TEXT = 1_000
#: An address in an answer says nothing about its meaning: <spamhaus@example.org> is a person.
_ADDRESS = re.compile(r"<[^<>\s]*>|[^\s<>@\"']+@[^\s<>@\"',;:]+")


class Words(NamedTuple):
    """`means`: what happened; `todo`: what the sender can do.  Whole sentences."""

    means: str
    todo: str


def explain(reply: Reply, language: Language, *, is_ours: bool = False) -> Words:
    """Plain words for a refusal.

    Args:
        is_ours: this server says so.
    """
    found = meaning(reply, is_ours=is_ours)
    return Words(
        texts.say(language, f"report.meaning.{found}"),
        texts.say(language, f"report.todo.{ADVICE[found]}"),
    )


def meaning(reply: Reply, *, is_ours: bool = False) -> str:
    """A key of ADVICE."""
    text = "" if is_ours else _ADDRESS.sub(" ", reply.text[:_MAX_TEXT].lower())
    status = reply.status
    return (
        (_OURS.get(status) if is_ours else _first(SURE, text))
        or _BY_STATUS.get(status)
        or _first(LIKELY, text)
        or _VAGUE_STATUS.get(status)
        or _BY_SUBJECT.get(status.partition(".")[0])
        or _BY_CODE.get(reply.code)
        or ("put_off" if reply.is_temporary else "said_no")
    )


def _first(patterns: tuple[tuple[str, re.Pattern[str]], ...], text: str) -> str | None:
    if not text:
        return None
    return next((found for found, pattern in patterns if pattern.search(text)), None)
