"""What goes first: one-time codes, then what people write, then bulk.

A bounded look at the front of a message when it is queued.  It decides nothing but the
order in which mail of different ranks gets a free delivery; every rank gets its turn.

Imports: mime, filters.  No I/O.
"""

from __future__ import annotations

from typing import Final

from mailstack.delivery.entry import Kind
from mailstack.filters.classes import words
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import Headers
from mailstack.mime.scanner import scan
from mailstack.mime.text import texts

URGENT: Final = 0
NORMAL: Final = 1
BULK: Final = 2
RANK_NAMES: Final = {URGENT: "urgent", NORMAL: "normal", BULK: "bulk"}

#: So much of a message is looked at, in octets; no mail with a code is larger.
LOOK_OCTETS = 32_768
#: Characters of subject and text in which a code is searched.
_TEXT = 2_000
#: A code goes to one person; copies to an archive or two do not matter.
_CODE_RECIPIENTS = 3
_BULK_FIELDS = ("list-unsubscribe", "list-id", "feedback-id")
_BULK_PRECEDENCES = (b"bulk", b"junk", b"list")


def rank_of(kind: Kind, front: bytes, *, recipients: int, is_whole: bool, bulk_recipients: int) -> int:
    """The rank of a message to be queued.

    Args:
        front: its first LOOK_OCTETS octets.
        is_whole: that is all of it.
        bulk_recipients: from so many recipients on it is bulk whatever it says.
    """
    if kind in ("dsn", "local", "srs-bounce"):
        return NORMAL
    if kind == "vacation" or recipients >= bulk_recipients:
        return BULK
    header = Headers.parse(front)
    if any(header.first(name) is not None for name in _BULK_FIELDS):
        return BULK
    if (header.first("precedence") or b"").lower() in _BULK_PRECEDENCES:
        return BULK
    return URGENT if is_whole and recipients <= _CODE_RECIPIENTS and _has_code(header, front) else NORMAL


def _has_code(header: Headers, front: bytes) -> bool:
    if header.first("in-reply-to") is not None:
        return False  # people who talk about a code can wait for each other
    subject = decode_words(header.first("subject") or b"")[:_TEXT]
    text = "\n".join(part.text for part in texts(front, scan(front), limit=4 * _TEXT))
    return words.is_code(subject, text[:_TEXT])
