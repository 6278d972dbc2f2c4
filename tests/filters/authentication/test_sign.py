"""Signing: what others verify, nothing more promised than meant."""

from __future__ import annotations

import re

import pytest

from mailstack.filters.authentication.dkim import Verifier
from mailstack.filters.authentication.rsa_adapter import BadKey, sign_digest
from mailstack.filters.authentication.sign import OVERSIGNED, sign
from mailstack.filters.fields import Header
from mailstack.model.keys import DkimKey
from tests.kit.dkim_keys import ed25519_key, ed25519_record, rsa_key, rsa_record
from tests.kit.lookups import resolve

NOW = 1_800_000_000
MESSAGE = b"From: a@example.test\r\nTo: b@c.test\r\nReceived: x\r\nReceived: y\r\n\r\nHello\r\n"
TABLE = {
    "rsa._domainkey.example.test": {"TXT": [rsa_record()]},
    "ed._domainkey.example.test": {"TXT": [ed25519_record()]},
}


def verify(message: bytes) -> list[str]:
    verifier = Verifier(message, Header(message), now=NOW)
    return [result.result for result in resolve(verifier.verify, TABLE)]


@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        b"From: a@example.test\r\n\r\n",
        b"From: a@example.test\r\n",
        b"From: a@example.test\r\n\r\n\r\n\r\n",
        b"From: a@example.test\r\nSubject: \xff\xfe\r\n\t folded \r\n\r\n" + b"x  y\t\r\n" * 50_000,
        b"From: a@example.test\r\n" + b"To: x@y.test\r\n" * 100 + b"\r\nbody without end",
    ],
)
def test_both_signatures_verify(message: bytes) -> None:
    assert verify(sign(message, [rsa_key(), ed25519_key()], now=NOW) + message) == ["pass", "pass"]


def tags_of(field: bytes) -> dict[bytes, bytes]:
    parts = re.sub(rb"\r\n\s", b"", field.split(b":", 1)[1]).strip().split(b";")
    return {name.strip(): value for name, value in (part.split(b"=", 1) for part in parts)}


def test_fields_are_oversigned_and_the_body_is_not_limited() -> None:
    # T23, T24: no l=
    tags = tags_of(sign(MESSAGE, [rsa_key()], now=NOW, valid_s=604_800))
    assert set(tags) == {b"v", b"a", b"c", b"d", b"s", b"t", b"x", b"h", b"bh", b"b"}
    names = tags[b"h"].replace(b" ", b"").split(b":")
    for name in OVERSIGNED:
        assert names.count(name) == len(Header(MESSAGE).all(name)) + 1
    assert b"received" not in names
    assert tags[b"c"] == b"relaxed/relaxed"
    assert tags[b"t"] == b"%d" % NOW


@pytest.mark.parametrize(("late_s", "word"), [(0, "pass"), (604_800, "pass"), (605_200, "permerror")])
def test_a_signature_ends(late_s: int, word: str) -> None:
    # T24: whoever keeps a message cannot send it again for ever
    field = sign(MESSAGE, [rsa_key()], now=NOW, valid_s=604_800)
    assert tags_of(field)[b"x"] == b"%d" % (NOW + 604_800)
    message = field + MESSAGE
    verifier = Verifier(message, Header(message), now=NOW + late_s)
    assert [one.result for one in resolve(verifier.verify, TABLE)] == [word]


def test_a_signature_without_an_end_does_not_name_one() -> None:
    assert b"x" not in tags_of(sign(MESSAGE, [rsa_key()], now=NOW, valid_s=0))


def test_lines_are_short() -> None:
    assert max(map(len, sign(MESSAGE, [rsa_key(), ed25519_key()], now=NOW).split(b"\r\n"))) <= 100


def test_without_keys_nothing_is_added() -> None:
    assert sign(MESSAGE, [], now=NOW) == b""


@pytest.mark.parametrize(
    "pem", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_broken_private_key_is_one_error(pem: bytes) -> None:
    # D26
    with pytest.raises(BadKey):
        sign(MESSAGE, [DkimKey("example.test", "s", "rsa-sha256", pem)], now=NOW)


def test_a_key_of_the_other_kind_is_refused() -> None:
    with pytest.raises(BadKey):
        sign_digest(rsa_key().private_pem, b"x" * 32, algorithm="ed25519-sha256")
