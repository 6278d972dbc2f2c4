"""A DMARC policy record as values; what is wrong with it is named, never guessed.

Standards: RFC 9989 section 4.7 (tags), RFC 6376 section 3.2 (tag lists).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

Policy: TypeAlias = Literal["none", "quarantine", "reject"]
POLICIES: tuple[Policy, ...] = ("none", "quarantine", "reject")

#: Longer records are nobody's.
MAX_RECORD_OCTETS = 4_096
MAX_TAGS = 64

_VERSION = re.compile(rb"\s*[vV]\s*=\s*DMARC1\s*(?:;|\Z)")
_MAIL = re.compile(r"mailto:[^\s,!;@]+@[^\s,!;@]+\.[^\s,!;@]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Record:
    """One valid record.

    Attributes:
        policy, subdomain, nonexistent: p, sp and np; the latter None when absent or invalid.
        testing: t=y, or pct=0 of an old record.
        rua, fo: as they stand in the record; "" when absent.
        problems: what was found wrong, in words for the log.
    """

    policy: Policy
    subdomain: Policy | None
    nonexistent: Policy | None
    psd: str
    testing: bool
    strict_dkim: bool
    strict_spf: bool
    problems: tuple[str, ...]
    rua: str = ""
    fo: str = ""


def is_record(text: bytes) -> bool:
    """True when the text claims to be a DMARC record: v=DMARC1 stands first."""
    return _VERSION.match(text) is not None


def parse(text: bytes) -> Record | str:
    """The record, or why there is none although it claims to be one.

    Source: RFC 9989 section 4.7.
    """
    if len(text) > MAX_RECORD_OCTETS:
        return "the record is too long"
    tags = read_tags(text)
    if isinstance(tags, str):
        return tags
    problems: list[str] = []
    policy = _policy(tags, "p", problems)
    if policy is None:
        if not _MAIL.search(tags.get("rua", "")):
            return "no valid p= and no rua="
        problems.append("no valid p=: read as none")
        policy = "none"
    psd = tags.get("psd", "u").lower()
    if psd not in ("y", "n", "u"):
        problems.append("invalid psd=")
        psd = "u"
    return Record(
        policy,
        _policy(tags, "sp", problems),
        _policy(tags, "np", problems),
        psd,
        _is_testing(tags, problems),
        _flag(tags, "adkim", problems),
        _flag(tags, "aspf", problems),
        tuple(problems),
        rua=tags.get("rua", ""),
        fo=tags.get("fo", ""),
    )


def read_tags(text: bytes) -> dict[str, str] | str:
    """The tags of a list by their names in lower case; or why it is none.

    Source: RFC 6376 section 3.2.
    """
    tags: dict[str, str] = {}
    parts = text.decode("utf-8", "replace").split(";")
    if len(parts) > MAX_TAGS:
        return "the record has too many tags"
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not part.strip():
            continue
        if not equals or not name.isalnum():
            continue  # RFC 9989: syntax errors in the remainder are ignored
        if name in tags:
            return f"{name}= stands twice"  # RFC 6376 section 3.2: the whole list is invalid
        tags[name] = value.strip()
    return tags


def _policy(tags: dict[str, str], name: str, problems: list[str]) -> Policy | None:
    word = tags.get(name)
    if word is None:
        return None
    if word.lower() in POLICIES:
        return cast("Policy", word.lower())
    problems.append(f"invalid {name}=")
    return None


def _is_testing(tags: dict[str, str], problems: list[str]) -> bool:
    word = tags.get("t", "").lower()
    if word not in ("", "y", "n"):
        problems.append("invalid t=")
    # Old records say with pct=0 what t=y says now; any other pct is ignored.
    return word == "y" or (word == "" and tags.get("pct", "").strip() == "0")


def _flag(tags: dict[str, str], name: str, problems: list[str]) -> bool:
    word = tags.get(name, "r").lower()
    if word not in ("r", "s"):
        problems.append(f"invalid {name}=")
    return word == "s"
