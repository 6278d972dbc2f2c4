"""The two parts of an SRS address that make it unforgeable: tag and day stamp.

Both survive relays that change the case of local parts: they use the base32 alphabet,
are compared without case, and the tag is computed over folded text.

Source: "Sender Rewriting Scheme" (M. Weber, S. Ristov, 2003-2004), sections on hash and
timestamp; tag size and validity from section 4 of the limits (threat T8).
Imports: nothing of ours.  No I/O.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
#: Eight characters of base32 are 40 bits.
TAG_CHARACTERS = 8
STAMP_CHARACTERS = 2
DAY_S = 86_400
#: Days after which stamps repeat.
_CYCLE_DAYS = 32**STAMP_CHARACTERS
#: A stamp may lie this far in the future: our own machines' clocks differ, or one was put back.
EARLY_DAYS = 1


def fold(text: str) -> str:
    """Lower case for ASCII letters only; relays that change case change no others."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def make_tag(text: str, secret: bytes, *, characters: int = TAG_CHARACTERS) -> str:
    """HMAC-SHA256 over the folded text, its first bits in base32.

    Args:
        characters: 5 bits each, at most 51.
    """
    digest = hmac.new(secret, fold(text).encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.b32encode(digest).decode("ascii")[:characters]


def is_tag_of(tag: str, text: str, secrets: Sequence[bytes]) -> bool:
    """True when one of the secrets made this tag; takes the same time whichever did."""
    # "ſ".upper() is "S": only ASCII letters have two cases here.
    given = tag.upper().encode("ascii") if tag.isascii() else b""
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(given, make_tag(text, secret).encode("ascii"))
    return found


def make_stamp(now: float) -> str:
    """The day of `now` (Unix seconds) in two characters; repeats after 1024 days."""
    day = int(now // DAY_S) % _CYCLE_DAYS
    return ALPHABET[day // 32] + ALPHABET[day % 32]


def age_days(stamp: str, now: float) -> int | None:
    """Days since the stamp was made, 0 also for tomorrow's; None when it is no stamp."""
    if not stamp.isascii() or len(stamp) != STAMP_CHARACTERS or not set(stamp.upper()) <= set(ALPHABET):
        return None
    high, low = (ALPHABET.index(c) for c in stamp.upper())
    age = (int(now // DAY_S) - (high * 32 + low)) % _CYCLE_DAYS
    return 0 if age >= _CYCLE_DAYS - EARLY_DAYS else age
