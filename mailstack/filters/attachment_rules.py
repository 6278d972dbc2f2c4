"""What a domain does with attachments of some kinds: refuses them, or files them as spam.

By what they are (filters/reading), not by what they are called alone.

Source: product page, section 2.7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from mailstack.filters.reading.facts import Attachment
from mailstack.model.directory import AttachmentRules

#: Names in an archive that are looked at.
MAX_MEMBERS = 1_000
#: Characters of a file name that are shown.
MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class Finding:
    """An attachment the domain does not want.

    Attributes:
        word: the rule it falls under.
        name: of the file.
    """

    action: Literal["refuse", "junk"]
    word: str
    name: str

    @property
    def why(self) -> str:
        """A sentence."""
        return f"{self.name or 'an attachment'} falls under {self.word!r}, which the domain does not take"


def find(attachments: Sequence[Attachment], rules: AttachmentRules) -> Finding | None:
    """The first attachment a rule speaks about, refusals before all; None when all are welcome."""
    if not rules.refused and not rules.junked:
        return None
    described = [(one, frozenset(_words(one))) for one in attachments]
    for action, wanted in (("refuse", rules.refused), ("junk", rules.junked)):
        for one, words in described:
            found = words & wanted
            if found:
                return Finding("refuse" if action == "refuse" else "junk", min(found), one.name[:MAX_NAME])
    return None


def _words(one: Attachment) -> Iterator[str]:
    """Everything it can be called in a rule."""
    yield one.kind
    yield f".{one.extension}"
    tricks: AbstractSet[str] = set(one.tricks)
    if "holds-program" in tricks:
        yield "program"
    if "holds-disk-image" in tricks:
        yield "disk-image"
    yield from tricks & {"macros", "encrypted"}
    if one.is_suspicious_archive:
        yield "suspicious-archive"
    for member in one.members[:MAX_MEMBERS]:
        yield f".{member.rpartition('.')[2].lower()[:16]}"
