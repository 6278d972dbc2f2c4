"""Writes mailstack/filters/lookalikes.py from the confusable characters of Unicode TR39.

    pip download --no-deps confusable_homoglyphs     (Unicode's confusables.txt as JSON)
    python tools/lookalikes.py confusable_homoglyphs/confusables.json > mailstack/filters/lookalikes.py

Kept: letters that are no ASCII and look like one ASCII letter or digit, unless compatibility
decomposition (NFKC) says so already.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

# TR39 takes the capital I for an l in every script; as text it is an I.
_BETTER = {"\u0406": "I", "\u0399": "I", "\u04c0": "I", "\u04cf": "l", "\u0391": "A", "\u0392": "B"}
# What TR39 leaves out or takes for two characters, and people use.
_MORE = {
    "\u0138": "k", "\u0142": "l", "\u0131": "i", "\u0261": "g", "\u03ba": "k", "\u043a": "k",
    "\u043c": "m", "\u0442": "t", "\u043d": "h", "\u0432": "b", "\u0501": "d", "\u051b": "q",
    "\u051d": "w", "\u03c4": "t", "\u03c7": "x", "\u03b7": "n", "\u03c9": "w", "\u03b5": "e",
    "\u0433": "r", "\u0437": "3", "\u043f": "n", "\u03bc": "u",
}  # fmt: skip

_HEADER = '''"""Letters that look like an ASCII letter or digit, by what they look like.

Made by tools/lookalikes.py from the confusable characters of Unicode TR39 (Unicode License v3);
not to be edited.  What compatibility decomposition (NFKC) makes ASCII is not in here.
"""

from __future__ import annotations

from typing import Final

LOOKALIKES: Final = {'''


def main() -> None:
    """Prints the module."""
    table: dict[str, str] = {}
    for character, others in json.loads(Path(sys.argv[1]).read_text()).items():
        if len(character) != 1 or ord(character) < 128 or not character.isalpha():
            continue
        if unicodedata.normalize("NFKC", character).isascii() or ord(character) > 0xFFFF:
            continue
        for other in (other["c"] for other in others):
            if len(other) == 1 and other.isascii() and other.isalnum():
                table.setdefault(character, other)
    table |= _MORE | _BETTER
    sys.stdout.write(_HEADER + "\n")
    for letter in sorted(set(table.values())):
        found = "".join(rf"\u{ord(c):04x}" for c in sorted(table) if table[c] == letter)
        lines = [found[at : at + 90] for at in range(0, len(found), 90)]
        sys.stdout.write(f'    "{letter}": ' + "\n        ".join(f'"{line}"' for line in lines) + "," + "\n")
    sys.stdout.write("}" + "\n")


if __name__ == "__main__":
    main()
