"""The Received-SPF field, for programs that know no Authentication-Results; off by default.

Standards: RFC 7208 section 9.1.
"""

from __future__ import annotations

from mailstack.filters.authentication.results import safe
from mailstack.model.verdict import FilterRequest, SpfResult

_SAID = {
    "pass": "{domain} lets {ip} send for it",
    "fail": "{domain} does not let {ip} send for it",
    "softfail": "{domain} rather does not let {ip} send for it",
    "neutral": "{domain} does not say whether {ip} may send for it",
    "none": "{domain} has no SPF record",
    "temperror": "the DNS of {domain} does not answer",
    "permerror": "the SPF record of {domain} cannot be used",
}


def build(receiver: str, found: SpfResult, request: FilterRequest) -> str:
    """The field's value, folded with CRLF and a tab.

    Args:
        receiver: our name.
    """
    domain, ip = safe(found.domain) or "the client", safe(request.ip) or "unknown"
    words = _SAID[found.result].format(domain=domain, ip=ip)
    identity = "mailfrom" if request.sender else "helo"
    pairs = [f"client-ip={ip}"]
    if request.sender:
        pairs.append(f'envelope-from="{safe(request.sender)}"')
    pairs += [
        f'helo="{safe(request.helo) or "unknown"}"',
        f"receiver={safe(receiver)}",
        f"identity={identity}",
    ]
    return f"{found.result} ({safe(receiver)}: {words})\r\n\t" + ";\r\n\t".join(pairs)
