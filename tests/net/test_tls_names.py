"""Certificates by host name (SNI): who is shown which, wild cards, changes, broken files."""

from __future__ import annotations

import contextlib
import gc
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from mailstack.model.errors import ConfigError
from mailstack.net import tls_chain
from mailstack.net.handshake import explain_handshake
from mailstack.net.tls import Kind, TlsContexts
from mailstack.net.tls_options import TlsName, TlsOptions
from tests.kit import certificates
from tests.kit.smtp_talk import client_context, old_context


def named(
    folder: Path, name: str, *, names: tuple[str, ...] = (), ecdsa: str = "also", days: int = 30
) -> TlsName:
    """A certificate of a host name; `ecdsa`: "also", "only" or ""."""
    stem = name.replace("*", "_")
    files = certificates.write(folder, stem=f"{stem}-1", name=name, ecdsa=ecdsa == "only", days=days)
    second = (
        certificates.write(folder, stem=f"{stem}-2", name=name, ecdsa=True) if ecdsa == "also" else ("", "")
    )
    return TlsName(
        certificate_file=files[0],
        key_file=files[1],
        ecdsa_certificate_file=second[0],
        ecdsa_key_file=second[1],
        names=names,
    )


def contexts(folder: Path, *names: TlsName, alarms: list[str] | None = None) -> TlsContexts:
    certificate, key = certificates.write(folder, name="mx.example.test")
    options = TlsOptions(
        certificate_file=certificate,
        key_file=key,
        names=names,
        reload_s=0,
        devices=("10.0.0.1",),
        warn_days=5,
    )
    return TlsContexts(options, alarm=(alarms if alarms is not None else []).append)


def shown(server: ssl.SSLContext, name: str | None, client: ssl.SSLContext | None = None) -> tuple[str, str]:
    """Name and kind of key in the certificate a client that asks for `name` is shown."""
    client = client or client_context()
    wires = [ssl.MemoryBIO() for _ in range(2)]
    one = client.wrap_bio(wires[0], wires[1], server_hostname=name)
    other = server.wrap_bio(wires[1], wires[0], server_side=True)
    ends = {one, other}
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
                ends.discard(end)
            except ssl.SSLWantReadError:
                pass
    found = x509.load_der_x509_certificate(one.getpeercert(True) or b"")
    common = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    return str(common), type(found.public_key()).__name__.strip("_")[:3]


def only_rsa() -> ssl.SSLContext:
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    return client


@pytest.mark.parametrize("kind", ["mx", "submission", "access"])
def test_a_client_is_shown_the_certificate_of_the_name_it_asks_for(tmp_path: Path, kind: Kind) -> None:
    found = contexts(
        tmp_path, named(tmp_path, "mail.one.example"), named(tmp_path, "mail.two.example", ecdsa="")
    )
    assert shown(found.get(kind), "mail.one.example") == ("mail.one.example", "ECP")
    assert shown(found.get(kind), "MAIL.One.Example") == ("mail.one.example", "ECP")
    assert shown(found.get(kind), "mail.one.example", only_rsa()) == ("mail.one.example", "RSA")
    assert shown(found.get(kind), "mail.two.example") == ("mail.two.example", "RSA")


@pytest.mark.parametrize(
    "name",
    [
        None,
        "mx.example.test",
        "mail.three.example",
        "192.0.2.1",
        "one.example",
        "a.mail.one.example",
        "x" * 63,
    ],
)
def test_without_a_name_we_know_the_default_is_shown(tmp_path: Path, name: str | None) -> None:
    # L7
    found = contexts(tmp_path, named(tmp_path, "mail.one.example"))
    for kind in ("mx", "submission", "access", "legacy"):
        assert shown(found.get(kind), name)[0] == "mx.example.test"


def test_a_star_stands_for_one_label(tmp_path: Path) -> None:
    # RFC 6125 section 6.4.3
    exact = named(tmp_path, "smtp.one.example")
    found = contexts(tmp_path, named(tmp_path, "*.one.example"), exact).get("access")
    assert shown(found, "imap.one.example")[0] == "*.one.example"
    assert shown(found, "smtp.one.example")[0] == "smtp.one.example"
    assert shown(found, "one.example")[0] == "mx.example.test"
    assert shown(found, "a.b.one.example")[0] == "mx.example.test"


def test_names_may_be_given_instead_of_those_in_the_certificate(tmp_path: Path) -> None:
    given = named(tmp_path, "mail.one.example", names=("Pop.One.Example", "*.two.example"))
    found = contexts(tmp_path, given).get("access")
    assert shown(found, "pop.one.example")[0] == "mail.one.example"
    assert shown(found, "x.two.example")[0] == "mail.one.example"
    assert shown(found, "mail.one.example")[0] == "mx.example.test"


def test_an_old_device_is_shown_a_chain_it_can_use(tmp_path: Path) -> None:
    # L6, L7: TLS 1.0 knows no ECDSA here; a name without RSA falls back to the default chain.
    found = contexts(
        tmp_path, named(tmp_path, "mail.one.example"), named(tmp_path, "mail.two.example", ecdsa="only")
    )
    legacy = found.get("submission", "10.0.0.1")
    assert shown(legacy, "mail.one.example", old_context()) == ("mail.one.example", "RSA")
    assert shown(legacy, "mail.two.example", old_context()) == ("mx.example.test", "RSA")


def test_what_scram_binds_to_is_the_certificate_that_was_shown(tmp_path: Path) -> None:
    # RFC 5929 section 4.1
    one = named(tmp_path, "mail.one.example", ecdsa="")
    server = contexts(tmp_path, one, named(tmp_path, "mail.two.example")).get("access")
    for name, file in (("mail.one.example", one.certificate_file), (None, str(tmp_path / "server.pem"))):
        wires = [ssl.MemoryBIO() for _ in range(2)]
        client = client_context().wrap_bio(wires[0], wires[1], server_hostname=name)
        end = server.wrap_bio(wires[1], wires[0], server_side=True)
        for step in (client, end, client, end):
            try:
                step.do_handshake()
            except ssl.SSLWantReadError:
                pass
        certificate = x509.load_pem_x509_certificate(Path(file).read_bytes())
        assert certificate.signature_hash_algorithm is not None
        assert tls_chain.end_point_of(end.context) == certificate.fingerprint(
            certificate.signature_hash_algorithm
        )


def test_a_changed_certificate_of_a_name_is_shown_without_restart(tmp_path: Path) -> None:
    # L10
    alarms: list[str] = []
    found = contexts(tmp_path, named(tmp_path, "mail.one.example"), alarms=alarms)
    assert shown(found.get("access"), "mail.one.example")[0] == "mail.one.example"
    for stem, ecdsa in (("mail.one.example-1", False), ("mail.one.example-2", True)):
        certificates.write(tmp_path, stem=stem, name="new.one.example", ecdsa=ecdsa)
    assert shown(found.get("access"), "new.one.example")[0] == "new.one.example"
    assert shown(found.get("submission"), "new.one.example")[0] == "new.one.example"
    assert shown(found.get("access"), "mail.one.example")[0] == "mx.example.test"
    assert alarms == []


@pytest.mark.parametrize("fault", ["missing", "garbage", "mismatch", "expired"])
def test_a_bad_change_of_a_name_keeps_the_old_certificate(tmp_path: Path, fault: str) -> None:
    # L10
    alarms: list[str] = []
    one = named(tmp_path, "mail.one.example", ecdsa="")
    found = contexts(tmp_path, one, alarms=alarms)
    if fault == "missing":
        Path(one.certificate_file).unlink()
    elif fault == "garbage":
        Path(one.certificate_file).write_text("-----BEGIN")
    elif fault == "mismatch":
        Path(one.certificate_file).write_bytes(certificates.pem("other.example")[0])
    else:
        certificates.write(tmp_path, stem="mail.one.example-1", name="mail.one.example", days=-1)
    for _ in range(2):
        assert shown(found.get("access"), "mail.one.example")[0] == "mail.one.example"
    assert len(alarms) == 1 and "the old one stays" in alarms[0]


def test_a_broken_name_stops_nobody_and_comes_when_it_is_mended(tmp_path: Path) -> None:
    # L10: one customer's file is not the whole server's certificate.
    alarms: list[str] = []
    one = named(tmp_path, "mail.one.example", ecdsa="")
    good = Path(one.certificate_file).read_bytes()
    Path(one.certificate_file).unlink()
    found = contexts(tmp_path, one, named(tmp_path, "mail.two.example"), alarms=alarms)
    assert len(alarms) == 1 and "mail.one.example-1.pem does not exist" in alarms[0]
    assert shown(found.get("access"), "mail.one.example")[0] == "mx.example.test"
    assert shown(found.get("access"), "mail.two.example")[0] == "mail.two.example"
    Path(one.certificate_file).write_bytes(good)
    assert shown(found.get("access"), "mail.one.example")[0] == "mail.one.example"
    assert len(alarms) == 1


def test_a_certificate_that_ends_soon_is_named_once_a_day(tmp_path: Path) -> None:
    alarms: list[str] = []
    found = contexts(tmp_path, named(tmp_path, "mail.one.example", days=4, ecdsa=""), alarms=alarms)
    for _ in range(3):
        found.get("access")
    assert len(alarms) == 1
    assert "mail.one.example-1.pem ends on" in alarms[0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"\xff\xfe\x80\x81.one.example", "client asks for a host name that is none"),
        (b"\xc3\xa4\xc3\xa4.one.example", "client asks for a host name that is none"),
        (b"a\x00bc.one.example", "client sends a broken extension"),
        (b"..\x01\x02.one.example", ""),
    ],
    ids=repr,
)
def test_a_name_that_is_no_name_leaves_no_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: bytes, reason: str
) -> None:
    # Python tells sys.unraisablehook of a name that is not ASCII.
    server = contexts(tmp_path, named(tmp_path, "mail.one.example")).get("access")
    assert _handshake_with(server, name) == reason
    gc.collect()
    assert capfd.readouterr().err == ""


def _handshake_with(server: ssl.SSLContext, name: bytes) -> str:
    """A ClientHello with any octets as name; gives why the handshake ended, "" when it goes on."""
    wires = [ssl.MemoryBIO() for _ in range(4)]
    client = client_context().wrap_bio(wires[0], wires[1], server_hostname="aaaa.one.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    wires[2].write(wires[1].read().replace(b"aaaa.one.example", name))
    try:
        server.wrap_bio(wires[2], wires[3], server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        return ""
    except ssl.SSLError as error:
        return explain_handshake(error, server)
    raise AssertionError("no end of the handshake")


def test_half_a_pair_is_no_configuration() -> None:
    with pytest.raises(ConfigError, match=r"tls\.names\.ecdsa_key_file"):
        TlsName(certificate_file="a", key_file="b", ecdsa_certificate_file="c")
