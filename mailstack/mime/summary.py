"""What messages are sorted and put into threads by, from a header.

Standards: RFC 5256 sections 2.2 (sent date), 3 (sort keys; threads: ids), RFC 5957
(display names), RFC 5322 section 3.6.4.  Imports: mime, model.  No I/O.
"""

from __future__ import annotations

import re

from mailstack.mime import addresses, date
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import Headers
from mailstack.mime.subject import base_subject
from mailstack.model.mailbox import MessageFields

#: Message ids of References that are kept: the first one and the last of them.
MAX_REFERENCES = 100
#: Characters of one id, name or subject.
MAX_ID = 500
MAX_TEXT = 2_000
_DAY_S = 86_400

_ID = re.compile(rb"<\s*(\"(?:[^\"\\<>]|\\.)*\"|[^\s<>@\"]+)\s*@\s*([^\s<>]+)\s*>")
_ESCAPED = re.compile(r"\\(.)")


def summarise(headers: Headers, internal_at: int) -> MessageFields:
    """The fields of one message; never fails.

    Args:
        internal_at: INTERNALDATE, Unix seconds: when there is no Date field that makes sense.
    """
    value = headers.first("date")
    sent = date.parse(value) if value else None
    subject = decode_words(headers.first("subject") or b"")[:MAX_TEXT]
    base = base_subject(subject)
    from_mailbox, from_display = _first_address(headers.first("from"))
    to_mailbox, to_display = _first_address(headers.first("to"))
    ids = message_ids(headers.first("message-id") or b"", 1)
    return MessageFields(
        sent_at=sent.at if sent is not None else internal_at,
        sent_day=(sent.at + sent.offset_s if sent is not None else internal_at) // _DAY_S,
        subject=subject,
        from_mailbox=from_mailbox,
        to_mailbox=to_mailbox,
        cc_mailbox=_first_address(headers.first("cc"))[0],
        from_display=from_display,
        to_display=to_display,
        message_id=ids[0] if ids else "",
        references=_references(headers),
        base_subject=base.text,
        is_reply=base.is_reply,
    )


def message_ids(value: bytes, most: int | None = None) -> tuple[str, ...]:
    """The message ids in a field's value, as `left@right` without quotes and brackets.

    Source: RFC 5256 section 3 (THREAD=REFERENCES: quoted and unquoted ids are the same).
    """
    out = []
    for match in _ID.finditer(value):
        left = match[1].decode("utf-8", "replace")
        if left[:1] == '"':
            left = _ESCAPED.sub(r"\1", left[1:-1])
        out.append(f"{left}@{match[2].decode('utf-8', 'replace')}"[:MAX_ID])
        if len(out) == most:
            break
    return tuple(out)


def _references(headers: Headers) -> tuple[str, ...]:
    """References; when there are none, the first id of In-Reply-To."""
    found = message_ids(headers.first("references") or b"")
    if not found:
        return message_ids(headers.first("in-reply-to") or b"", 1)
    return found if len(found) <= MAX_REFERENCES else (found[0], *found[1 - MAX_REFERENCES :])


def _first_address(value: bytes | None) -> tuple[str, str]:
    """Local part and display name (RFC 5957 section 3) of a field's first address."""
    if not value:
        return "", ""
    found = addresses.parse(value)
    if not found:
        return "", ""
    first = found[0]
    local = (first.local or b"").decode("utf-8", "replace")[:MAX_TEXT]
    if not first.is_mailbox:
        return local, decode_words(first.local or b"")[:MAX_TEXT]
    return local, (first.display or first.spec)[:MAX_TEXT]
