"""ARC: only whether there is a chain and whether its form can be right.

Chains are not verified here: no sealer is on a trust list, so a pass would change
nothing, and the IETF is about to declare ARC historic (T26).  A well-formed chain is
"none", a malformed one "fail".  Who seals a message anew asks `arc_chain`.

Standards: RFC 8617 section 5.2.
"""

from __future__ import annotations

import re

from mailstack.filters.fields import Header
from mailstack.model.verdict import ArcResult

#: limits, section 4; RFC 8617 section 4.2.1 allows 50.
MAX_INSTANCES = 10

NAMES = (b"arc-seal", b"arc-message-signature", b"arc-authentication-results")
_INSTANCE = re.compile(rb"(?:\A|;)\s*i\s*=\s*(\d{1,3})\s*(?:;|\Z)")
_VALIDATION = re.compile(rb"(?:\A|;)\s*cv\s*=\s*(\w+)\s*(?:;|\Z)")


def check(header: Header) -> ArcResult:
    """ "none" without a chain or with one of the right form, else "fail" (D25)."""
    found = {name: [instance_of(field.text) for field in header.all(name)] for name in NAMES}
    if not any(found.values()):
        return ArcResult("none")
    count = len(found[b"arc-seal"])
    expected = list(range(1, count + 1))
    if count > MAX_INSTANCES or any(sorted(numbers) != expected for numbers in found.values()):
        return ArcResult("fail")
    for field in header.all(b"arc-seal"):
        said = _VALIDATION.search(field.text)
        wanted = b"none" if instance_of(field.text) == 1 else b"pass"
        if said is None or said[1].lower() != wanted:
            return ArcResult("fail")
    return ArcResult("none")


def instance_of(value: bytes) -> int:
    """The number of the set a field belongs to; 0 for none."""
    found = _INSTANCE.search(value[:65_536])
    return int(found[1]) if found else 0
