"""Signs that a script puts a file or a page together out of its own text (HTML smuggling).

Filters see a harmless page, the browser of the reader makes the program or the form.  Single
signs stand in honest scripts too; several together, in mail, do not.

No I/O.
"""

from __future__ import annotations

import re

#: Characters of scripts that are looked at, one script.
MAX_SCRIPT = 262_144
#: A text of so many characters without a blank is data.
#: (Tried where such a text begins only, or 999 characters again and again take quadratic time.)
_LONG = re.compile(r"(?<![A-Za-z0-9+/=%\\])[A-Za-z0-9+/=%\\]{1000}")
_SIGNS = (
    ("blob", ("new blob", "createobjecturl", "new file(")),
    (
        "saves-file",
        ("mssaveoropenblob", "mssaveblob", ".download=", ".download =", "'download'", '"download"'),
    ),
    ("atob", ("atob(", "atob`", "['atob']", '["atob"]', "frombase64")),
    ("unescape", ("unescape(", "decodeuricomponent(", "decodeuri(")),
    ("eval", ("eval(", "new function(", "constructor(", "settimeout('", 'settimeout("')),
    ("char-codes", ("fromcharcode", "charcodeat", "fromcodepoint")),
    ("writes-page", ("document.write", "innerhtml=", "innerhtml =", "outerhtml")),
    ("goes-on", ("location.href", "location.replace", "window.location", "location=", "location.assign")),
)


def find(script: str, found: list[str]) -> None:
    """Adds the signs in a script, each once."""
    script = script[:MAX_SCRIPT]
    if _LONG.search(script) is not None and "long-string" not in found:
        found.append("long-string")
    lowered = script.lower()
    for name, signs in _SIGNS:
        if name not in found and any(sign in lowered for sign in signs):
            found.append(name)
