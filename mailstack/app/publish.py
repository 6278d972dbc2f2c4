"""Every DNS record a domain should publish, with first-day values that harm nobody.

SPF `~all`, DMARC `p=none`, MTA-STS `testing`: a mistake shows in reports before it costs
mail.  Each record says what it is for and when to tighten it.

Standards: RFC 7208, RFC 6376, RFC 8463, RFC 9989, RFC 8461, RFC 8460, RFC 6186, RFC 8314,
RFC 6698.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

#: RFC 1035 section 3.3.14: one string of a TXT record.
_STRING_OCTETS = 255
_STS_MAX_AGE_S = 86_400
_DAY_S = 86_400
#: RFC 6186 and RFC 8314: service -> name of the listener whose port is published.
SERVICES = {
    "_submissions": "submissions",
    "_submission": "submission",
    "_imaps": "imaps",
    "_imap": "imap",
    "_pop3s": "pop3s",
    "_sieve": "sieve",
}


class PublicKey(Protocol):
    """The public half of a DKIM key."""

    @property
    def selector(self) -> str: ...

    @property
    def retired_at(self) -> float | None: ...

    def state(self, now: float, keep_s: float) -> str: ...

    @property
    def record(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        name: owner name without the final dot.
        type: "TXT", "MX" ...
        value: as a DNS library wants it; text of a TXT record unquoted.
        why: what it is for, and when to change it.
    """

    name: str
    type: str
    value: str
    why: str

    @property
    def line(self) -> str:
        """The record as a line of a zone file."""
        value = _quoted(self.value) if self.type == "TXT" else self.value
        return f"{self.name}. IN {self.type} {value}"


@dataclass(frozen=True, slots=True)
class Publication:
    """What to publish.

    Attributes:
        policy: the text to serve at https://mta-sts.<domain>/.well-known/mta-sts.txt.
        notes: what no record of this zone can say.
    """

    domain: str
    records: tuple[Record, ...]
    policy: str
    notes: tuple[str, ...]


def publication(
    domain: str,
    host: str,
    *,
    keys: Sequence[PublicKey],
    ports: Mapping[str, int],
    certificate_keys: Sequence[str] = (),
    now: float = 0.0,
    keep_s: float = 0.0,
) -> Publication:
    """Everything to publish for a domain whose mail server is `host`.

    Args:
        keep_s: seconds the record of a key is needed after it was retired.
        ports: TCP ports by listener name; a service without one is published as absent.
        certificate_keys: SHA-256 of the server's public keys in hex, for TLSA; give them
            only when the keys are kept on renewal.
    """
    reports = f"mailto:postmaster@{domain}"
    policy = f"version: STSv1\r\nmode: testing\r\nmx: {host}\r\nmax_age: {_STS_MAX_AGE_S}\r\n"
    records = [
        Record(domain, "MX", f"10 {host}.", "mail for the domain comes to this server"),
        *_spf(domain, host),
        *(_key(domain, key, now, keep_s) for key in keys if key.state(now, keep_s) != "unused"),
        Record(
            f"_dmarc.{domain}",
            "TXT",
            f"v=DMARC1; p=none; rua={reports}",
            "DMARC: reports only; go to p=quarantine, then p=reject, when they show only your own mail",
        ),
        *_sts(domain, host, policy),
        Record(
            f"_smtp._tls.{domain}", "TXT", f"v=TLSRPTv1; rua={reports}", "where TLS failures are reported"
        ),
        *_services(domain, host, ports),
        Record(f"autoconfig.{domain}", "CNAME", f"{host}.", "mail programs find their settings"),
        Record(f"autodiscover.{domain}", "CNAME", f"{host}.", "Outlook finds its settings"),
        *(
            Record(
                f"_{ports.get('mx', 25)}._tcp.{host}",
                "TLSA",
                f"3 1 1 {digest}",
                "DANE: other servers check our key; needs DNSSEC, and the same key after each renewal",
            )
            for digest in certificate_keys
        ),
    ]
    unused = [key.selector for key in keys if key.state(now, keep_s) == "unused"]
    return Publication(domain, tuple(records), policy, (*_notes(domain, host), *_leftovers(domain, unused)))


def _key(domain: str, key: PublicKey, now: float, keep_s: float) -> Record:
    why = "DKIM: checks our signatures"
    if key.state(now, keep_s) == "waiting":
        why = f"DKIM: a new key; publish it, then 'mailstack domain rotate-dkim {domain}' lets it sign"
    elif key.retired_at is not None:
        until = time.strftime("%Y-%m-%d", time.gmtime(key.retired_at + keep_s + _DAY_S))
        why = f"DKIM: an old key, for mail that is under way; remove the record after {until}"
    return Record(f"{key.selector}._domainkey.{domain}", "TXT", key.record, why)


def _leftovers(domain: str, selectors: Sequence[str]) -> Iterator[str]:
    for selector in selectors:
        yield f"remove {selector}._domainkey.{domain}: nothing signed with that key is under way any more"


def _spf(domain: str, host: str) -> list[Record]:
    found = [
        Record(
            domain,
            "TXT",
            "v=spf1 mx ~all",
            "SPF: only this server sends for the domain; go to -all when DMARC reports show nothing else",
        )
    ]
    if host != domain:
        # RFC 7208 section 2.3: the HELO name is checked too, and alone for bounces.
        found.append(Record(host, "TXT", "v=spf1 a ~all", "SPF for the HELO name, checked for bounces"))
    return found


def _sts(domain: str, host: str, policy: str) -> list[Record]:
    # RFC 8461 section 3.1: a new id tells that the policy has changed.
    id_ = hashlib.sha256(policy.encode()).hexdigest()[:20]
    return [
        Record(f"_mta-sts.{domain}", "TXT", f"v=STSv1; id={id_}", "MTA-STS: TLS is wanted; see the policy"),
        Record(f"mta-sts.{domain}", "CNAME", f"{host}.", "serves the policy over HTTPS"),
    ]


def _services(domain: str, host: str, ports: Mapping[str, int]) -> list[Record]:
    found = []
    for priority, (service, listener) in enumerate(SERVICES.items()):
        port = ports.get(listener, 0)
        # RFC 6186 section 3.4: "." says that the service is not there.
        value = f"{priority % 2} 1 {port} {host}." if port else "0 0 0 ."
        why = f"mail programs find {listener}" if port else f"{listener} is not offered"
        found.append(Record(f"{service}._tcp.{domain}", "SRV", value, why))
    return found


def _notes(domain: str, host: str) -> tuple[str, ...]:
    return (
        f"{host} needs A and AAAA records, and the PTR record of each address must say {host}",
        f"serve the MTA-STS policy at https://mta-sts.{domain}/.well-known/mta-sts.txt;"
        " change 'testing' to 'enforce' and the id when TLS reports show no failures",
        "publish TLSA only in a zone with DNSSEC and only when renewal keeps the key",
    )


def _quoted(text: str) -> str:
    octets = text.encode()
    parts = [octets[n : n + _STRING_OCTETS].decode() for n in range(0, len(octets), _STRING_OCTETS)]
    escaped = [part.replace("\\", "\\\\").replace('"', '\\"') for part in parts]
    return " ".join(f'"{part}"' for part in escaped)
