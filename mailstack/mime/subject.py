"""The base subject, by which messages are sorted and put into threads.

Nothing is copied while prefixes and trailers are taken off, and a run of blobs is
looked at once: the time is linear in the subject's length.

Standards: RFC 5256 section 2.1.  No I/O.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: Characters of a subject that are looked at.
MAX_CHARACTERS = 2_000

_SPACES = re.compile(r"[ \t\r\n]+")
_BLOB = re.compile(r"\[[^\[\]]*\] *")
_REFWD = re.compile(r"(?:re|fwd?) *(?:\[[^\[\]]*\] *)?:", re.IGNORECASE)
_TRAILER = "(fwd)"
_FORWARD = "[fwd:"


class BaseSubject(NamedTuple):
    """What is left of a subject.

    Attributes:
        text: without prefixes, blobs and trailers; in its own case.
        is_reply: something that marks a reply or a forward was taken off.
    """

    text: str
    is_reply: bool


def base_subject(subject: str) -> BaseSubject:
    """The base subject of a decoded subject.

    Source: RFC 5256 section 2.1, steps 1 to 6; section 3 (reply or forward).
    """
    text = _SPACES.sub(" ", subject[:MAX_CHARACTERS]).strip(" ")
    start, end, is_reply = 0, len(text), False
    while True:
        end, forwarded = _without_trailers(text, start, end)
        start, answered = _without_leaders(text, start, end)
        is_reply = is_reply or forwarded or answered
        if end - start <= len(_FORWARD) or text[end - 1] != "]":
            break
        if text[start : start + len(_FORWARD)].lower() != _FORWARD:
            break
        start, end, is_reply = start + len(_FORWARD), end - 1, True
    return BaseSubject(text[start:end], is_reply)


def _without_trailers(text: str, start: int, end: int) -> tuple[int, bool]:
    """Step 2: where the text ends, and whether a "(fwd)" was taken off."""
    found = False
    while end > start:
        if text[end - 1] == " ":
            end -= 1
        elif text[end - len(_TRAILER) : end].lower() == _TRAILER and end - start >= len(_TRAILER):
            end -= len(_TRAILER)
            found = True
        else:
            break
    return end, found


def _without_leaders(text: str, start: int, end: int) -> tuple[int, bool]:
    """Steps 3 to 5: where the text begins, and whether a "Re:" was taken off."""
    found = False
    while start < end:
        if text[start] == " ":
            start += 1
            continue
        last = behind = start
        while (blob := _BLOB.match(text, behind, end)) is not None:
            last, behind = behind, blob.end()
        refwd = _REFWD.match(text, behind, end)
        if refwd is not None:
            start = refwd.end()
            found = True
            continue
        # Step 4: a blob stays when nothing would be left behind it.
        return (behind if behind < end else last), found
    return start, found
