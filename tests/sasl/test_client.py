"""Our side of a login, against our own servers' side and against servers that cheat."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from mailstack.model.secret import Proof
from mailstack.sasl.client import Failed, Login, Mechanism, choose, decode
from mailstack.sasl.scram import MECHANISM, PLUS, Scram, make_keys
from mailstack.sasl.steps import Challenge, Credentials, SaslError
from tests.kit.scram_server import END_POINT, NAME, PASSWORD, SALT, scram_server


def login(**more: Any) -> Login:
    return Login(NAME, PASSWORD, **{"nonce": b"fyko+d2lbbFgONRv9qkxdawL", **more})


def talk(mechanism: Mechanism, far: Scram) -> Credentials:
    """Both sides until the server knows; RFC 4954: its last word is a challenge too."""
    said = mechanism.first()
    while True:
        step = far.respond(base64.b64encode(said or b""))
        if isinstance(step, Credentials):
            return step
        said = mechanism.respond(decode(step.line))


def test_the_proof_is_good_and_so_is_the_servers() -> None:
    (mechanism,) = choose(login(), [MECHANISM])
    assert mechanism.name == "SCRAM-SHA-256"
    found = talk(mechanism, scram_server(plus=False, end_point=b""))
    assert mechanism.is_proven
    assert (found.login, found.password) == (NAME, Proof(make_keys(PASSWORD, SALT, 4096).stored_key))


def test_it_binds_to_the_channel_where_that_is_offered() -> None:
    (mechanism,) = choose(login(end_point=END_POINT), [MECHANISM, PLUS])
    assert mechanism.name == "SCRAM-SHA-256-PLUS"
    assert isinstance(talk(mechanism, scram_server(plus=True)).password, Proof)
    assert mechanism.is_proven


def test_somebody_in_between_with_another_certificate_gets_no_login() -> None:
    (mechanism,) = choose(login(end_point=b"the digest of another"), [PLUS])
    found = talk(mechanism, scram_server(plus=True))
    assert isinstance(found.password, Proof)
    assert found.password.stored_key == b""
    assert not mechanism.is_proven


def test_somebody_who_hides_the_binding_is_found_out() -> None:
    # RFC 5802 section 6: the server sees "y" although it offers to bind
    (mechanism,) = choose(login(end_point=END_POINT), [MECHANISM])
    with pytest.raises(SaslError):
        talk(mechanism, scram_server(plus=False))


@pytest.mark.parametrize(
    ("offered", "names"),
    [
        (["PLAIN", "LOGIN"], ["PLAIN"]),
        (["LOGIN", "CRAM-MD5"], ["LOGIN"]),
        (["GSSAPI"], []),
        ([], []),
        (["PLAIN", MECHANISM], [MECHANISM, "PLAIN"]),
        (["PLAIN", PLUS], ["PLAIN"]),
    ],
    ids=str,
)
def test_the_best_mechanism_is_first(offered: list[str], names: list[str]) -> None:
    assert [m.name for m in choose(login(), offered)] == names


def test_plain_and_login_say_what_they_must() -> None:
    plain, other = choose(login(), ["PLAIN"]) + choose(login(), ["LOGIN"])
    assert plain.first() == f"\0{NAME}\0{PASSWORD}".encode()
    assert other.first() is None
    assert [other.respond(b"Whatever:"), other.respond(b"")] == [NAME.encode(), PASSWORD.encode()]
    with pytest.raises(Failed):
        other.respond(b"And?")


def answered(change: Callable[[bytes], bytes]) -> None:
    """The server's first message is changed on its way."""
    (mechanism,) = choose(login(), [MECHANISM])
    step = scram_server(plus=False, end_point=b"").respond(base64.b64encode(mechanism.first() or b""))
    assert isinstance(step, Challenge)
    mechanism.respond(change(decode(step.line)))


@pytest.mark.parametrize(
    "change",
    [
        lambda first: first.replace(b"i=4096", b"i=4095"),
        lambda first: first.replace(b"i=4096", b"i=500001"),
        lambda first: first.replace(b"i=4096", b"i=0"),
        lambda first: first.replace(b"i=4096", b"i=99999999999999999999"),
        lambda first: first.replace(b"r=fyko", b"r=nope"),
        lambda first: first.replace(first.split(b",")[0], b"r=fyko+d2lbbFgONRv9qkxdawL"),
        lambda first: first.replace(b",s=", b",s=*"),
        lambda first: b"",
        lambda first: b"e=unknown-user",
    ],
)
def test_a_server_that_cheats_gets_no_proof(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Failed):
        answered(change)


@pytest.mark.parametrize("last", [b"v=AAAA", b"", b"e=invalid-proof", b"v="])
def test_a_server_that_does_not_know_the_password_is_not_believed(last: bytes) -> None:
    (mechanism,) = choose(login(), [MECHANISM])
    step = scram_server(plus=False, end_point=b"").respond(base64.b64encode(mechanism.first() or b""))
    assert isinstance(step, Challenge)
    mechanism.respond(decode(step.line))
    with pytest.raises(Failed):
        mechanism.respond(last)
    assert not mechanism.is_proven


@pytest.mark.parametrize("text", [b"*", b"=", b"A", b"QUFB" * 600], ids=len)
def test_a_challenge_is_bounded_base64(text: bytes) -> None:
    with pytest.raises(Failed):
        decode(text)


def test_the_password_is_in_no_text_of_a_login() -> None:
    assert PASSWORD not in repr(login())
