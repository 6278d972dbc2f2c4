"""ARC: the sets of a chain, when they are of the right form.

Whether their signatures hold is a question for `arc_chain`.

Standards: RFC 8617 sections 4.1, 4.2 and 5.2 (steps 1 to 3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.filters.fields import Field, Header

#: limits, section 4; RFC 8617 section 4.2.1 allows 50.
MAX_INSTANCES = 10

#: A longer field is nobody's.
MAX_FIELD_OCTETS = 65_536

RESULTS, SIGNATURE, SEAL = b"arc-authentication-results", b"arc-message-signature", b"arc-seal"
NAMES = (RESULTS, SIGNATURE, SEAL)
_INSTANCE = re.compile(rb"(?:\A|;)\s*i\s*=\s*(\d{1,3})\s*(?:;|\Z)")
#: RFC 8617 section 4.1.1: there it comes first.
_INSTANCE_OF_RESULTS = re.compile(rb"\s*i\s*=\s*(\d{1,3})\s*;")
_VALIDATION = re.compile(rb"(?:\A|;)\s*cv\s*=\s*(\w+)\s*(?:;|\Z)")


@dataclass(frozen=True, slots=True)
class Set:
    """What one who passed the message on has put on it."""

    results: Field
    signature: Field
    seal: Field


def find_sets(header: Header) -> tuple[Set, ...] | str:
    """The sets, oldest first; () without any; or what is wrong with their form (D25)."""
    results, signatures, seals = (header.all(name) for name in NAMES)
    if not (results or signatures or seals):
        return ()
    if len(seals) > MAX_INSTANCES:
        return f"there are more than {MAX_INSTANCES} sets"
    if any(len(field.raw) > MAX_FIELD_OCTETS for field in (*results, *signatures, *seals)):
        return "a field is too long"
    ordered = [_in_order(fields, len(seals)) for fields in (results, signatures, seals)]
    if None in ordered:
        return "the sets are not numbered 1, 2, 3 ..., each with three fields"
    sets = tuple(Set(*fields) for fields in zip(*(o for o in ordered if o is not None), strict=True))
    for number, one in enumerate(sets, 1):
        said = _VALIDATION.search(one.seal.text)
        wanted = b"none" if number == 1 else b"pass"
        if said is None or said[1].lower() != wanted:
            return f"set {number} does not say cv={wanted.decode()}"
    return sets


def _in_order(fields: Sequence[Field], count: int) -> list[Field] | None:
    numbered = {_instance_of(field): field for field in fields}
    if len(fields) != count or set(numbered) != set(range(1, count + 1)):
        return None
    return [numbered[number] for number in range(1, count + 1)]


def _instance_of(field: Field) -> int:
    """The number of the set a field belongs to; 0 for none."""
    if field.name == RESULTS:
        found = _INSTANCE_OF_RESULTS.match(field.text)
    else:
        found = _INSTANCE.search(field.text)
    return int(found[1]) if found else 0
