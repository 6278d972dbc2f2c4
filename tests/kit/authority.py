"""A certificate authority for tests: what it signs, an intermediate below it, and what is wrong in it.

root = Authority("root")
below = root.authority("below")
mx = below.issue("mx.example.net")
mx.chain                       # DER: its own, below's, root's
mx.write(tmp_path)             # PEM files for a server
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Issued:
    """A certificate with its key and whoever stands above it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...]

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def chain(self) -> list[bytes]:
        """DER, its own first, the root last."""
        return [self.der, *(one.public_bytes(serialization.Encoding.DER) for one in self.above)]

    @property
    def spki(self) -> bytes:
        """The public key, as selector 1 of a TLSA record sees it."""
        return self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def write(self, folder: Path, stem: str = "server", *, with_root: bool = True) -> tuple[str, str]:
        """Chain and key as PEM files; gives both paths."""
        above = self.above if with_root else self.above[:-1]
        chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (self.certificate, *above))
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        paths = folder / f"{stem}.pem", folder / f"{stem}.key"
        paths[0].write_bytes(chain)
        paths[1].write_bytes(key)
        return str(paths[0]), str(paths[1])

    def server_context(self, folder: Path, stem: str = "server") -> ssl.SSLContext:
        """What a server uses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.write(folder, stem))
        return context


class Authority:
    """Signs; a root when nobody stands above it."""

    def __init__(self, name: str, *, above: Authority | None = None, days: int = 30, ca: bool = True) -> None:
        self._own_key = ec.generate_private_key(ec.SECP256R1())
        signer = above or self
        self.name = name
        self.certificate = _sign(
            name, self._own_key, signer.name, signer._own_key, names=(), days=days, ca=ca
        )
        self._above: tuple[x509.Certificate, ...] = (
            (self.certificate, *above._above) if above is not None else (self.certificate,)
        )

    def authority(self, name: str, *, days: int = 30, ca: bool = True) -> Authority:
        """An authority below this one; `ca=False`: one that may not be."""
        return Authority(name, above=self, days=days, ca=ca)

    def issue(self, *names: str, days: int = 30, with_names: bool = True) -> Issued:
        """A server's certificate; negative `days`: expired since then; without names: CN alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        sans = names if with_names else ()
        certificate = _sign(names[0], key, self.name, self._own_key, names=sans, days=days, ca=False)
        return Issued(certificate, key, self._above)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def spki(self) -> bytes:
        return self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def write(self, folder: Path, stem: str = "root") -> str:
        """The certificate as a PEM file, for `queue.ca_file`."""
        path = folder / f"{stem}.pem"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    by: str,
    signing_key: ec.EllipticCurvePrivateKey,
    *,
    names: tuple[str, ...],
    days: int,
    ca: bool,
) -> x509.Certificate:
    now = datetime.now(tz=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(by))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
        )
    return builder.sign(signing_key, hashes.SHA256())
