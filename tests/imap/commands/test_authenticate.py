"""AUTHENTICATE with SCRAM: the lines around the exchange."""

from __future__ import annotations

import pytest

from mailstack.model.errors import TemporaryFailure
from mailstack.model.secret import Verifier
from mailstack.sasl import scram
from mailstack.sasl.exchange import Offer
from tests.kit.bare_session import PASSWORD, USER, BareSession
from tests.kit.scram_client import ScramClient

SALT = b"0123456789abcdef"
KEYS = scram.make_keys(PASSWORD, SALT, 4096)
BINDING = bytes(32)
OFFER = Offer(
    lambda login: Verifier(SALT, 4096, (KEYS,) if login == USER else ()),
    lambda: b"x" * 18,
    (("tls-server-end-point", BINDING),),
)


def challenge(said: bytes) -> bytes:
    assert said.startswith(b"+ ") and said.endswith(b"\r\n")
    return said[2:-2]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("plus", [True, False])
def test_scram_logs_in(plus: bool, at_once: bool) -> None:
    session = BareSession(offer=OFFER)
    flag, name = ("p=tls-server-end-point", b"SCRAM-SHA-256-PLUS") if plus else ("n", b"SCRAM-SHA-256")
    client = ScramClient(USER, PASSWORD, flag=flag, binding=BINDING if plus else b"")
    if at_once:
        said = session.command(b"AUTHENTICATE " + name + b" " + client.first())
    else:
        assert session.command(b"AUTHENTICATE " + name) == b"+ \r\n"
        said = session.ask(client.first() + b"\r\n")
    said = session.ask(client.final(challenge(said)) + b"\r\n")
    client.check(challenge(said))
    assert session.ask(b"\r\n").startswith(b"t OK [CAPABILITY")


def test_a_wrong_password_is_like_any_other() -> None:
    session = BareSession(offer=OFFER)
    for user, password in ((USER, "wrong"), ("nobody@example.test", PASSWORD)):
        client = ScramClient(user, password)
        said = session.command(b"AUTHENTICATE SCRAM-SHA-256 " + client.first())
        said = session.ask(client.final(challenge(said)) + b"\r\n")
        assert said == b"t NO [AUTHENTICATIONFAILED] Wrong user name or password\r\n"


def test_what_is_announced_depends_on_the_connection() -> None:
    words = b" AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN"
    assert words in BareSession(offer=OFFER).take()
    assert b"SCRAM" not in BareSession(offer=OFFER, tls=False, can_start_tls=True).take()
    assert b"SCRAM" not in BareSession().take()
    assert b"t NO [CANNOT]" in BareSession().command(b"AUTHENTICATE SCRAM-SHA-256 biws")


def test_a_client_that_was_told_less_than_we_said_is_refused() -> None:
    # RFC 5802 section 6: "y" where PLUS is offered.
    session = BareSession(offer=OFFER)
    client = ScramClient(USER, PASSWORD, flag="y")
    assert session.command(b"AUTHENTICATE SCRAM-SHA-256 " + client.first()).startswith(b"t BAD ")


def test_a_directory_in_trouble_is_no_wrong_password() -> None:
    def fail(login: str) -> Verifier:
        raise TemporaryFailure("the disk is gone")

    session = BareSession(offer=Offer(fail, bytes))
    said = session.command(b"AUTHENTICATE SCRAM-SHA-256 " + ScramClient(USER, PASSWORD).first())
    assert said.startswith(b"t NO [UNAVAILABLE]") and not session.closed
