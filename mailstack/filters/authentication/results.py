"""Our Authentication-Results field, and what strangers wrote in our name.

Standards: RFC 8601 (sections 2.2 syntax, 5 removing forged fields), RFC 7208 section 9.1.
"""

from __future__ import annotations

import re

import authres
from authres.arc import ARCAuthenticationResult
from authres.dmarc import DMARCAuthenticationResult

from mailstack.filters.fields import Header
from mailstack.model.verdict import ArcResult, Authentication, SpfResult

#: Semicolons too: readers exist that split at each of them.
_UNQUOTABLE = re.compile(r"[^ A-Za-z0-9._@+=/:,?*'-]")
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+=/:\[\]-]")
_TOKEN = re.compile(rb'[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')
_RECEIVER = re.compile(rb'receiver\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
#: Fields that only we write into a stored copy.
_OURS = (b"x-spam-", b"x-mailstack-")


def build(authserv_id: str, found: Authentication, *, sender: str, helo: str, ip: str = "") -> str:
    """The field's value, folded with CRLF and a tab before each result.

    Source: RFC 8601 section 2.2; RFC 8617 section 6 for arc.
    """
    results: list[object] = []
    spf = found.spf
    if sender:
        results.append(_spf(spf, smtp_mailfrom=safe(sender)))
    if not sender or found.helo_spf.result != "none":
        results.append(_spf(found.helo_spf if sender else spf, smtp_helo=safe(helo) or "unknown"))
    for one in found.dkim:
        names = {"header_d": safe(one.domain), "header_s": safe(one.selector)} if one.domain else {}
        results.append(authres.DKIMAuthenticationResult(result=one.result, reason=_reason(one.why), **names))
    if not found.dkim:
        results.append(authres.DKIMAuthenticationResult(result="none"))
    results.append(_dmarc(found))
    if found.arc.result != "none":
        results.append(_arc(found.arc, ip))
    return _fold(authserv_id, results)


def _spf(spf: SpfResult, **names: str) -> object:
    return authres.SPFAuthenticationResult(result=spf.result, reason=_reason(spf.why), **names)


def _arc(arc: ArcResult, ip: str) -> object:
    properties = [authres.AuthenticationResultProperty("smtp", "remote-ip", safe(ip))] if ip else []
    if arc.result == "pass":
        # RFC 8617 section 10.2: how far back the message is as it was.
        oldest = str(arc.oldest_pass)
        properties.append(authres.AuthenticationResultProperty("header", "oldest-pass", oldest))
    return ARCAuthenticationResult(result=arc.result, reason=_reason(arc.why), properties=properties)


def _reason(why: str) -> str | None:
    """As a quoted string: nothing in it ends the result."""
    text = _UNQUOTABLE.sub("_", why.replace(";", ","))[:160]
    # authres puts nothing with an "@" in it into quotes.
    return text.replace("@", " at ").strip() or None


def build_submission(authserv_id: str, login: str) -> str:
    """The value for mail of our own users: `auth=pass` (RFC 8601 section 2.7.4)."""
    return _fold(authserv_id, [authres.SMTPAUTHAuthenticationResult(result="pass", smtp_auth=safe(login))])


def _dmarc(found: Authentication) -> object:
    dmarc = found.dmarc
    names = {"header_from": safe(dmarc.domain)} if dmarc.domain else {}
    comment = f"p={dmarc.policy} dis={dmarc.disposition}" if dmarc.policy else None
    why = _reason(dmarc.problem)
    return DMARCAuthenticationResult(result=dmarc.result, result_comment=comment, reason=why, **names)


def _fold(authserv_id: str, results: list[object]) -> str:
    return ";\r\n\t".join([safe(authserv_id) or "localhost", *(str(result) for result in results)])


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
    wanted = {name.lower().encode("utf-8") for name in names}
    cuts = []
    for field in header.fields:
        if (
            field.name.startswith(_OURS)
            or (field.name == b"authentication-results" and _claims(field.text, wanted))
            or (field.name == b"received-spf" and _claims_receiver(field.text, wanted))
        ):
            cuts.append((field.start, field.end))
    return tuple(cuts)


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
