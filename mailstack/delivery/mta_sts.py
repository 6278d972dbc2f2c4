"""MTA-STS: what a domain says by HTTPS about its mail servers and their certificates.

    _mta-sts.DOMAIN TXT ─► an id, which tells whether the policy has changed
    https://mta-sts.DOMAIN/.well-known/mta-sts.txt ─► the policy, kept for `max_age_s`

Standards: RFC 8461 sections 3.1 (the record), 3.2 (the policy), 4.1 (names of hosts).
Imports: model.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from mailstack.delivery import certificates

Mode: TypeAlias = Literal["enforce", "testing", "none"]

#: RFC 8461 section 3.2: a year.
MAX_AGE_S = 31_557_600
#: Patterns of one policy that are kept; a policy is at most 64 KiB long (L16).
MAX_PATTERNS = 100
MAX_POLICY_OCTETS = 65_536

_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}\Z")
_PATTERN = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?\Z")


class BadPolicy(Exception):
    """It is no policy; says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as it was fetched.

    Attributes:
        mx: patterns of host names, lower case.
        lines: as they were written, for reports.
    """

    mode: Mode
    max_age_s: int
    mx: tuple[str, ...]
    lines: tuple[str, ...]

    def allows(self, host: str) -> bool:
        """True when mail may go to this host."""
        return any(certificates.matches(pattern, host) for pattern in self.mx)


def name_of(domain: str) -> str:
    """Where a domain's record stands."""
    return f"_mta-sts.{domain}"


def host_of(domain: str) -> str:
    """Who serves a domain's policy."""
    return f"mta-sts.{domain}"


def policy_id(records: Iterable[object]) -> str:
    """The id in a domain's record; "" where there is none, or more than one.

    Source: RFC 8461 section 3.1.
    """
    texts = [bytes(record).decode("ascii", "replace") for record in records if isinstance(record, bytes)]
    found = [text for text in texts if re.match(r"v=STSv1\s*(?:;|\Z)", text)]
    if len(found) != 1:
        return ""
    for field in found[0].split(";")[1:]:
        key, _, value = field.strip().partition("=")
        if key.strip() == "id":
            return value.strip() if _ID.match(value.strip()) else ""
    return ""


def parse(body: bytes) -> Policy:
    """Reads a policy.

    Raises:
        BadPolicy: it is none.

    Source: RFC 8461 section 3.2: the first of a repeated key counts, but for `mx`.
    """
    if len(body) > MAX_POLICY_OCTETS:
        raise BadPolicy(f"the policy is longer than {MAX_POLICY_OCTETS} octets")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadPolicy("the policy is not UTF-8") from None
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    fields: dict[str, str] = {}
    patterns: list[str] = []
    for line in lines:
        key, colon, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if not colon or not _KEY.match(key):
            raise BadPolicy(f"{line[:60]!r} is not a line of a policy")
        if key == "mx":
            patterns.append(value.lower())
        else:
            fields.setdefault(key, value)
    if fields.get("version") != "STSv1":
        raise BadPolicy("the policy has no 'version: STSv1'")
    mode = fields.get("mode", "")
    if mode not in ("enforce", "testing", "none"):
        raise BadPolicy(f"the policy's mode is {mode[:20]!r}")
    mx = _patterns(patterns)
    if mode != "none" and not mx:
        raise BadPolicy("the policy names no host")
    return Policy(cast("Mode", mode), _age(fields.get("max_age", "")), mx, tuple(lines))


def _patterns(found: Sequence[str]) -> tuple[str, ...]:
    for pattern in found:
        if not _PATTERN.match(pattern):
            raise BadPolicy(f"{pattern[:60]!r} is not a host name")
    return tuple(dict.fromkeys(pattern.rstrip(".") for pattern in found))[:MAX_PATTERNS]


def _age(text: str) -> int:
    """L16: a longer age than a year is a year."""
    if not text.isascii() or not text.isdigit():
        raise BadPolicy(f"the policy's max_age is {text[:20]!r}")
    return min(int(text[:20]), MAX_AGE_S)
