"""DANE: what a domain says in signed DNS about the certificates of its mail servers.

Only what a resolver we trust calls authentic counts, from the MX records to the addresses and
the TLSA records.  A host with such records gets mail by TLS that matches them, or none; where
the records cannot be had, the host is left alone for now.

    find(host, port, lookup) ─► None, Unknown, or Dane(base, records)
    Dane.problem(chain, names) ─► "" or what is wrong

Standards: RFC 6698, RFC 7671, RFC 7672.
Imports: model, state.  Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailstack.delivery import certificates
from mailstack.model.dns import Lookup
from mailstack.state.tls_facts import TlsResult

#: Records of one host that are looked at, and octets of one.
MAX_RECORDS = 32
MAX_DATA_OCTETS = 16_384
#: CNAMEs from an MX host to its last name.
MAX_ALIASES = 8

#: Certificate usages (RFC 6698 section 2.1.1) that mail knows (RFC 7672 section 3.1).
DANE_TA, DANE_EE = 2, 3
_CERTIFICATE, _KEY = 0, 1
_FULL = 0
_DIGESTS = {1: ("sha256", 32), 2: ("sha512", 64)}


@dataclass(frozen=True, slots=True)
class Tlsa:
    """A TLSA record that can be used."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"

    def fits(self, certificate: x509.Certificate) -> bool:
        """True when the record is about this certificate."""
        selected = _selected(certificate, self.selector)
        if selected is None:
            return False
        if self.matching != _FULL:
            selected = hashlib.new(_DIGESTS[self.matching][0], selected).digest()
        return hmac.compare_digest(selected, self.data)


@dataclass(frozen=True, slots=True)
class Dane:
    """What a host's TLSA records ask for.

    Attributes:
        base: the name they lie below, which is also told to the server (SNI).
        records: usable ones; none: TLS is asked for, and nothing of the certificate
            (RFC 7672 section 2.2).
    """

    base: str
    records: tuple[Tlsa, ...]

    def problem(self, chain: Sequence[bytes], names: Sequence[str], *, at: float) -> TlsResult:
        """Says what is wrong with a server's chain.

        Args:
            chain: DER, the server's own certificate first.
            names: of the server beside `base`: the domain the mail is for.
            at: Unix seconds.

        Source: RFC 7672 section 3.1; DANE-EE knows neither names nor dates.
        """
        if not self.records:
            return ""
        loaded = certificates.load_all(chain[: certificates.MAX_CHAIN])
        if not loaded or certificates.load(chain[0]) is None:
            return "validation-failure"
        if any(one.usage == DANE_EE and one.fits(loaded[0]) for one in self.records):
            return ""
        anchors = self._anchors(loaded)
        if not anchors:
            return "validation-failure"
        return certificates.check(chain, certificates.trusting(anchors), (self.base, *names), at=at)

    def _anchors(self, chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        """Who may have signed: of the chain, or in a record itself (RFC 7671 section 5.2)."""
        wanted = [one for one in self.records if one.usage == DANE_TA]
        found = [one for one in chain[1:] if any(record.fits(one) for record in wanted)]
        whole = (r.data for r in wanted if r.matching == _FULL and r.selector == _CERTIFICATE)
        return [*found, *certificates.load_all(whole)]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The answer about `name` cannot be had; the host must not be used (RFC 7672 section 2.1.1)."""

    name: str


def find(host: str, port: int, lookup: Lookup) -> Dane | Unknown | None:
    """What a mail server's domain says about its certificate; only where MX records are signed.

    Args:
        host: as the signed MX records name it; lower case A-labels.
        lookup: raises NeedLookup for what it does not know yet.

    Returns:
        None: nothing that binds us.

    Source: RFC 7672 sections 2.2.2 and 2.2.3.
    """
    for kind in ("A", "AAAA", "CNAME"):
        lookup.prefetch(host, kind)
    addresses = [answer for answer in (lookup(host, "A"), lookup(host, "AAAA")) if answer.status == "ok"]
    if not addresses:
        return None
    aliases = _aliases(host, lookup)
    if isinstance(aliases, Unknown):
        return aliases
    names, is_alias_secure = aliases
    if not all(answer.secure for answer in addresses):
        # The last name lies in an unsigned zone; the first one may still say something.
        names = [host] if is_alias_secure else []
    for base in names:
        name = f"_{port}._tcp.{base}"
        answer = lookup(name, "TLSA")
        if answer.status == "temperror":
            return Unknown(name)
        if answer.status == "ok" and answer.secure:
            return Dane(base, usable(answer.records))
    return None


def _aliases(host: str, lookup: Lookup) -> tuple[list[str], bool] | Unknown:
    """The last name behind a host and the host, without repeating; whether its alias is signed."""
    name, is_first_secure = host, False
    for number in range(MAX_ALIASES):
        answer = lookup(name, "CNAME")
        if answer.status == "temperror":
            return Unknown(name)
        if answer.status != "ok" or not isinstance(answer.records[0], str):
            break
        if number == 0:
            is_first_secure = answer.secure
        name = answer.records[0]
    return ([name, host] if name != host else [host]), is_first_secure


def usable(records: Iterable[object]) -> tuple[Tlsa, ...]:
    """Those records that mail can use, each once.

    The usages of the public web (0 and 1) are none of them: RFC 7672 section 3.1.3.
    """
    found: dict[Tlsa, None] = {}
    for record in records:
        if len(found) >= MAX_RECORDS:
            break
        tlsa = _read(record)
        if tlsa is not None:
            found[tlsa] = None
    return tuple(found)


def _read(record: object) -> Tlsa | None:
    match record:
        case (int(usage), int(selector), int(matching), bytes(data)):
            tlsa = Tlsa(usage, selector, matching, data)
        case _:
            return None
    if usage not in (DANE_TA, DANE_EE) or selector not in (_CERTIFICATE, _KEY):
        return None
    if matching == _FULL:
        is_good = 0 < len(data) <= MAX_DATA_OCTETS and (
            selector == _KEY or certificates.load(data) is not None
        )
    else:
        is_good = matching in _DIGESTS and len(data) == _DIGESTS[matching][1]
    return tlsa if is_good else None


def _selected(certificate: x509.Certificate, selector: int) -> bytes | None:
    """What a record is compared with; None for a key nobody knows how to read."""
    if selector == _CERTIFICATE:
        return certificate.public_bytes(Encoding.DER)
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None
