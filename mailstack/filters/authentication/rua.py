"""Where reports go: the `rua` of a DMARC or TLSRPT record, and whether a stranger named there agreed.

    rua=mailto:dmarc@example.net!10m,mailto:reports@collector.example

An address outside the domain's own organization gets DMARC reports only when its host says so
in the DNS; else `rua` would be a way to flood a stranger (T29).

Standards: RFC 9990 sections 3 (transport) and 4 (external destinations), RFC 8460 section 3,
RFC 3986, RFC 6068.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from mailstack.filters.authentication.dmarc import walk_tree
from mailstack.filters.authentication.dmarc_record import (
    MAX_RECORD_OCTETS,
    is_record,
    read_tags,
)
from mailstack.model.address import MAX_DOMAIN_OCTETS, Address, AddressError, parse_domain
from mailstack.model.dns import Lookup

#: URIs of one record that are looked at.
MAX_URIS: Final = 10
#: A longer URI is nobody's.
MAX_URI_CHARACTERS: Final = 1_000

_SIZE: Final = re.compile(r"!([0-9]{1,12})([kmgt]?)\Z", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_HTTPS: Final = re.compile(r"https://([A-Za-z0-9.-]{1,255})(?::([0-9]{1,5}))?(/[!-~]*)?\Z", re.IGNORECASE)
_TLSRPT: Final = re.compile(rb"v=TLSRPTv1[ \t]*;")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address that wants reports.

    Attributes:
        max_octets: it takes no message larger than that; None: it does not say.
    """

    address: Address
    max_octets: int | None = None

    @property
    def scheme(self) -> str:
        """Of its URI."""
        return "mailto"

    def __str__(self) -> str:
        return f"mailto:{self.address}"


@dataclass(frozen=True, slots=True)
class Upload:
    """A web server that takes reports by HTTPS POST."""

    host: str
    port: int
    path: str

    @property
    def scheme(self) -> str:
        """Of its URI."""
        return "https"

    def __str__(self) -> str:
        return f"https://{self.host}{'' if self.port == 443 else f':{self.port}'}{self.path}"


Target: TypeAlias = Mailbox | Upload


def parse(text: str, *, schemes: Sequence[str] = ("mailto",)) -> tuple[Target, ...]:
    """The targets of a `rua`, in its order, each once; what cannot be one is left out."""
    found: dict[Target, None] = {}
    for uri in text.split(",", MAX_URIS)[:MAX_URIS]:
        target = _target(uri.strip(" \t\r\n"))
        if target is not None and target.scheme in schemes:
            found[target] = None
    return tuple(found)


def _target(uri: str) -> Target | None:
    if len(uri) > MAX_URI_CHARACTERS:
        return None
    if uri[:7].lower() == "mailto:":
        return _mailbox(uri[7:])
    return _upload(uri)


def _mailbox(text: str) -> Mailbox | None:
    # A "!" that belongs to the address is written %21 (RFC 7489 section 6.2).
    size = _SIZE.search(text)
    if size is not None:
        text = text[: size.start()]
    try:
        address = Address.parse(unquote_to_bytes(text.partition("?")[0]).decode())
    except (AddressError, UnicodeDecodeError):
        return None
    # No IP address was ever meant to read reports, and our names alone mean us.
    if not address.domain or address.domain.startswith("["):
        return None
    return Mailbox(address, int(size[1]) * _UNITS[size[2].lower()] if size is not None else None)


def _upload(text: str) -> Upload | None:
    match = _HTTPS.match(text)
    if match is None:
        return None
    port = int(match[2]) if match[2] else 443
    try:
        host = parse_domain(match[1])
    except AddressError:
        return None
    # By its last label a name is told from an IPv4 address.
    if not 0 < port < 65_536 or host.rpartition(".")[2].isdigit():
        return None
    return Upload(host, port, (match[3] or "/").partition("#")[0])


def tls_targets(domain: str, lookup: Lookup) -> tuple[Target, ...] | None:
    """Who wants TLS reports about a domain; None: the DNS does not answer now.

    Raises:
        NeedLookup: questions are recorded.

    Source: RFC 8460 section 3: more than one record is none.
    """
    answer = lookup(f"_smtp._tls.{domain}", "TXT")
    if answer.status == "temperror":
        return None
    texts = [text for text in answer.records if isinstance(text, bytes) and _TLSRPT.match(text)]
    if len(texts) != 1 or len(texts[0]) > MAX_RECORD_OCTETS:
        return ()
    tags = read_tags(texts[0])
    return () if isinstance(tags, str) else parse(tags.get("rua", ""), schemes=("mailto", "https"))


def check(policy_domain: str, organization: str, target: Mailbox, lookup: Lookup) -> Mailbox | str | None:
    """Whether a mailbox may be sent DMARC reports about a domain.

    Args:
        policy_domain: where the DMARC record was found.
        organization: the organizational domain of its policy.

    Returns:
        The mailbox, or the one its host wants instead; a text that says why nothing may be sent;
        None: the DNS does not answer now.

    Raises:
        NeedLookup: questions are recorded.

    Source: RFC 9990 section 4.
    """
    host = target.address.domain
    if host == policy_domain:
        return target
    walk = walk_tree(host, lookup)
    if walk.incomplete:
        return None
    if walk.organizational_domain == organization:
        return target
    name = f"{policy_domain}._report._dmarc.{host}"
    if len(name) > MAX_DOMAIN_OCTETS - 2:
        return f"{host} cannot say that it wants reports about so long a name"
    answer = lookup(name, "TXT")
    if answer.status == "temperror":
        return None
    consents = list(_consents(answer.records))
    if not consents:
        return f"{host} does not say that it wants reports about {policy_domain} (no TXT record at {name})"
    return _instead(target, consents)


def _consents(records: Sequence[object]) -> Iterator[dict[str, str]]:
    for text in records:
        if isinstance(text, bytes) and len(text) <= MAX_RECORD_OCTETS and is_record(text):
            tags = read_tags(text)
            if not isinstance(tags, str):
                yield tags


def _instead(target: Mailbox, consents: Sequence[dict[str, str]]) -> Mailbox | str:
    """The host may name another mailbox of its own; naming a third party ends it."""
    for tags in consents:
        if "rua" not in tags:
            continue
        others = parse(tags["rua"])
        if any(isinstance(one, Mailbox) and one.address.domain != target.address.domain for one in others):
            return f"{target.address.domain} sends reports on to somebody else"
        for other in others:
            if isinstance(other, Mailbox):
                return replace(other, max_octets=other.max_octets or target.max_octets)
    return target
