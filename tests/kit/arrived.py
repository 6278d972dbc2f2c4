"""Whole messages as they arrive, of our years and many languages: tests/cases/arrived.

`tuning` and `second` may be read by who fits signs to what is missed; `final` and `last` only
measure.  Beside them, `index.tsv` says of each file whether SPF and DKIM of the author's domain pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mailstack.cli.message_file import to_wire
from mailstack.model.verdict import Authentication, DmarcResult, SpfResult

FOLDER = Path(__file__).parents[1] / "cases" / "arrived"
SETS = ("tuning", "final", "second", "last")


class Arrived(NamedTuple):
    """One of them, with what its checks say; `name` is its folder and file."""

    name: str
    is_spam: bool
    message: bytes
    found: Authentication


def arrived(which: str) -> Iterator[Arrived]:
    """The messages of a set, in a fixed order."""
    for line in (FOLDER / which / "index.tsv").read_text("utf-8").splitlines():
        name, result, domain = line.split("\t")
        found = passing(domain) if result == "pass" else Authentication()
        message = to_wire((FOLDER / which / name).read_bytes())
        yield Arrived(name, name.startswith("spam/"), message, found)


def passing(domain: str) -> Authentication:
    """What a real provider's mail brings: SPF and DMARC of the author's domain pass."""
    return Authentication(SpfResult("pass", domain), dmarc=DmarcResult("pass", domain, "none"))
