"""SCRAM: the RFC's own example, another client, and everything that can be wrong."""

from __future__ import annotations

import base64

import pytest

from mailstack.model.secret import Keys, Proof, Verifier
from mailstack.sasl import exchange, scram
from mailstack.sasl.exchange import Challenge, Credentials, Offer, SaslError, Step
from tests.kit.scram_client import ScramClient

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
PENCIL = scram.make_keys("pencil", SALT, 4096)
BINDING = bytes(range(32))


def look_up(login: str) -> Verifier:
    if login == "user":
        return Verifier(SALT, 4096, (PENCIL,))
    if login == "old":
        return Verifier(SALT, 4096, why="no verifier")
    return Verifier(b"fake" * 4, 4096)


OFFER = Offer(look_up, lambda: b"x" * 18)
BOUND = Offer(look_up, lambda: b"x" * 18, (("tls-server-end-point", BINDING),))


def text(message: str) -> bytes:
    return base64.b64encode(message.encode())


def run(client: ScramClient, offer: Offer = OFFER, mechanism: str = "SCRAM-SHA-256") -> Step:
    talk = exchange.start(mechanism, offer)
    assert talk is not None
    step = talk.respond(client.first())
    assert isinstance(step, Challenge)
    step = talk.respond(client.final(step.line))
    if isinstance(step, Challenge):
        client.check(step.line)
        step = talk.respond(b"")
    return step


def test_the_keys_of_the_rfc() -> None:
    # RFC 7677 section 3: the proof and the signature of its example.
    talk = scram.Scram(OFFER, plus=False)
    talk.respond(text("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
    whole = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    talk._nonce = whole.encode()
    talk._messages = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={whole},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,".encode()
    final = f"c=biws,r={whole},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    step = talk.respond(text(final))
    assert isinstance(step, Challenge)
    assert base64.b64decode(step.line) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_right_password_is_proven() -> None:
    step = run(ScramClient("user", "pencil"))
    assert step == Credentials("user", Proof(PENCIL.stored_key))


def test_the_client_may_wait_for_the_first_challenge() -> None:
    talk = exchange.start("SCRAM-SHA-256", OFFER)
    assert talk is not None
    assert talk.respond(None) == Challenge(b"")
    with pytest.raises(SaslError):
        talk.respond(None)
    assert isinstance(talk.respond(ScramClient("user", "pencil").first()), Challenge)


@pytest.mark.parametrize(
    ("user", "password", "why"),
    [("user", "pencils", ""), ("user", "", ""), ("nobody", "pencil", ""), ("old", "pencil", "no verifier")],
)
def test_a_wrong_password_and_an_unknown_user_look_the_same(user: str, password: str, why: str) -> None:
    step = run(ScramClient(user, password))
    assert isinstance(step, Credentials) and isinstance(step.password, Proof)
    assert (step.login, step.password.stored_key, step.password.why) == (user, b"", why)


def test_two_failures_are_never_the_same() -> None:
    one = run(ScramClient("user", "wrong"))
    two = run(ScramClient("user", "wrong", nonce="another"))
    assert isinstance(one, Credentials) and isinstance(two, Credentials)
    assert one.password != two.password


def test_any_password_of_the_account_is_taken() -> None:
    second = scram.make_keys("app password", SALT, 4096)
    offer = Offer(lambda _: Verifier(SALT, 4096, (PENCIL, second)), bytes)
    step = run(ScramClient("user", "app password"), offer)
    assert isinstance(step, Credentials) and step.password == Proof(second.stored_key)


def test_names_are_unescaped_and_acting_for_another_is_told() -> None:
    seen: list[str] = []

    def remember(login: str) -> Verifier:
        seen.append(login)
        return Verifier(SALT, 4096, (PENCIL,))

    step = run(ScramClient("a,b=c\u00aa", "pencil", authzid="chief"), Offer(remember, bytes))
    assert seen == ["a,b=ca"]
    assert isinstance(step, Credentials) and step.acting_for == "chief"
    step = run(ScramClient("user", "pencil", authzid="user"))
    assert isinstance(step, Credentials) and step.acting_for == ""


# -- channel binding --------------------------------------------------------------------


def test_a_bound_channel_is_proven() -> None:
    client = ScramClient("user", "pencil", flag="p=tls-server-end-point", binding=BINDING)
    step = run(client, BOUND, "SCRAM-SHA-256-PLUS")
    assert step == Credentials("user", Proof(PENCIL.stored_key))


def test_another_channel_is_a_wrong_password() -> None:
    # A12: somebody stands in between with a certificate of their own.
    client = ScramClient("user", "pencil", flag="p=tls-server-end-point", binding=BINDING[::-1])
    step = run(client, BOUND, "SCRAM-SHA-256-PLUS")
    assert isinstance(step, Credentials) and isinstance(step.password, Proof)
    assert step.password.stored_key == b"" and "binding" in step.password.why


@pytest.mark.parametrize(
    ("mechanism", "offer", "flag"),
    [
        ("SCRAM-SHA-256", BOUND, "y"),
        ("SCRAM-SHA-256", BOUND, "p=tls-server-end-point"),
        ("SCRAM-SHA-256-PLUS", BOUND, "n"),
        ("SCRAM-SHA-256-PLUS", BOUND, "y"),
        ("SCRAM-SHA-256-PLUS", BOUND, "p=tls-unique"),
    ],
)
def test_a_downgrade_is_noticed(mechanism: str, offer: Offer, flag: str) -> None:
    # A12, RFC 5802 section 6
    talk = exchange.start(mechanism, offer)
    assert talk is not None
    with pytest.raises(SaslError):
        talk.respond(ScramClient("user", "pencil", flag=flag).first())


def test_a_client_that_could_bind_may_log_in_where_nothing_can_be_bound() -> None:
    assert isinstance(run(ScramClient("user", "pencil", flag="y")), Credentials)


def test_what_is_announced() -> None:
    assert exchange.mechanisms(exchange.PASSWORDS) == ("PLAIN", "LOGIN")
    assert exchange.mechanisms(OFFER) == ("SCRAM-SHA-256", "PLAIN", "LOGIN")
    assert exchange.mechanisms(BOUND)[0] == "SCRAM-SHA-256-PLUS"
    assert exchange.start("SCRAM-SHA-256") is None
    assert exchange.start("SCRAM-SHA-256-PLUS", OFFER) is None


# -- hostile clients -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        "", "n", "n,,", "n,,n=user", "n,,n=,r=abc", "n,,n=user,r=", "n,,r=abc,n=user", "x,,n=user,r=abc",
        "n,,m=ext,n=user,r=abc", "n,,n=us=er,r=abc", "n,,n=us=2Der,r=abc", "n,,n=user,r=a,c",
        "n,,n=user,r=a b",
        "n,,n=us\0er,r=abc", "n,b=x,n=user,r=abc", "p=,,n=user,r=abc", "p=a b,,n=user,r=abc",
        "n,,n=" + "u" * 1025 + ",r=abc", "n,,n=user,r=" + "a" * 513, "n,,n=user,r=abc,",
    ],
)  # fmt: skip
def test_a_first_message_that_is_none(message: str) -> None:
    talk = exchange.start("SCRAM-SHA-256", OFFER)
    assert talk is not None
    with pytest.raises(SaslError):
        talk.respond(text(message))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: "", lambda m: m.replace("c=", "d="), lambda m: m.replace(",p=", ",q="),
        lambda m: m.replace("r=", "r=x"), lambda m: m.split(",p=")[0], lambda m: m + ",x=y",
        lambda m: m.replace("c=biws", "c=b"), lambda m: m.split(",p=")[0] + ",p=====",
    ],
)  # fmt: skip
def test_a_final_message_that_is_none(change: object) -> None:
    # A12: with another nonce, among others
    talk = exchange.start("SCRAM-SHA-256", OFFER)
    assert talk is not None and callable(change)
    client = ScramClient("user", "pencil")
    step = talk.respond(client.first())
    assert isinstance(step, Challenge)
    final = base64.b64decode(client.final(step.line)).decode()
    with pytest.raises(SaslError):
        talk.respond(text(change(final)))


def test_a_proof_is_good_for_one_exchange() -> None:
    # A12: the nonce of another one, replayed
    nonces = iter([b"x" * 18, b"y" * 18])
    offer = Offer(look_up, lambda: next(nonces))
    client = ScramClient("user", "pencil")
    first = exchange.start("SCRAM-SHA-256", offer)
    again = exchange.start("SCRAM-SHA-256", offer)
    assert first is not None and again is not None
    step = first.respond(client.first())
    assert isinstance(step, Challenge)
    final = client.final(step.line)
    again.respond(client.first())
    with pytest.raises(SaslError, match="nonce"):
        again.respond(final)
    assert isinstance(first.respond(final), Challenge)


@pytest.mark.parametrize("change", [("i=4096", "i=1"), ("s=W22Z", "s=X22Z"), ("r=rOpr", "r=rOpr")])
def test_a_server_first_message_that_was_changed_on_its_way_fails(change: tuple[str, str]) -> None:
    # A12: fewer iterations are what somebody in between would like
    talk = exchange.start("SCRAM-SHA-256", OFFER)
    assert talk is not None
    client = ScramClient("user", "pencil")
    step = talk.respond(client.first())
    assert isinstance(step, Challenge)
    told = base64.b64decode(step.line).decode()
    changed = told.replace(*change) + ("" if change[0] != change[1] else ",x=y")
    final = talk.respond(client.final(text(changed)))
    assert isinstance(final, Credentials) and isinstance(final.password, Proof)
    assert not final.password.stored_key


@pytest.mark.parametrize(
    "proof", ["AAAA", base64.b64encode(bytes(32)).decode(), base64.b64encode(bytes(33)).decode()]
)
@pytest.mark.parametrize("user", ["user", "nobody"])
def test_a_proof_of_the_wrong_kind_fails(user: str, proof: str) -> None:
    talk = exchange.start("SCRAM-SHA-256", OFFER)
    assert talk is not None
    client = ScramClient(user, "pencil")
    step = talk.respond(client.first())
    assert isinstance(step, Challenge)
    final = base64.b64decode(client.final(step.line)).decode().split(",p=")[0]
    step = talk.respond(text(f"{final},p={proof}"))
    assert isinstance(step, Credentials) and isinstance(step.password, Proof) and not step.password.stored_key


def test_another_header_in_the_final_message_fails() -> None:
    talk = exchange.start("SCRAM-SHA-256", OFFER)
    assert talk is not None
    client = ScramClient("user", "pencil", flag="y")
    step = talk.respond(ScramClient("user", "pencil", flag="n").first())
    assert isinstance(step, Challenge)
    step = talk.respond(client.final(step.line))
    assert isinstance(step, Credentials) and step.password == Proof(
        why="the channel binding does not match",
        mark=step.password.mark,  # type: ignore[union-attr]
    )


def test_nothing_may_follow_the_proof() -> None:
    talk = exchange.start("SCRAM-SHA-256", OFFER)
    assert talk is not None
    client = ScramClient("user", "pencil")
    step = talk.respond(client.first())
    assert isinstance(step, Challenge)
    talk.respond(client.final(step.line))
    with pytest.raises(SaslError):
        talk.respond(text("more"))
    with pytest.raises(exchange.SaslCancelled):
        talk.respond(b"*")


def test_secrets_are_not_shown() -> None:
    for value in (PENCIL, Proof(PENCIL.stored_key), Verifier(SALT, 4096, (Keys(b"key", b"key"),))):
        assert "key'" not in repr(value) and "\\x" not in repr(value).replace(repr(SALT), "")


@pytest.mark.parametrize(
    ("given", "prepared"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX"),
     ("a\u00a0b", "a b"),
     ("\u0007", "\u0007"), ("\u0627\u0031", "\u0627\u0031"), ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
     ("\U0001f600", "\U0001f600"), ("", "")],
)  # fmt: skip
def test_passwords_are_prepared(given: str, prepared: str) -> None:
    # RFC 4013 section 3; what it forbids stays as it is.
    assert scram.prepare(given) == prepared
