"""What an autoresponder may be told: times, days, text, senders; a refusal is one sentence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from mailstack.directory import names
from mailstack.model.autoresponse import DAYS, EVERY_DAY
from mailstack.model.errors import PermanentFailure

MAX_TEXT_OCTETS = 16_384
MAX_SUBJECT_CHARACTERS = 200
MAX_EXCLUDED = 500
_TIME = re.compile(r"([12][0-9]{3}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(?::00)?)?\Z", re.ASCII)
_NAMED = re.compile(r"\{(name|address)\}")


def local_time(text: str) -> str:
    """A day or a minute of a wall clock, as stored; "" and "none": no limit.

    Raises:
        PermanentFailure: it is neither, or not in the calendar.
    """
    plain = text.strip()
    if plain in ("", "none"):
        return ""
    found = _TIME.match(plain)
    try:
        if found is not None and datetime.fromisoformat(found[1]).year >= 1970:
            if found[2] is None:
                return found[1]
            return datetime.fromisoformat(f"{found[1]}T{found[2]}").isoformat(timespec="minutes")
    except ValueError:
        pass  # such as 30 February, or 25:00
    raise PermanentFailure(
        f"{text[:40]!r} is not a time; write it like 2026-12-24, or 2026-12-24T09:00, in local time"
    )


def check_period(starts: str, ends: str) -> None:
    """Refuses a period that is over before it begins.

    Raises:
        PermanentFailure: both are given, and the end comes first.
    """
    # A day as an end lasts until 23:59; a day as a start begins at 00:00.
    if starts and ends and (ends if "T" in ends else f"{ends}T23:59") < starts:
        raise PermanentFailure(f"it would end ({ends}) before it starts ({starts})")


def weekdays(text: str) -> int:
    """The bits of "mon-fri", "mon,wed,sat", "sat-mon" or "all".

    Raises:
        PermanentFailure: another word, or no day at all.
    """
    if text.strip().lower() == "all":
        return EVERY_DAY
    bits = 0
    for part in text.lower().replace(" ", ",").split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        start, end = _day(first, text), _day(last if dash else first, text)
        for step in range((end - start) % 7 + 1):
            bits |= 1 << (start + step) % 7
    if not bits:
        raise PermanentFailure("name at least one day of the week, such as mon-fri, or all")
    return bits


def _day(word: str, text: str) -> int:
    if len(word) < 3 or word[:3] not in DAYS or not _LONG_DAYS[DAYS.index(word[:3])].startswith(word):
        raise PermanentFailure(
            f"{text[:40]!r} are not days of the week; write them like mon-fri or mon,wed,sat"
        )
    return DAYS.index(word[:3])


_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def subject(text: str) -> str:
    """One line; "" lets the answer have the message's own.

    Raises:
        PermanentFailure: too long, or with a character that is not for reading (V8).
    """
    line = unicodedata.normalize("NFC", text.strip())
    bad = next((c for c in line if not c.isprintable()), "")
    if bad:
        raise PermanentFailure(f"the character {bad!r} may not stand in a subject")
    if len(line) > MAX_SUBJECT_CHARACTERS:
        raise PermanentFailure(
            f"the subject has {len(line)} characters; at most {MAX_SUBJECT_CHARACTERS} work"
        )
    return line


def body(text: str) -> str:
    """What is answered, with line feeds.

    Raises:
        PermanentFailure: empty, too long, or with a character that is not for reading.
    """
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").rstrip()
    bad = next((c for c in plain if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"), "")
    if bad:
        raise PermanentFailure(f"the character {bad!r} may not stand in the text")
    if not plain:
        raise PermanentFailure("the text is empty")
    size = len(plain.encode())
    if size > MAX_TEXT_OCTETS:
        raise PermanentFailure(f"the text has {size} octets; at most {MAX_TEXT_OCTETS} work")
    return plain


def changed(before: frozenset[str], *, exclude: Iterable[str], include: Iterable[str]) -> frozenset[str]:
    """Addresses and whole domains that get no answer, after some were added and others taken out.

    Raises:
        PermanentFailure: one is neither, or they are too many.
    """
    found = before - {names.sender_pattern(one) for one in include}
    found |= {names.sender_pattern(one) for one in exclude}
    if len(found) > MAX_EXCLUDED:
        raise PermanentFailure(f"{len(found)} addresses are too many to exclude; at most {MAX_EXCLUDED} work")
    return found


def personal(text: str, *, name: str, address: str) -> str:
    """A template's words for one address: "{name}" and "{address}" are filled in."""
    values = {"name": name or address, "address": address}
    return _NAMED.sub(lambda found: values[found[1]], text)
