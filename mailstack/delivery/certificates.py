"""A server's certificate chain: whose it is, and whether somebody we trust vouches for it.

The path is built and checked by `cryptography` (signatures, dates, name constraints, who may
sign); what only the rules of the public web want of a certificate (key identifiers, key usage
of a server) is not asked for, because OpenSSL, by which everybody else judges, does not either.

Standards: RFC 5280 section 6, RFC 6125 section 6.4 (names), RFC 8460 section 4.3 (results).
Imports: state.  Pure: bytes and the time in, a verdict out.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification

from mailstack.state.tls_facts import TlsResult

#: Certificates of one chain, and octets of one of them, that are looked at.
MAX_CHAIN = 10
MAX_CERTIFICATE_OCTETS = 65_536
#: Names of one certificate that are compared.
MAX_NAMES = 1_000


def load(der: bytes) -> x509.Certificate | None:
    """A certificate; None for what is none, or is larger than any should be."""
    if len(der) > MAX_CERTIFICATE_OCTETS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, x509.InvalidVersion):
        return None


def load_all(ders: Iterable[bytes]) -> list[x509.Certificate]:
    """Those that can be read."""
    return [found for found in map(load, ders) if found is not None]


def trusting(anchors: Iterable[x509.Certificate]) -> verification.Store | None:
    """Whom a check trusts, made once for many; authorities of any kind.  None: nobody."""
    found = list(anchors)
    return verification.Store(found) if found else None


def check(
    chain: Sequence[bytes], anchors: verification.Store | None, names: Sequence[str], *, at: float
) -> TlsResult:
    """Says whether a chain leads from a server with one of these names to somebody we trust.

    Args:
        chain: DER, the server's own certificate first, as the server sent it.
        anchors: whom we trust: `trusting`.
        names: one of them must be the server's.
        at: Unix seconds.

    Returns:
        "" when all is well, else what is wrong, by the words of RFC 8460 section 4.3.
    """
    loaded = load_all(chain[:MAX_CHAIN])
    if not loaded or load(chain[0]) is None:
        return "validation-failure"
    leaf = loaded[0]
    if not is_for(leaf, names):
        return "certificate-host-mismatch"
    if not is_in_time(leaf, at):
        return "certificate-expired"
    return "" if _leads(leaf, loaded[1:], anchors, at=at) else "certificate-not-trusted"


def is_in_time(certificate: x509.Certificate, at: float) -> bool:
    """True between its two dates."""
    try:
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except ValueError:
        return False
    return first.timestamp() <= at <= last.timestamp()


def is_for(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    """True when one of these host names is among those of the certificate.

    Source: RFC 6125 section 6.4: a wildcard is the whole leftmost label, and stands for one.
    """
    shown = names_of(certificate)
    return any(matches(pattern, name) for name in names for pattern in shown)


def matches(pattern: str, name: str) -> bool:
    """True when a host name is meant by a name that may begin with `*.`: one label, no more."""
    wanted, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if not wanted.startswith("*."):
        return bool(wanted) and wanted == name
    label, _, rest = name.partition(".")
    return bool(label) and "." in rest and rest == wanted[2:]


def names_of(certificate: x509.Certificate) -> list[str]:
    """The host names of a certificate; its common name where it has no others."""
    try:
        try:
            found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            return found.get_values_for_type(x509.DNSName)[:MAX_NAMES]
        except x509.ExtensionNotFound:
            # RFC 7672 section 3.2.3 still knows certificates with nothing but a common name.
            common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            return [str(one.value) for one in common[:1]]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return []


def _leads(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: verification.Store | None,
    *,
    at: float,
) -> bool:
    """True when the path is good; whose name it is has been looked at by then."""
    if anchors is None:
        return False
    everybody = verification.ExtensionPolicy.permit_all()
    when = datetime.datetime.fromtimestamp(at, datetime.UTC)
    builder = verification.PolicyBuilder().store(anchors).time(when)
    try:
        verifier = builder.extension_policies(
            ca_policy=_authorities(), ee_policy=everybody
        ).build_client_verifier()
        verifier.verify(leaf, list(others))
    except (verification.VerificationError, ValueError, x509.DuplicateExtension):
        return False
    return True


def _authorities() -> verification.ExtensionPolicy:
    """RFC 5280 section 6.1.4 (k): whoever signs others says that it may."""
    return verification.ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, verification.Criticality.AGNOSTIC, _may_sign
    )


def _may_sign(
    policy: verification.Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints
) -> None:
    if not constraints.ca:
        raise ValueError("not an authority")
