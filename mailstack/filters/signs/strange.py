"""Names nobody chose: made by a machine, to be used once.

No I/O.
"""

from __future__ import annotations

import re
from functools import lru_cache

_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{6,}")
_VOWELS = re.compile(r"[aeiouy]")
_TURNS = re.compile(r"[a-z][0-9]|[0-9][a-z]")
#: Groups of consonants that words have.
_REAL = re.compile(
    r"schw|schn|schl|ngth|rths|tsch|ngst|ckst|rschl|lds|sch|ght|str|nds|rst|ndschr|nglsh|www|http|https|cdn|html"
)
#: Shorter names look like abbreviations.
MIN_LENGTH = 6


@lru_cache(4_096)
def is_random(name: str) -> bool:
    """A name of a host or a sender without any word in it."""
    if len(name) < MIN_LENGTH or name.startswith("xn--"):
        return False
    letters = _REAL.sub("a", name)
    if _CONSONANTS.search(letters) is not None:
        return True
    if len(_TURNS.findall(name)) >= 3:
        return True
    plain = [c for c in letters if "a" <= c <= "z"]
    return len(plain) >= 8 and len(_VOWELS.findall(letters)) * 6 < len(plain)
