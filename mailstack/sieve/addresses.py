"""Addresses in scripts and envelopes.

A script may write `Name <local@domain>` or `local@domain`, with white space and
comments where RFC 5322 allows them, but no routes, groups or lists.  Local parts with
dots in odd places (".a.@example.org"), as some phone companies gave them out, are
taken and quoted.

Standards: RFC 5228 section 2.4.2.3; RFC 5321 section 4.1.2.
Imports: model.  No I/O.
"""

from __future__ import annotations

import re

from mailstack.model.address import Address, AddressError, parse_domain
from mailstack.sieve.match import SplitAddress

MAX_ADDRESS_CHARACTERS = 1_024

_ATOM = r"[^\s\"(),:;<>@\[\]\\\x00-\x20\x7f]+"
_SPEC = re.compile(rf'\s*("(?:[^"\\\r\n]|\\[^\r\n])*"|{_ATOM})\s*@\s*(\[[^\[\]\\\s]+\]|{_ATOM})\s*\Z')
_PHRASE = re.compile(rf'\s*+(?:(?:"(?:[^"\\\r\n]|\\[^\r\n])*+"|{_ATOM}+)\s*+)*+\Z')
_NEEDS_QUOTES = re.compile(r"[\s\"(),:;<>@\[\]\\]")
_LABEL = r"[^\s\"(),:;<>@\[\]\\.\x00-\x20\x7f]+"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[^\[\]\\\s]+\])"
#: RFC 5321 section 4.1.2: a path, with a route or not; a local part may stand alone.
_PATH = re.compile(
    rf'(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?(?P<local>"(?:[^"\\\r\n]|\\[^\r\n])*"|{_ATOM})(?:@(?P<domain>{_DOMAIN}))?\Z'
)


def parse_script_address(text: str) -> str | None:
    """A sieve-address in its normal form `local@domain`; None when it is none.

    Source: RFC 5228 section 2.4.2.3.
    """
    if len(text) > MAX_ADDRESS_CHARACTERS:
        return None
    bare = _without_comments(text)
    if bare is None:
        return None
    if bare.rstrip().endswith(">"):
        phrase, opened, spec = bare.rstrip()[:-1].rpartition("<")
        if not opened or _PHRASE.match(phrase) is None:
            return None
        bare = spec
    found = _SPEC.match(bare)
    return None if found is None else _normal(found[1], found[2])


def _normal(local: str, domain: str) -> str | None:
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    try:
        # str() of an Address quotes the local part when, and only when, it must be.
        return str(Address.parse(f"{_quoted(local)}@{parse_domain(domain)}"))
    except AddressError:
        return None


def spell(local: str, domain: str) -> str:
    """Both halves as one text; the local part quoted only when it must be."""
    return f"{_quoted(local) if _NEEDS_QUOTES.search(local) else local}@{domain}"


def _quoted(local: str) -> str:
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _without_comments(text: str) -> str | None:
    """The text with comments made blanks; None when one is not closed."""
    if "(" not in text and ")" not in text:
        return text
    out: list[str] = []
    depth = 0
    quoted = False
    characters = iter(text)
    for c in characters:
        if c == "\\":
            c += next(characters, "")
        elif c == '"' and not depth:
            quoted = not quoted
        elif c == "(" and not quoted:
            depth += 1
            continue
        elif c == ")" and not quoted:
            depth -= 1
            out.append(" ")
            if depth < 0:
                return None
            continue
        if not depth:
            out.append(c)
    return None if depth else "".join(out)


def split_envelope(text: str | None) -> SplitAddress | None:
    """An envelope address for comparing; None when it is not known or is none.

    The null sender is the empty string in every part; source routes are dropped.

    Source: RFC 5228 section 5.4.
    """
    if text is None:
        return None
    text = text.strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if not text:
        return SplitAddress("", "", "")
    found = _PATH.match(text)
    if found is None:
        return None
    local, domain = found["local"], found["domain"] or ""
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return SplitAddress(local, domain, spell(local, domain) if domain else local)
