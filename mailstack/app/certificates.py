"""Self-signed certificates for a throw-away instance: one authority, two server keys.

RSA because old printers know nothing newer, ECDSA for everybody else; the authority is RSA
so that the former can check the chain too.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailstack.disk.durable import replace_text

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RSA_BITS = 2_048
VALID_DAYS = 825
#: Made anew when less is left.
LEAST_DAYS = 30


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the PEM files of an instance lie."""

    folder: Path

    @property
    def authority(self) -> Path:
        """What clients have to trust."""
        return self.folder / "ca.pem"

    def certificate(self, kind: str) -> Path:
        """The chain of the server; `kind`: rsa or ecdsa."""
        return self.folder / f"server-{kind}.pem"

    def key(self, kind: str) -> Path:
        """Its private key."""
        return self.folder / f"server-{kind}.key"


def ensure(files: CertificateFiles, names: Sequence[str], *, now: float) -> bool:
    """Makes authority and server certificates unless good ones are there.

    Args:
        names: host names and IP addresses of the server.
        now: Unix seconds.

    Returns:
        True when they were made anew.
    """
    if _is_good(files, names, now):
        return False
    begins = datetime.datetime.fromtimestamp(now - 3_600, datetime.UTC)
    authority_key = rsa.generate_private_key(65_537, RSA_BITS)
    authority = _authority(authority_key, begins)
    for kind, key in (
        ("rsa", rsa.generate_private_key(65_537, RSA_BITS)),
        ("ecdsa", ec.generate_private_key(ec.SECP256R1())),
    ):
        leaf = _server(key, authority, authority_key, names, begins)
        replace_text(files.key(kind), _key_pem(key))
        replace_text(files.certificate(kind), _pem(leaf))
    # The authority's key is forgotten: nobody can sign with it again.
    replace_text(files.authority, _pem(authority), mode=0o644)
    return True


def _is_good(files: CertificateFiles, names: Sequence[str], now: float) -> bool:
    wanted = [make(kind) for kind in ("rsa", "ecdsa") for make in (files.certificate, files.key)]
    if not all(path.exists() for path in [files.authority, *wanted]):
        return False
    try:
        leaf = x509.load_pem_x509_certificate(files.certificate("rsa").read_bytes())
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    ends = leaf.not_valid_after_utc.timestamp()
    return ends - now > LEAST_DAYS * 86_400 and list(found) == _names(names)


def _names(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _authority(key: rsa.RSAPrivateKey, begins: datetime.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailstack demo authority")])
    public = key.public_key()
    return (
        _builder(name, name, public, begins)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: Key,
    authority: x509.Certificate,
    authority_key: rsa.RSAPrivateKey,
    names: Sequence[str],
    begins: datetime.datetime,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    public = key.public_key()
    issuer_key = authority_key.public_key()
    return (
        _builder(subject, authority.subject, public, begins)
        .add_extension(x509.SubjectAlternativeName(_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    begins: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + datetime.timedelta(days=VALID_DAYS))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
