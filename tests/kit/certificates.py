"""Throw-away certificates for tests: self-signed, RSA-2048 or P-256, made once per process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


@lru_cache(maxsize=32)
def pem(name: str = "localhost", *, ecdsa: bool = False, days: int = 30) -> tuple[bytes, bytes]:
    """Certificate and key in PEM; negative `days`: expired since then."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    key = ec.generate_private_key(ec.SECP256R1()) if ecdsa else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def write(
    folder: Path, *, stem: str = "server", name: str = "localhost", ecdsa: bool = False, days: int = 30
) -> tuple[str, str]:
    """Writes the pair into `folder`; gives both paths."""
    certificate, key = pem(name, ecdsa=ecdsa, days=days)
    paths = folder / f"{stem}.pem", folder / f"{stem}.key"
    paths[0].write_bytes(certificate)
    paths[1].write_bytes(key)
    return str(paths[0]), str(paths[1])
