"""Mail from outside the organisation, marked where its domain wants it.

A header field and a keyword on every stored copy; on wish a word in front of the subject.
That changes the copies stored here and nothing that leaves, so no signature breaks on the way.

Source: product page, section 2.6.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Set as AbstractSet

import msgspec

from mailstack.mime.header import iterate
from mailstack.model.verdict import (
    AccountAction,
    AccountVerdict,
    Authentication,
    Edited,
    FileInto,
    Keep,
)

#: The IMAP keyword.
KEYWORD = "Outside"
#: Longer subject lines are folded behind the prefix.
_LINE = 78
#: Octets of a subject in which the prefix is looked for, as in answers to answers.
_LOOKED_AT = 120
_ANSWERS = re.compile(rb"(?:[^\s:]{1,12}\s?:\s{0,4}|\[[^\]]{1,30}\]\s{0,4}){0,8}")


def is_outside(login: str, author: str, found: Authentication, names: AbstractSet[str]) -> bool:
    """True for mail that no address of these domains sent, and that is not proven to be theirs.

    Args:
        login: who logged in to send it; "" for nobody.
        author: the only From address; "" when there is none.
        names: the domain, those that mirror it, others of its organisation.
    """
    if login:
        return login.rpartition("@")[2].lower() not in names
    domain = author.rpartition("@")[2]
    inside = any(domain == name or domain.endswith(f".{name}") for name in names)
    return not (inside and found.dmarc.result == "pass")


def mark(said: AccountVerdict, prefix: str, head: bytes, body_at: int) -> AccountVerdict:
    """The verdict with its stored copies marked.

    Args:
        prefix: for subjects; "" for none.
        head: the fields of the message that came, without those that speak in our name.
        body_at: where they end in it.
    """
    return msgspec.structs.replace(
        said, actions=tuple(_mark(action, prefix, head, body_at) for action in said.actions)
    )


def _mark(action: AccountAction, prefix: str, head: bytes, body_at: int) -> AccountAction:
    if not isinstance(action, Keep | FileInto):
        return action
    edited = action.edited
    if prefix:
        edited = edited or Edited(head, None, body_at)
        edited = msgspec.structs.replace(edited, head=with_prefix(edited.head, prefix))
    return msgspec.structs.replace(action, flags=(*action.flags, KEYWORD), edited=edited)


def with_prefix(head: bytes, prefix: str) -> bytes:
    """The header with a word in front of its subject, unless it stands there already."""
    for field in iterate(head):
        if field.name != b"subject":
            continue
        value = head[field.value : field.end].lstrip(b" \t")
        if _stands_in_front(prefix, value):
            return head
        word = _encoded(prefix, value)
        first = value.partition(b"\n")[0]
        gap = b" " if len(first) + len(word) + 10 <= _LINE or not first.strip() else b"\r\n "
        return head[: field.start] + b"Subject: " + word + gap + value + head[field.end :]
    return b"Subject: " + _encoded(prefix, b"") + b"\r\n" + head


def _stands_in_front(prefix: str, value: bytes) -> bool:
    """It is there already, behind nothing but "Re:" and the like: further back nobody sees it."""
    for like in (b"", b"=?"):
        before, found, _ = value[:_LOOKED_AT].partition(_encoded(prefix, like))
        if found and _ANSWERS.fullmatch(before) is not None:
            return True
    return False


def _encoded(prefix: str, value: bytes) -> bytes:
    """The prefix as it stands in a header; blanks between two encoded words are not seen (RFC 2047)."""
    if prefix.isascii():
        return prefix.encode()
    blank = " " if value.startswith(b"=?") else ""
    return b"=?utf-8?b?" + base64.b64encode((prefix + blank).encode()) + b"?="
