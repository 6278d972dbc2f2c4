"""SCRAM: whatever a client says, an answer or SaslError; nothing but the right proof is one."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.secret import Proof, Verifier
from mailstack.sasl import exchange, scram
from mailstack.sasl.exchange import Challenge, Credentials, Offer, SaslError
from tests.kit.fuzzing import FUZZ
from tests.kit.scram_client import ScramClient

SALT = b"0123456789abcdef"
KEYS = scram.make_keys("pencil", SALT, 4096)
OFFER = Offer(
    lambda login: Verifier(SALT, 4096, (KEYS,) if login == "user" else ()),
    lambda: b"x" * 18,
    (("tls-server-end-point", bytes(32)),),
)
WORDS = [
    b"n,,",
    b"y,,",
    b"p=tls-server-end-point,,",
    b"p=tls-unique,,",
    b"n,a=",
    b"n=user",
    b",",
    b"r=abc",
    b"c=biws",
    b"c=",
    b",p=",
    b"=2C",
    b"=3D",
    b"=",
    b"m=x",
    b"\0",
    b"\xff",
    b"v=",
    b"i=1",
    b"s=AAAA",
    b"AAAA",
    b"eHh4eHh4eHh4eHh4eHh4eHh4",
]
OCTETS = st.lists(st.sampled_from(WORDS) | st.binary(max_size=5), max_size=12).map(b"".join)


@FUZZ
@given(st.sampled_from(["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]), st.lists(OCTETS, max_size=5), st.booleans())
def test_no_message_breaks_it_or_proves_anything(name: str, messages: list[bytes], encode: bool) -> None:
    talk = exchange.start(name, OFFER)
    assert talk is not None
    for message in messages:
        try:
            step = talk.respond(base64.b64encode(message) if encode else message)
        except SaslError as error:
            assert error.why
            return
        if isinstance(step, Credentials):
            assert isinstance(step.password, Proof) and not step.password.stored_key
            return
        assert isinstance(step, Challenge)


@FUZZ
@given(st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_a_changed_final_message_proves_nothing(at: int, junk: bytes) -> None:
    talk = exchange.start("SCRAM-SHA-256", OFFER)
    assert talk is not None
    client = ScramClient("user", "pencil")
    step = talk.respond(client.first())
    assert isinstance(step, Challenge)
    final = base64.b64decode(client.final(step.line))
    at %= len(final)
    changed = final[:at] + junk + final[at + len(junk) :]
    if changed == final:
        return
    try:
        step = talk.respond(base64.b64encode(changed))
    except SaslError:
        return
    assert isinstance(step, Credentials) and isinstance(step.password, Proof) and not step.password.stored_key


@FUZZ
@given(st.text(max_size=30))
def test_any_password_can_be_prepared_and_prepared_again(password: str) -> None:
    once = scram.prepare(password)
    assert scram.prepare(once) == once
