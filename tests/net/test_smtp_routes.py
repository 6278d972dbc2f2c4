"""What the operator sets for a destination: login, TLS, our address and name; real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from mailstack.delivery.options import Route
from tests.kit import certificates
from tests.kit.loops import both_loops
from tests.kit.smtp_delivery import Zone, codes, deliver, delivery, entry
from tests.kit.smtp_sink import EXTENSIONS, SmtpSink

LOGINS = {"us@relay.test": "pencil"}
LOGIN = {"login": "us@relay.test", "password": "pencil"}


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    return certificates.write(tmp_path)


def relay(certificate: tuple[str, str], auth: str = "PLAIN", **more: Any) -> SmtpSink:
    """A relay that wants a login."""
    values = {"extensions": ("STARTTLS", f"AUTH {auth}", *EXTENSIONS), "tls": certificate, "logins": LOGINS}
    return SmtpSink(**{**values, **more})


def route(sink: SmtpSink, domain: str = "y.test", **more: Any) -> Route:
    return Route(domain=domain, host="127.0.0.1", port=sink.port, **more)


# -- login


@both_loops
@pytest.mark.parametrize(
    ("auth", "used"),
    [("PLAIN", "PLAIN"), ("LOGIN", "LOGIN"), ("LOGIN PLAIN SCRAM-SHA-256", "SCRAM-SHA-256")],
)
@pytest.mark.parametrize("is_implicit", [False, True], ids=["starttls", "port 465"])
async def test_a_route_logs_in_over_verified_tls(
    certificate: tuple[str, str], auth: str, used: str, is_implicit: bool
) -> None:
    with relay(certificate, auth, implicit_tls=is_implicit) as sink:
        way = route(sink, implicit_tls=is_implicit, **LOGIN)
        async with delivery(route=(way,), ca_file=certificate[0]) as made:
            trial = await deliver(made)
            assert codes(trial) == [250]
            assert trial.recipients[0].tls.startswith("TLSv1.3")
    (message,) = sink.messages
    assert (message.login, message.tls) == (f"us@relay.test by {used}", "TLSv1.3")
    assert ("STARTTLS" in sink.commands) is not is_implicit


async def test_the_relay_host_takes_a_login_too(certificate: tuple[str, str]) -> None:
    with relay(certificate) as sink:
        options = {"relay_host": "127.0.0.1", "relay_port": sink.port, "ca_file": certificate[0]}
        async with delivery(relay_login=LOGIN["login"], relay_password=LOGIN["password"], **options) as made:
            assert codes(await deliver(made)) == [250]


@pytest.mark.parametrize("is_implicit", [False, True], ids=["starttls", "port 465"])
async def test_a_password_is_not_shown_to_a_host_with_a_wrong_certificate(
    certificate: tuple[str, str], is_implicit: bool
) -> None:
    # T4: whoever stands between would have it
    with relay(certificate, implicit_tls=is_implicit) as sink:
        async with delivery(route=(route(sink, implicit_tls=is_implicit, **LOGIN),)) as made:
            trial = await deliver(made)
        assert codes(trial) == [451]
        assert trial.recipients[0].answer.reply.status == "7.5"
        assert "certificate" in trial.recipients[0].answer.reply.text
        assert not any(command.startswith("AUTH") for command in sink.commands)
        assert sink.connections == 1  # not once more without


async def test_the_operator_may_trust_an_unverified_host(certificate: tuple[str, str]) -> None:
    with relay(certificate) as sink:
        async with delivery(route=(route(sink, tls="require", **LOGIN),)) as made:
            assert codes(await deliver(made)) == [250]


async def test_a_password_never_leaves_in_clear() -> None:
    with SmtpSink(extensions=("AUTH PLAIN",), logins=LOGINS) as sink:
        async with delivery(route=(route(sink, **LOGIN),)) as made:
            assert codes(await deliver(made)) == [451]
        assert not any(command.startswith("AUTH") for command in sink.commands)


@pytest.mark.parametrize("auth", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256 PLAIN", "LOGIN"])
async def test_a_wrong_password_defers_and_says_where(certificate: tuple[str, str], auth: str) -> None:
    # Q25
    with relay(certificate, auth) as sink:
        way = route(sink, tls="require", login="us@relay.test", password="old pencil")
        async with delivery(route=(way,)) as made:
            (tried,) = (await deliver(made)).recipients
    assert str(tried.answer.reply).startswith("451 4.7.8 The relay host refuses our login: 535 ")
    assert (tried.answer.stage, tried.host) == ("auth", "127.0.0.1[127.0.0.1]")


@both_loops
async def test_what_is_said_before_the_handshake_never_counts_as_said_under_tls(
    certificate: tuple[str, str],
) -> None:
    # L15, on a port where TLS comes first: a server in clear, and one that is spoken for
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    said: list[bytes] = []

    def serve(listener: socket.socket, injected: bytes) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            connection.sendall(injected)
            with context.wrap_socket(connection, server_side=True) as secured:
                said.append(secured.recv(1000))

    for injected in (b"220 in clear\r\n", b"220 x\r\n250-x\r\n250 AUTH PLAIN\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener, injected))
            thread.start()
            port = listener.getsockname()[1]
            way = Route(domain="y.test", host="127.0.0.1", port=port, implicit_tls=True, **LOGIN)  # type: ignore[arg-type]
            async with delivery(route=(way,), ca_file=certificate[0]) as made:
                assert codes(await deliver(made)) == [451]
            await asyncio.to_thread(thread.join)
    assert not any(b"AUTH" in line or b"EHLO" in line for line in said)


# -- TLS


@pytest.mark.parametrize(
    ("tls", "offered", "trusted", "code"),
    [
        ("none", True, True, 250),
        ("opportunistic", False, False, 250),
        ("opportunistic", True, False, 250),
        ("require", False, False, 451),
        ("require", True, False, 250),
        ("verify", True, True, 250),
        ("verify", True, False, 451),
        ("verify", False, True, 451),
    ],
)
async def test_a_route_says_how_much_tls_it_takes(
    certificate: tuple[str, str], tls: Any, offered: bool, trusted: bool, code: int
) -> None:
    extensions = ("STARTTLS", *EXTENSIONS) if offered else EXTENSIONS
    with SmtpSink(extensions=extensions, tls=certificate if offered else None) as sink:
        ca_file = certificate[0] if trusted else ""
        async with delivery(route=(route(sink, tls=tls),), ca_file=ca_file) as made:
            trial = await deliver(made)
    assert codes(trial) == [code]
    assert bool(sink.messages and sink.messages[0].tls) is (code == 250 and offered and tls != "none")


async def test_mx_hosts_of_a_domain_may_be_held_to_more_than_others(certificate: tuple[str, str]) -> None:
    zone = Zone(y_test={"A": ["127.0.0.1"]}, z_test={"A": ["127.0.0.1"]})
    with SmtpSink() as sink:
        async with delivery(sink, zone, route=(Route(domain="y.test", tls="require"),)) as made:
            assert codes(await deliver(made, entry("b@y.test"))) == [451]
            assert codes(await deliver(made, entry("b@z.test"))) == [250]


# -- who we are


@both_loops
async def test_our_address_and_name_are_those_of_the_route() -> None:
    with SmtpSink() as sink:
        ways = (
            route(sink, source_ipv4="127.0.0.7", helo="out7.us.test"),
            route(sink, "z.test"),
        )
        async with delivery(route=ways, source_ipv4="127.0.0.6") as made:
            await deliver(made, entry("b@y.test"))
            await deliver(made, entry("b@z.test"))
    assert [(m.peer, m.helo) for m in sink.messages] == [
        ("127.0.0.7", "out7.us.test"),
        ("127.0.0.6", "us.test"),
    ]


async def test_our_ipv6_address_is_another_setting() -> None:
    try:
        sink = SmtpSink(host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with sink:
        way = Route(domain="y.test", host="::1", port=sink.port, source_ipv6="::1", source_ipv4="192.0.2.1")
        async with delivery(route=(way,)) as made:
            assert codes(await deliver(made)) == [250]
    assert sink.messages[0].peer == "::1"


@both_loops
async def test_an_address_this_machine_does_not_have_is_our_trouble() -> None:
    with SmtpSink() as sink:
        async with delivery(route=(route(sink, source_ipv4="192.0.2.1"),)) as made:
            (tried,) = (await deliver(made)).recipients
    assert str(tried.answer.reply).startswith("451 4.3.5 This machine does not have the address 192.0.2.1")
    assert sink.connections == 0


async def test_a_kept_connection_serves_no_other_login(certificate: tuple[str, str]) -> None:
    logins = {**LOGINS, "them@relay.test": "brush"}
    with relay(certificate, logins=logins) as sink:
        ways = (
            route(sink, "y.test", tls="require", **LOGIN),
            route(sink, "z.test", tls="require", login="them@relay.test", password="brush"),
        )
        async with delivery(route=ways) as made:
            for domain in ("y", "z", "y", "z"):
                assert codes(await deliver(made, entry(f"b@{domain}.test"))) == [250]
    assert sink.connections == 2
    assert [m.login.partition("@")[0] for m in sink.messages] == ["us", "them", "us", "them"]


# -- loops


async def test_a_server_that_calls_itself_as_we_do_ends_the_loop() -> None:
    # Q11: behind NAT neither name nor address tells
    with SmtpSink(replies={"ehlo": "250-us.test\r\n250 PIPELINING"}) as sink:
        async with delivery(sink) as made:
            (tried,) = (await deliver(made)).recipients
        assert str(tried.answer.reply).startswith("554 5.4.6 ")
        async with delivery(route=(route(sink),)) as made:
            assert codes(await deliver(made)) == [250]  # the operator's word: another one on this machine


async def test_a_loop_at_one_host_does_not_end_what_waits_for_another() -> None:
    # Q11: the better host is down for the moment
    zone = Zone(
        y_test={"MX": [(10, "down.test"), (20, "loop.test")]},
        down_test={"A": ["127.0.0.9"]},
        loop_test={"A": ["127.0.0.1"]},
    )
    with SmtpSink(replies={"ehlo": "250 us.test"}) as sink:
        async with delivery(sink, zone) as made:
            (tried,) = (await deliver(made)).recipients
    assert tried.answer.reply.is_temporary
    assert tried.host == "down.test[127.0.0.9]"


async def test_a_public_address_that_is_ours_is_a_loop_without_asking() -> None:
    # Q11
    zone = Zone(y_test={"MX": [(10, "other.test")]}, other_test={"A": ["127.0.0.9"]})
    with SmtpSink(host="127.0.0.9") as sink:
        async with delivery(sink, zone, public_ips=("127.0.0.9",)) as made:
            assert codes(await deliver(made)) == [250]  # loopback is every machine's
    zone = Zone(y_test={"MX": [(10, "other.test")]}, other_test={"A": ["192.0.2.77"]})
    async with delivery(zone=zone, public_ips=("192.0.2.77",)) as made:
        assert codes(await deliver(made)) == [554]
