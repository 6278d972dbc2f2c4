"""DNS messages in and out of `model.dns` values; the wire format itself is dnspython's.

Standards: RFC 1035 (messages), RFC 2308 (negative answers), RFC 6840 section 5.7 (AD in a query).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from mailstack.model.dns import Answer, Question

#: DNS Flag Day 2020: larger answers come by TCP.
EDNS_PAYLOAD_OCTETS = 1_232
#: Records of one answer that are looked at (D4).
MAX_RECORDS = 1_000
#: What an answer may hold in all; TCP itself allows 65,535.
MAX_ANSWER_OCTETS = 65_535

TEMPERROR = Answer("temperror")
NO_SUCH_NAME = Answer("nxdomain")
PROBE = Question("", "NS")


def make_query(question: Question, number: int) -> dns.message.QueryMessage | None:
    """A query with the recursion and AD bits; None when the name cannot stand in the DNS."""
    try:
        name = _to_name(question.name)
        kind = dns.rdatatype.from_text(question.kind)
    except (dns.exception.DNSException, UnicodeError, ValueError):
        return None
    query = dns.message.make_query(
        name, kind, use_edns=0, payload=EDNS_PAYLOAD_OCTETS, flags=dns.flags.RD | dns.flags.AD
    )
    query.id = number
    return query


def _to_name(text: str) -> dns.name.Name:
    # Not dns.name.from_text: backslashes and IDNA have no place in names that strangers write.
    labels = text.encode("utf-8").split(b".") if text else []
    return dns.name.Name([*labels, b""])


def read_response(wire: bytes, query: dns.message.Message) -> dns.message.QueryMessage | None:
    """The parsed answer to `query`; None for garbage and for answers to something else (D27)."""
    try:
        response = dns.message.from_wire(wire, ignore_trailing=True)
    except Exception:  # hostile wire data: dnspython documents DNSException, but short records raise more
        return None
    if not isinstance(response, dns.message.QueryMessage) or not query.is_response(response):
        return None
    return response


def to_answer(response: dns.message.QueryMessage, question: Question, *, secure: bool) -> Answer:
    """What a response says about the question; broken and failed ones are "temperror".

    Args:
        secure: the AD bit may be believed.
    """
    if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return TEMPERROR
    try:
        chain = response.resolve_chaining()
    except dns.exception.DNSException:  # CNAME loops, chains that are too long (D6)
        return TEMPERROR
    authentic = secure and bool(response.flags & dns.flags.AD)
    records = _records(chain.answer, question.kind) if chain.answer is not None else ()
    if records:
        return Answer("ok", records, authentic, chain.minimum_ttl)
    status = "nxdomain" if response.rcode() == dns.rcode.NXDOMAIN else "nodata"
    return Answer(status, (), authentic, _negative_ttl(response, chain.minimum_ttl))  # type: ignore[arg-type]


def _negative_ttl(response: dns.message.QueryMessage, ttl_s: int) -> int:
    # Without a SOA record dnspython gives its largest TTL; RFC 2308 section 5 gives such an answer none.
    return ttl_s if any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority) else 0


def _records(rrset: dns.rrset.RRset, kind: str) -> tuple[object, ...]:
    read = _READERS.get(kind, _read_text)
    out = []
    for rdata in list(rrset)[:MAX_RECORDS]:
        try:
            out.append(read(rdata))
        except (AttributeError, ValueError):  # a record of another shape than its type says (D11)
            continue
    return tuple(out)


def to_host(name: dns.name.Name) -> str:
    """Lower case without final dot; the root is ""."""
    text = name.to_text(omit_final_dot=True).lower()
    return "" if text in (".", "@") else text


def _read_text(rdata: Any) -> object:
    return rdata.to_text()


_READERS: dict[str, Callable[[Any], object]] = {
    "TXT": lambda rdata: b"".join(rdata.strings),
    "SPF": lambda rdata: b"".join(rdata.strings),
    "A": lambda rdata: rdata.address,
    "AAAA": lambda rdata: rdata.address,
    "MX": lambda rdata: (rdata.preference, to_host(rdata.exchange)),
    "PTR": lambda rdata: to_host(rdata.target),
    "CNAME": lambda rdata: to_host(rdata.target),
    "NS": lambda rdata: to_host(rdata.target),
    "TLSA": lambda rdata: (rdata.usage, rdata.selector, rdata.mtype, bytes(rdata.cert)),
}
