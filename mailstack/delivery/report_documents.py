"""What reports say: DMARC's XML and TLSRPT's JSON, of facts.  Pure.

Standards: RFC 9990 section 2.1 and its schema, RFC 8460 section 4.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from mailstack.model.verdict import PublishedPolicy
from mailstack.state.dmarc_facts import DmarcFact, DomainFacts, Signature
from mailstack.state.tls_facts import PolicyFacts, TlsFailures

NAMESPACE: Final = "urn:ietf:params:xml:ns:dmarc-2.0"
_DAY_S: Final = 86_400
#: What XML cannot hold, beside what `escape` replaces.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DKIM_RESULTS: Final = frozenset({"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"})
_SPF_RESULTS: Final = frozenset({"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"})


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports.

    Attributes:
        domain: of the sender of reports.
        organization: its name for people.
        contact: an address.
        program: name and version of what reports.
    """

    domain: str
    organization: str
    contact: str
    program: str


@dataclass(frozen=True, slots=True)
class Period:
    """The day a report is about; Unix seconds, both within it."""

    begin: int
    end: int

    @classmethod
    def of(cls, day: str) -> Period:
        """`day` as `YYYY-MM-DD`, in UTC.

        Raises:
            ValueError: it is no day.
        """
        begin = int(datetime.datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
        return cls(begin, begin + _DAY_S - 1)


# -- DMARC ------------------------------------------------------------------------------


def dmarc_xml(facts: DomainFacts, period: Period, reporter: Reporter, report_id: str) -> bytes:
    """The aggregate report of a domain and a day."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        f'<feedback xmlns="{NAMESPACE}">\n',
        _element("version", "1.0"),
        _group(
            "report_metadata",
            _element("org_name", reporter.organization),
            _element("email", reporter.contact),
            _element("report_id", report_id),
            _group("date_range", _element("begin", period.begin), _element("end", period.end)),
            _element("generator", reporter.program),
        ),
        _policy(facts.published),
        *(_record(fact, messages) for fact, messages in facts.rows),
        "</feedback>\n",
    ]
    return "".join(parts).encode("utf-8", "replace")


def _policy(published: PublishedPolicy) -> str:
    """Absent tags have the values they default to (RFC 9989 section 4.7)."""
    sp = published.sp or published.p
    return _group(
        "policy_published",
        _element("domain", published.domain),
        _element("discovery_method", "treewalk"),
        _element("p", published.p),
        _element("sp", sp),
        _element("np", published.np or sp),
        _optional("fo", published.fo or "0"),
        _element("adkim", published.adkim),
        _element("aspf", published.aspf),
        _element("testing", "y" if published.is_testing else "n"),
    )


def _record(fact: DmarcFact, messages: int) -> str:
    reason = ""
    if fact.override:
        reason = _group("reason", _element("type", fact.override), _optional("comment", fact.comment))
    return _group(
        "record",
        _group(
            "row",
            _element("source_ip", _address(fact.source_ip)),
            _element("count", messages),
            _group(
                "policy_evaluated",
                _element("disposition", fact.disposition),
                _element("dkim", fact.dkim),
                _element("spf", fact.spf),
                reason,
            ),
        ),
        _group(
            "identifiers",
            _element("header_from", fact.header_from),
            _element("envelope_from", fact.envelope_from),
        ),
        _group("auth_results", *(_dkim(one) for one in fact.signatures), _spf(fact)),
    )


def _dkim(one: Signature) -> str:
    return _group(
        "dkim",
        _element("domain", one.domain),
        _element("selector", one.selector),
        _element("result", one.result if one.result in _DKIM_RESULTS else "permerror"),
        _optional("human_result", one.why),
    )


def _spf(fact: DmarcFact) -> str:
    """RFC 9990: the MAIL FROM identity alone, of a null sender that made of HELO."""
    if not fact.spf_domain:
        return ""
    return _group(
        "spf",
        _element("domain", fact.spf_domain),
        _element("scope", "mfrom"),
        _element("result", fact.spf_result if fact.spf_result in _SPF_RESULTS else "permerror"),
        _optional("human_result", fact.spf_why),
    )


def _address(ip: str) -> str:
    """As the schema wants it: IPv6 compressed, without an IPv4 tail or zone."""
    try:
        return str(ipaddress.ip_address(ip.partition("%")[0]))
    except ValueError:
        return "0.0.0.0"  # never: what has no address is not counted


def _group(name: str, *children: str) -> str:
    return f"<{name}>\n{''.join(children)}</{name}>\n"


def _element(name: str, value: str | int) -> str:
    return f"<{name}>{escape(_NO_XML.sub('?', str(value)))}</{name}>\n"


def _optional(name: str, value: str) -> str:
    return _element(name, value) if value else ""


# -- TLS --------------------------------------------------------------------------------


def tls_json(policies: Sequence[PolicyFacts], period: Period, reporter: Reporter, report_id: str) -> bytes:
    """The TLSRPT report of a domain and a day."""
    document = {
        "organization-name": reporter.organization,
        "date-range": {"start-datetime": _stamp(period.begin), "end-datetime": _stamp(period.end)},
        "contact-info": reporter.contact,
        "report-id": report_id,
        "policies": [_policy_object(one) for one in policies],
    }
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode()


def _policy_object(facts: PolicyFacts) -> dict[str, object]:
    policy: dict[str, object] = {
        "policy-type": facts.policy.kind,
        "policy-domain": facts.policy.domain,
    }
    if facts.policy.strings:
        policy["policy-string"] = list(facts.policy.strings)
    if facts.policy.mx:
        policy["mx-host"] = list(facts.policy.mx)
    found: dict[str, object] = {
        "policy": policy,
        "summary": {
            "total-successful-session-count": facts.successes,
            "total-failure-session-count": facts.failed,
        },
    }
    if facts.failures:
        found["failure-details"] = [_failure(one) for one in facts.failures]
    return found


def _failure(one: TlsFailures) -> dict[str, object]:
    texts = {
        "sending-mta-ip": one.our_ip,
        "receiving-mx-hostname": one.mx_host,
        "receiving-ip": one.their_ip,
        "failure-reason-code": one.reason,
    }
    found: dict[str, object] = {"result-type": one.result}
    found.update({name: text for name, text in texts.items() if text})
    found["failed-session-count"] = one.sessions
    return found


def _stamp(at: int) -> str:
    """RFC 3339, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
