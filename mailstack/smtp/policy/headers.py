"""What a header block may not be: endless, looping, or with two authors.

Counted on the raw octets, before any parser sees them.
"""

from __future__ import annotations

import re
from itertools import pairwise

from mailstack.model.reply import Reply
from mailstack.smtp.options import SmtpOptions

_NAMED = re.compile(rb"\r\n(received|from)[ \t]*:")
_FIELD_START = re.compile(rb"\r\n(?![ \t])")


def find_block(head: bytes) -> bytes | None:
    """The header block with its last CRLF, from the first octets of a message.

    Args:
        head: the whole message, or as much of it as a header block may have.

    Returns:
        None when it does not end within `head` and `head` may go on.
    """
    if head.startswith(b"\r\n"):
        return b""
    end = head.find(b"\r\n\r\n")
    return None if end < 0 else head[: end + 2]


def check(head: bytes, options: SmtpOptions, *, one_from: bool) -> Reply | None:
    """Refuses a header that is too large, has been everywhere, or names two authors.

    Args:
        head: the message, or its first `header_octets` + 4 octets.
        one_from: also refuse a second From field (RFC 5322 section 3.6; T20).

    Returns:
        The refusal, or None.
    """
    block = find_block(head)
    if block is None:
        block = head  # no empty line: all of it is header
    lower = b"\r\n" + block.lower()
    # Counting a fixed word is much cheaper than a pattern; the pattern decides near a limit.
    if lower.count(b"\r\nreceived") > options.hops and _count(lower, b"received") > options.hops:
        text = f"Too many hops: more than {options.hops} Received fields, this is a loop"
        return Reply(554, "4.6", text, "loop")
    if len(block) > options.header_octets:
        return Reply(552, "3.4", f"The header is larger than {options.header_octets} octets", "header")
    if one_from and lower.count(b"\r\nfrom") > 1 and _count(lower, b"from") > 1:
        text = "The message has more than one From field (RFC 5322 section 3.6)"
        return Reply(550, "7.1", text, "two_authors")
    return _check_fields(lower, options)


def _count(lower: bytes, name: bytes) -> int:
    return sum(1 for match in _NAMED.finditer(lower) if match[1] == name)


def _check_fields(lower: bytes, options: SmtpOptions) -> Reply | None:
    if len(lower) <= options.field_octets and lower.count(b"\r\n") <= options.header_fields:
        return None
    starts = [match.start() for match in _FIELD_START.finditer(lower)]
    if len(starts) - 1 > options.header_fields:
        return Reply(552, "3.4", f"The header has more than {options.header_fields} fields", "header")
    longest = max((end - start for start, end in pairwise(starts)), default=0)
    if longest > options.field_octets:
        return Reply(552, "3.4", f"A header field is larger than {options.field_octets} octets", "header")
    return None
