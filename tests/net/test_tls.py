"""TLS contexts: who may be how old, reload, STARTTLS."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import ssl
import warnings
from pathlib import Path

import msgspec
import pytest

from mailstack.model.errors import ConfigError
from mailstack.net import tls
from mailstack.net.tls import Kind, TlsContexts
from mailstack.net.tls_options import TlsOptions
from tests.kit import certificates


@pytest.fixture
def options(tmp_path: Path) -> TlsOptions:
    certificate, key = certificates.write(tmp_path)
    return TlsOptions(certificate_file=certificate, key_file=key, reload_s=0)


KINDS: tuple[Kind, ...] = ("mx", "submission", "access")


def handshake(server: ssl.SSLContext, *, newest: ssl.TLSVersion | None = None, ciphers: str = "") -> str:
    """A handshake in memory; gives the version, or OpenSSL's reason."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_ciphers(ciphers or "DEFAULT:@SECLEVEL=0")
    if newest is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            client.maximum_version = newest
    wires = [ssl.MemoryBIO() for _ in range(2)]
    ends = [
        client.wrap_bio(wires[0], wires[1]),
        server.wrap_bio(wires[1], wires[0], server_side=True),
    ]
    done = set()
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                return str(error.reason)
        if len(done) == 2:
            return str(ends[1].version())
    raise AssertionError("no end of the handshake")


@pytest.mark.parametrize(
    ("kind", "ip", "newest", "result"),
    [
        ("access", "", None, "TLSv1.3"),
        ("access", "", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        ("access", "", ssl.TLSVersion.TLSv1_1, "UNSUPPORTED_PROTOCOL"),
        ("submission", "192.0.2.1", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        ("submission", "192.0.2.1", ssl.TLSVersion.TLSv1, "UNSUPPORTED_PROTOCOL"),
        ("submission", "10.1.2.3", ssl.TLSVersion.TLSv1, "TLSv1"),
        ("submission", "10.1.2.3", None, "TLSv1.3"),
        ("access", "10.1.2.3", ssl.TLSVersion.TLSv1, "UNSUPPORTED_PROTOCOL"),
        ("mx", "10.1.2.3", ssl.TLSVersion.TLSv1, "UNSUPPORTED_PROTOCOL"),
        ("mx", "", None, "TLSv1.3"),
    ],
    ids=str,
)
def test_who_may_be_how_old(
    options: TlsOptions, kind: Kind, ip: str, newest: ssl.TLSVersion | None, result: str
) -> None:
    # limits, section 8; L5, L6
    contexts = TlsContexts(
        TlsOptions(
            certificate_file=options.certificate_file, key_file=options.key_file, devices=("10.1.0.0/16",)
        )
    )
    assert handshake(contexts.get(kind, ip), newest=newest) == result


def test_old_servers_may_be_let_in_on_port_25(options: TlsOptions) -> None:
    contexts = TlsContexts(
        TlsOptions(certificate_file=options.certificate_file, key_file=options.key_file, mx_tls_legacy=True)
    )
    assert handshake(contexts.get("mx"), newest=ssl.TLSVersion.TLSv1) == "TLSv1"


@pytest.mark.parametrize("cipher", ["AES256-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA384"])
def test_devices_with_tls_1_2_and_old_ciphers_can_submit_but_not_read(
    options: TlsOptions, cipher: str
) -> None:
    contexts = TlsContexts(options)
    wanted = f"{cipher}:@SECLEVEL=0"
    assert handshake(contexts.get("submission"), newest=ssl.TLSVersion.TLSv1_2, ciphers=wanted) == "TLSv1.2"
    assert (
        handshake(contexts.get("access"), newest=ssl.TLSVersion.TLSv1_2, ciphers=wanted) == "NO_SHARED_CIPHER"
    )


def test_port_25_gives_no_session_tickets(options: TlsOptions) -> None:
    contexts = TlsContexts(options)
    assert contexts.get("mx").num_tickets == 0
    assert contexts.get("mx").options & ssl.OP_NO_TICKET
    assert contexts.get("access").num_tickets > 0


def test_ecdsa_is_served_beside_rsa(options: TlsOptions, tmp_path: Path) -> None:
    certificate, key = certificates.write(tmp_path, stem="ec", ecdsa=True)
    both = TlsContexts(
        TlsOptions(
            certificate_file=options.certificate_file,
            key_file=options.key_file,
            ecdsa_certificate_file=certificate,
            ecdsa_key_file=key,
        )
    )
    for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
        context = both.get("access")
        assert handshake(context, newest=ssl.TLSVersion.TLSv1_2, ciphers=cipher) == "TLSv1.2"


def test_a_missing_file_names_the_key_and_the_file(tmp_path: Path, options: TlsOptions) -> None:
    with pytest.raises(ConfigError, match=r"tls.certificate_file: .*nowhere.pem does not exist"):
        TlsContexts(TlsOptions(certificate_file=str(tmp_path / "nowhere.pem"), key_file=options.key_file))


def test_a_key_of_another_certificate_is_refused(tmp_path: Path, options: TlsOptions) -> None:
    _, key = certificates.write(tmp_path, stem="other", days=29)
    with pytest.raises(ConfigError, match="do not match"):
        TlsContexts(TlsOptions(certificate_file=options.certificate_file, key_file=key))


def test_garbage_is_refused(tmp_path: Path, options: TlsOptions) -> None:
    (tmp_path / "x.pem").write_text("hello")
    with pytest.raises(ConfigError, match="PEM"):
        TlsContexts(TlsOptions(certificate_file=str(tmp_path / "x.pem"), key_file=options.key_file))


def test_certificate_without_key_is_no_configuration() -> None:
    with pytest.raises(ConfigError, match="go together"):
        TlsOptions(certificate_file="a.pem")


def test_without_certificate_there_is_no_context() -> None:
    contexts = TlsContexts(TlsOptions())
    assert not contexts.is_available
    with pytest.raises(ConfigError):
        contexts.get("access")


def test_a_changed_certificate_is_used_without_restart(options: TlsOptions, tmp_path: Path) -> None:
    alarms: list[str] = []
    contexts = TlsContexts(options, alarm=alarms.append)
    before = contexts.get("access")
    assert contexts.get("access") is before
    certificates.write(tmp_path, days=31)
    assert contexts.get("access") is not before
    assert alarms == []


@pytest.mark.parametrize("fault", ["missing", "garbage", "mismatch", "expired"])
def test_a_bad_change_keeps_the_old_certificate_and_raises_the_alarm_once(
    options: TlsOptions, tmp_path: Path, fault: str
) -> None:
    # L10
    alarms: list[str] = []
    contexts = TlsContexts(options, alarm=alarms.append)
    before = contexts.get("access")
    if fault == "missing":
        os.unlink(options.key_file)
    elif fault == "garbage":
        Path(options.certificate_file).write_text("x")
    elif fault == "mismatch":
        other, _ = certificates.write(tmp_path, stem="other", days=28)
        shutil.copy(other, options.certificate_file)
    else:
        certificates.write(tmp_path, days=-1)
    assert contexts.get("access") is before
    assert contexts.get("access") is before
    assert len(alarms) == 1
    assert "the old one stays" in alarms[0]


def test_an_expired_certificate_at_start_is_served_with_an_alarm(tmp_path: Path) -> None:
    alarms: list[str] = []
    certificate, key = certificates.write(tmp_path, days=-2)
    TlsContexts(TlsOptions(certificate_file=certificate, key_file=key), alarm=alarms.append)
    assert "expired" in alarms[0]


class Wire(asyncio.Transport):
    """A transport that only knows its TLS."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__({"ssl_object": None if context is None else _Tls(context)})


class _Tls:
    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context


def test_the_end_point_is_the_hash_of_the_only_certificate(options: TlsOptions, tmp_path: Path) -> None:
    # RFC 5929 section 4.1
    contexts = TlsContexts(options)
    shown = ssl.PEM_cert_to_DER_cert(Path(options.certificate_file).read_text())
    for kind in KINDS:
        assert tls.end_point(Wire(contexts.get(kind))) == hashlib.sha256(shown).digest()
    assert tls.end_point(Wire(None)) == b""
    certificate, key = certificates.write(tmp_path, stem="ec", ecdsa=True)
    both = msgspec.structs.replace(options, ecdsa_certificate_file=certificate, ecdsa_key_file=key)
    assert tls.end_point(Wire(TlsContexts(both).get("access"))) == b""


def test_a_connection_keeps_the_end_point_it_was_shown(options: TlsOptions, tmp_path: Path) -> None:
    contexts = TlsContexts(options)
    old = Wire(contexts.get("access"))
    before = tls.end_point(old)
    for new, path in zip(
        certificates.write(tmp_path, stem="ec", ecdsa=True),
        (options.certificate_file, options.key_file),
        strict=True,
    ):
        shutil.copy(new, path)
    assert tls.end_point(Wire(contexts.get("access"))) != before == tls.end_point(old)


def test_devices_must_be_networks() -> None:
    with pytest.raises(ConfigError, match="printer"):
        TlsOptions(devices=("printer",))
    contexts = TlsContexts(TlsOptions(devices=("10.0.0.1", "2001:db8::/32")))
    assert contexts.is_device("10.0.0.1")
    assert contexts.is_device("2001:db8::9")
    assert not contexts.is_device("10.0.0.2")
    assert not contexts.is_device("")


def test_asyncio_can_be_made_light() -> None:
    from asyncio import sslproto

    before = sslproto.SSLProtocol.max_size
    try:
        tls.lighten_asyncio()
        assert sslproto.SSLProtocol.max_size == 17_408
    finally:
        sslproto.SSLProtocol.max_size = before
