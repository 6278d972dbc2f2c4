"""Our Authentication-Results field, and what strangers wrote in our name.

Standards: RFC 8601 (sections 2.2 syntax, 5 removing forged fields), RFC 7208 section 9.1.
"""

from __future__ import annotations

import re

from mailstack.filters.fields import Header
from mailstack.model.verdict import ArcResult, Authentication, DkimResult, DmarcResult

#: Semicolons too: readers exist that split at each of them.
_UNQUOTABLE = re.compile(r"[^ A-Za-z0-9._@+=/:,?*'-]")
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+=/:\[\]-]")
#: RFC 2045 section 5.1: what stands without quotes.
_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+\Z")
#: RFC 5321 section 4.1.2: an address of atoms at a domain name, or the domain alone.
_ADDRESS = re.compile(r"(?:[\w/=+-]+(?:\.[\w/=+-]+)*)?@[a-z\d-]+(?:\.[a-z\d-]+)*\Z", re.ASCII | re.I)
_TOKEN = re.compile(rb'[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')
_RECEIVER = re.compile(rb'receiver\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
#: Fields that only we write into a stored copy.
_OURS = (b"x-spam-", b"x-mailstack-")


def build(authserv_id: str, found: Authentication, *, sender: str, helo: str, ip: str = "") -> str:
    """The field's value, folded with CRLF and a tab before each result.

    Source: RFC 8601 section 2.2; RFC 8617 section 6 for arc.
    """
    results = []
    spf = found.spf
    if sender:
        results.append(f"spf={spf.result}{_reason(spf.why)}{_property('smtp.mailfrom', sender)}")
    if not sender or found.helo_spf.result != "none":
        one = found.helo_spf if sender else spf
        results.append(f"spf={one.result}{_reason(one.why)}{_property('smtp.helo', helo or 'unknown')}")
    results += map(_dkim, found.dkim or (DkimResult("none"),))
    results.append(_dmarc(found.dmarc))
    if found.arc.result != "none":
        results.append(_arc(found.arc, ip))
    return _fold(authserv_id, results)


def _dkim(one: DkimResult) -> str:
    said = f"dkim={one.result}{_reason(one.why)}"
    if not one.domain:
        return said
    return said + _property("header.d", one.domain) + _property("header.s", one.selector)


def _dmarc(dmarc: DmarcResult) -> str:
    comment = f" (p={dmarc.policy} dis={dmarc.disposition})" if dmarc.policy else ""
    return f"dmarc={dmarc.result}{comment}{_reason(dmarc.problem)}{_property('header.from', dmarc.domain)}"


def _arc(arc: ArcResult, ip: str) -> str:
    said = f"arc={arc.result}{_reason(arc.why)}{_property('smtp.remote-ip', ip)}"
    # RFC 8617 section 10.2: how far back the message is as it was.
    return f"{said} header.oldest-pass={arc.oldest_pass}" if arc.result == "pass" else said


def _property(name: str, text: str) -> str:
    """What a peer or a domain is called; "" without a name."""
    value = safe(text)
    return f" {name}={_quoted(value)}" if value else ""


def _reason(why: str) -> str:
    """As a token or a quoted string: nothing in it ends the result."""
    if not why:
        return ""
    text = _UNQUOTABLE.sub("_", why.replace(";", ","))[:160].replace("@", " at ").strip()
    return f" reason={_quoted(text)}" if text else ""


def _quoted(text: str) -> str:
    """Quotes where the syntax wants them; RFC 8601 section 2.2: not around an address that is plain."""
    return text if _PLAIN.match(text) or _ADDRESS.match(text) else f'"{text}"'


def build_submission(authserv_id: str, login: str) -> str:
    """The value for mail of our own users: `auth=pass` (RFC 8601 section 2.7.4)."""
    return _fold(authserv_id, [f"auth=pass{_property('smtp.auth', login)}"])


def _fold(authserv_id: str, results: list[str]) -> str:
    return ";\r\n\t".join([safe(authserv_id) or "localhost", *results])


def safe(text: str) -> str:
    """What a peer chose, unable to end a result or begin a comment."""
    plain = _UNSAFE.sub("_", text)[:320]
    local, _, domain = plain.rpartition("@")
    return plain if domain and "@" not in local else plain.replace("@", "_")


def find_cuts(header: Header, names: frozenset[str]) -> tuple[tuple[int, int], ...]:
    """Octet ranges of fields that would speak in our name, ascending.

    Args:
        names: our authserv-ids, lower case.
    """
    found = [field for name in header.names if name.startswith(_OURS) for field in header.all(name)]
    wanted = {name.lower().encode("utf-8") for name in names}
    for name, claims in ((b"authentication-results", _claims), (b"received-spf", _claims_receiver)):
        found += [field for field in header.all(name) if claims(field.text, wanted)]
    return tuple(sorted((field.start, field.end) for field in found))


def _claims(value: bytes, names: set[bytes]) -> bool:
    """True when the authserv-id is one of ours, comments and quoting undone (T22, D24)."""
    bare = without_comments(value)
    if bare is None:  # an open comment: nobody can say whose it is
        return any(name in value.lower() for name in names)
    token = _TOKEN.match(bare)
    if token is None:
        return False
    quoted, plain = token.groups()
    name = re.sub(rb"\\(.)", rb"\1", quoted) if quoted is not None else plain
    return name.strip().rstrip(b".").lower() in names


def _claims_receiver(value: bytes, names: set[bytes]) -> bool:
    """True when a Received-SPF field says that we wrote it; comments are not looked into."""
    return any(name.lower().rstrip(b".") in names for name in _RECEIVER.findall(value))


def without_comments(value: bytes) -> bytes | None:
    """The value with comments (which nest) replaced by a blank; None when one stays open."""
    out = bytearray()
    depth = at = 0
    quoted = False
    while at < len(value):
        octet = value[at : at + 1]
        if octet == b"\\":
            if not depth:
                out += value[at : at + 2]
            at += 2
            continue
        if octet == b'"' and not depth:
            quoted = not quoted
        if octet == b"(" and not quoted:
            depth += 1
        elif octet == b")" and depth:
            depth -= 1
            out += b" "
            at += 1
            continue
        if not depth:
            out += octet
        at += 1
    return None if depth else bytes(out)
