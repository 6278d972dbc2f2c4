"""May this client send for that domain?  pyspf, run again until it knows its answers.

Adapter around a library that raises anything and catches too much: unanswered questions
are recorded as well as raised, and whatever escapes it is "permerror".  Its look-up
function is module-global, so one evaluation runs at a time in a process: it never waits.

Standards: RFC 7208; limits 10 look-ups, 2 void, 10 MX, 10 PTR, records of 10 KiB (T27).
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection
from typing import Any

import spf as pyspf

from mailstack.filters.remembered import Remembered
from mailstack.model.address import AddressError, parse_domain
from mailstack.model.dns import Answer, Lookup, NeedLookup
from mailstack.model.verdict import SpfResult

#: D10: no honest record is longer; RFC 7208 section 3.4 advises 450 octets.
MAX_RECORD_OCTETS = 10_240
#: Addresses, MX hosts or PTR names of one answer that are looked at.
MAX_RECORDS = 100
#: Clients whose address was looked at before.
KNOWN_ADDRESSES = 4_096
_MAX_NAME = 253
#: RFC 7208 section 7.1; a number of labels is not 0.
_MACRO = re.compile(rb"%(?:\{[a-z](?:0*[1-9][0-9]*)?r?[.\-+,/_=]*\}|[%_-])", re.IGNORECASE)
_WORDS = frozenset({"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"})


class _Query(pyspf.query):  # type: ignore[misc]  # pyspf has no types
    """pyspf's evaluation without explanations (text and look-ups of the sender's choice)."""

    def __init__(self, ip: str, local: str, domain: str, helo: str, *, now: float, lookup: Lookup) -> None:
        super().__init__(i=ip, s=f"{local}@{domain}", h=helo, strict=True, querytime=0)
        # pyspf splits at the first "@", which a quoted local part may hold too.
        self.l, self.o, self.d = local, domain, domain
        self.t = str(int(now))
        # T27: %{p} costs a reverse look-up of the sender's choice and RFC 7208 section 7.3 discourages it.
        self.p = "unknown"
        self._lookup = lookup

    def get_explanation(self, spec: str) -> None:
        return None

    def expand(self, text: str, *args: Any, **facts: Any) -> str:
        """RFC 7208 section 7.3: labels are dropped from the left until a name can be asked for."""
        name = str(super().expand(text, *args, **facts))
        while len(name) > _MAX_NAME and "." in name:
            name = name.partition(".")[2]
        return name

    def validated_ptrs(self) -> list[str]:
        """RFC 7208 section 5.5: without an answer there are no names; a name without one is left out."""
        try:
            names = self.dns_ptr(self.i)[: pyspf.MAX_PTR]
        except pyspf.TempError:
            return []
        for name in names:
            self._lookup.prefetch(name, self.A)
        return [name for name in names if self._is_host(name)]

    def _is_host(self, name: str) -> bool:
        try:
            return bool(self.cidrmatch(self.dns_a(name, self.A), self.cidrmax))
        except pyspf.TempError:
            return False

    def dns_mx(self, domainname: str) -> list[str]:
        """Addresses of the MX hosts, all asked for at once."""
        hosts = sorted(self.dns(domainname, "MX"))
        if len(hosts) > pyspf.MAX_MX:
            raise pyspf.PermError(f"More than {pyspf.MAX_MX} MX records returned")
        for _, host in hosts:
            self._lookup.prefetch(host, self.A)
        return [address for _, host in hosts if host.strip(".") for address in self.dns_a(host, self.A)]


def check(
    ip: str,
    sender: str,
    helo: str,
    *,
    now: float,
    lookup: Lookup,
    memory: Remembered[SpfResult] | None = None,
) -> SpfResult:
    """Evaluates MAIL FROM, or HELO when the sender is null.

    Args:
        ip: the client's address; "" gives "none".
        sender: envelope sender; "" for the null sender.
        now: Unix seconds, for the %{t} macro.
        memory: of earlier checks.

    Raises:
        NeedLookup: questions are recorded in `lookup`.

    Source: RFC 7208 sections 2.4, 4.
    """
    domain = _domain(sender.rpartition("@")[2] if sender else helo)
    if not domain or not _is_ip(ip):
        return SpfResult("none", domain)
    local = sender.rpartition("@")[0] or "postmaster"

    def evaluate(lookup: Lookup) -> SpfResult:
        asked = Lookup(lookup.known)
        query = _Query(ip, local, domain, _domain(helo) or domain, now=now, lookup=asked)
        result, why = _evaluate(query, asked)
        if asked.wanted:
            # Also when pyspf has swallowed our exception: a result from missing answers is none.
            lookup.wanted.update(asked.wanted)
            raise NeedLookup
        return SpfResult(result, domain, why)

    if memory is None:
        return evaluate(lookup)
    return memory.get((ip, domain), evaluate, lookup, may_keep=_is_without_macros)


def _is_without_macros(answers: Collection[Answer]) -> bool:
    """Local part, HELO and time are seen by macros only."""
    return not any(isinstance(text, bytes) and b"%" in text for one in answers for text in one.records)


def prefetch(ip: str, helo: str, lookup: Lookup) -> None:
    """Records the first question of a check of HELO."""
    domain = _domain(helo)
    if domain and _is_ip(ip):
        lookup.prefetch(domain, "TXT")


def _evaluate(query: _Query, lookup: Lookup) -> tuple[str, str]:
    original = pyspf.DNSLookup
    pyspf.DNSLookup = lambda name, kind, *_: _answer(lookup, name, kind)
    try:
        result, _, why = query.check()
    except NeedLookup:
        return "none", ""
    except Exception as error:  # named adapter: pyspf raises what Python raises on odd records
        return "permerror", type(error).__name__
    finally:
        pyspf.DNSLookup = original
    if result not in _WORDS:
        return "permerror", ""
    return result, _printable(why) if result in ("permerror", "temperror") else ""


def _answer(lookup: Lookup, name: str, kind: str) -> list[tuple[tuple[str, str], object]]:
    answer = lookup(name, kind)
    if answer.status == "temperror":
        raise pyspf.TempError(f"no answer for {kind} of {name[:80]}")
    return [((name, kind), _record(kind, record)) for record in _bounded(answer, kind)]


def _bounded(answer: Answer, kind: str) -> tuple[object, ...]:
    if kind != "TXT":
        return answer.records[:MAX_RECORDS]
    records = tuple(r for r in answer.records if isinstance(r, bytes) and r[:6].lower() == b"v=spf1")
    if any(len(record) > MAX_RECORD_OCTETS for record in records):
        raise pyspf.PermError(f"SPF record longer than {MAX_RECORD_OCTETS} octets")
    if any(_has_bad_macro(record) for record in records):
        raise pyspf.PermError("macro of the wrong form")
    return records[:2]  # two are an error already


def _has_bad_macro(record: bytes) -> bool:
    """pyspf looks at the letter only."""
    return b"%" in _MACRO.sub(b"", record)


def _record(kind: str, record: object) -> object:
    return (record,) if kind == "TXT" else record


def _domain(text: str) -> str:
    try:
        domain = parse_domain(text.rstrip("."))
    except AddressError:
        return ""
    return "" if domain.startswith("[") or "." not in domain else domain


@functools.lru_cache(KNOWN_ADDRESSES)
def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text[:160])
