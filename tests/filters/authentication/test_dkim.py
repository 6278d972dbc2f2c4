"""DKIM signatures: good ones pass, everything else is a word and a reason."""

from __future__ import annotations

import base64
import re
import time
from typing import Any

import dkim as dkimpy
import pytest

from mailstack.filters.authentication import dkim
from mailstack.filters.authentication.dkim import Verifier, parse_key
from mailstack.filters.authentication.sign import sign
from mailstack.filters.fields import Header
from mailstack.model.verdict import DkimResult
from tests.kit.dkim_keys import ed25519_key, ed25519_record, pem, rsa_key, rsa_private, rsa_record
from tests.kit.lookups import resolve, resolve_counted

NOW = 1_800_000_000
MESSAGE = (
    b"From: Alice <alice@example.test>\r\nTo: bob@example.org\r\nSubject: lunch\r\n  today\r\n"
    b"Date: Mon, 2 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n\r\n"
    b"How about one  o'clock? \r\n\r\n\r\n"
)
TABLE: dict[str, dict[str, Any]] = {
    "rsa._domainkey.example.test": {"TXT": [rsa_record()]},
    "ed._domainkey.example.test": {"TXT": [ed25519_record()]},
}


def verify(message: bytes, table: dict[str, dict[str, Any]] | None = None) -> tuple[DkimResult, ...]:
    verifier = Verifier(message, Header(message), now=NOW)
    return resolve(verifier.verify, TABLE if table is None else table)


def words(message: bytes, table: dict[str, dict[str, Any]] | None = None) -> list[str]:
    return [result.result for result in verify(message, table)]


def dkimpy_sign(
    message: bytes,
    *,
    canonical: bytes = b"relaxed/relaxed",
    sha1: bool = False,
    bits: int = 2048,
    **extra: Any,
) -> bytes:
    """dkimpy's own signer, the other side of every test here; pins its clock to ours."""
    algorithm = b"rsa-sha1" if sha1 else b"rsa-sha256"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dkimpy.time, "time", lambda: NOW)
        line = dkimpy.sign(
            message,
            b"rsa",
            b"example.test",
            pem(rsa_private(bits)),
            signature_algorithm=algorithm,
            canonicalize=tuple(canonical.split(b"/")),
            **extra,
        )
    return bytes(line) + message


def resign(message: bytes, **tags: bytes | None) -> bytes:
    """Signs with our signer after changing tags of the field: the result is a correct signature."""
    from mailstack.filters.authentication import sign as signer

    def change(value: bytes) -> bytes:
        for name, new in tags.items():
            old = re.compile(rb"(?<=[\s;])" + name.encode() + rb"=[^;]*;?")
            value = old.sub(b"", value)
            if new is not None:
                value = b" %s=%s;%s" % (name.encode(), new, value)
        return value

    with pytest.MonkeyPatch.context() as patch:
        original = signer.relaxed_field
        seen: list[bytes] = []

        def changed(name: bytes, value: bytes) -> bytes:
            if name == b"dkim-signature":
                seen.append(change(value))
                return original(name, seen[0])
            return original(name, value)

        patch.setattr(signer, "relaxed_field", changed)
        signed = sign(message, [rsa_key()], now=NOW)
    signature = signed[signed.rindex(b"\tb=") + 3 :]
    return b"DKIM-Signature:" + seen[0] + signature + message


@pytest.mark.parametrize("key", [rsa_key(), ed25519_key(), rsa_key(bits=1024), rsa_key(bits=4096)], ids=repr)
def test_our_own_signatures_pass(key: Any) -> None:
    bits = {"ed": ed25519_record()}.get(key.selector) or rsa_record(rsa_private_bits(key))
    table = {f"{key.selector}._domainkey.example.test": {"TXT": [bits]}}
    message = sign(MESSAGE, [key], now=NOW) + MESSAGE
    (found,) = verify(message, table)
    assert found == DkimResult("pass", "example.test", key.selector, body=found.body)
    assert len(base64.b64decode(found.body)) == 32


def rsa_private_bits(key: Any) -> int:
    return next(bits for bits in (1024, 2048, 4096) if pem(rsa_private(bits)) == key.private_pem)


@pytest.mark.parametrize("form", [b"simple/simple", b"simple/relaxed", b"relaxed/simple", b"relaxed/relaxed"])
def test_signatures_of_dkimpy_pass_in_every_form(form: bytes) -> None:
    assert words(dkimpy_sign(MESSAGE, canonical=form)) == ["pass"]


def test_dkimpy_accepts_what_we_sign() -> None:
    message = sign(MESSAGE, [rsa_key(), ed25519_key()], now=int(time.time())) + MESSAGE

    def ask(name: bytes, timeout: int = 5) -> bytes:
        return str(TABLE[name.decode().rstrip(".")]["TXT"][0]).encode()

    verifier = dkimpy.DKIM(message)
    assert verifier.verify(0, ask) and verifier.verify(1, ask)


def test_an_unsigned_message_has_no_result() -> None:
    assert verify(MESSAGE) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"lunch", b"LUNCH"), (b"one  o'clock", b"two o'clock"), (b"alice@", b"mallory@")],
)
def test_a_changed_message_fails(old: bytes, new: bytes) -> None:
    assert words(dkimpy_sign(MESSAGE).replace(old, new)) == ["fail"]


@pytest.mark.parametrize(
    "field", [b"From: evil@example.net", b"Subject: other", b"To: x@y.z", b"Reply-To: a@b.c"]
)
def test_a_second_field_in_front_breaks_our_signature(field: bytes) -> None:
    # T24: what the reader sees is oversigned
    message = sign(MESSAGE, [rsa_key()], now=NOW) + MESSAGE
    assert words(field + b"\r\n" + message) == ["fail"]


def test_a_second_from_breaks_anybodys_signature() -> None:
    assert words(b"From: evil@example.net\r\n" + dkimpy_sign(MESSAGE)) == ["fail"]


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (["v=DKIM1; p="], "permerror"),
        (["v=DKIM2; p=AAAA"], "permerror"),
        (["v=DKIM1; k=rsa"], "permerror"),
        (["v=DKIM1; p=!!!"], "permerror"),
        (["v=DKIM1; p=QUJD"], "permerror"),
        (["v=DKIM1; k=ed25519; p=QUJD"], "permerror"),
        (["v=DKIM1; k=quantum; p=QUJD"], "permerror"),
        (["garbage"], "permerror"),
        (["=;=;="], "permerror"),
        ([""], "permerror"),
        (["x" * 5000], "permerror"),
        ([rsa_record(extra="h=sha1; ")], "permerror"),
        ([rsa_record(extra="s=tlsrpt; ")], "permerror"),
        ([ed25519_record()], "permerror"),
        ([rsa_record(1024)], "fail"),
        ([], "permerror"),
        ("SERVFAIL", "temperror"),
        ("TIMEOUT", "temperror"),
        ([rsa_record(extra="t=y; ")], "pass"),
        ([rsa_record(extra="s=email; h=sha1:sha256; n=note; ")], "pass"),
    ],
)
def test_what_the_key_record_makes_of_a_good_signature(record: Any, word: str) -> None:
    # D5, D18; RFC 6376 section 3.6.1
    assert words(dkimpy_sign(MESSAGE), {"rsa._domainkey.example.test": {"TXT": record}}) == [word]


def test_a_missing_key_is_permanent() -> None:
    # RFC 6376 section 6.1.2
    assert words(dkimpy_sign(MESSAGE), {}) == ["permerror"]


@pytest.mark.parametrize(
    "first",
    ["v=DKIM1; p=", rsa_record(1024), "junk", ed25519_record()],
    ids=["revoked", "weak", "junk", "ed25519"],
)
def test_several_key_records_are_each_tried(first: str) -> None:
    # D5
    table = {"rsa._domainkey.example.test": {"TXT": [first, rsa_record()]}}
    assert words(dkimpy_sign(MESSAGE), table) == ["pass"]


# A modulus of 512 bits; `cryptography` would not make one.
WEAK_KEY = (
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAJItKhRbtyqkkCcPj6owHHXbexFwZeHIG6YM8jlD6+0vQqz+TaY08TM8KX"
    "JYyYEFs6aWI7T5qTLBSJCkVj4fIW0CAwEAAQ=="
)


def large_key(bits: int) -> str:
    """A public key of any size; nobody has the private one."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = RSAPublicNumbers(65537, (1 << bits) - 159).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@pytest.mark.parametrize("key", [WEAK_KEY, large_key(4104), large_key(8192), large_key(16_384)])
def test_keys_that_are_too_weak_or_too_costly_are_no_proof(key: str) -> None:
    # D18; RFC 8301 section 3.2, T25
    table = {"rsa._domainkey.example.test": {"TXT": [f"v=DKIM1; p={key}"]}}
    message = dkimpy_sign(MESSAGE)
    began = time.process_time()
    assert words(message, table) == ["policy"]
    assert time.process_time() - began < 5


def test_a_huge_exponent_is_no_proof() -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    numbers = rsa_private().public_key().public_numbers()
    key = RSAPublicNumbers((1 << 2046) + 1, numbers.n).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert parse_key(b"p=" + base64.b64encode(der)) == ("policy", "RSA exponent too large")


def test_sha1_is_refused() -> None:
    # RFC 8301 section 3.1
    assert words(dkimpy_sign(MESSAGE, sha1=True)) == ["permerror"]


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"l": b"0"}, "policy"),
        ({"l": b"10"}, "policy"),
        ({"l": b"24"}, "pass"),
        ({"l": b"100000"}, "permerror"),
        ({"l": b"-1"}, "permerror"),
        ({"l": b"9" * 70}, "permerror"),
        ({"x": b"%d" % (NOW - 3600)}, "permerror"),
        ({"x": b"%d" % (NOW + 3600)}, "pass"),
        ({"x": b"%d" % (NOW - 10_000), "t": b"%d" % NOW}, "permerror"),
        ({"t": b"%d" % (NOW + 90_000)}, "permerror"),
        ({"t": b"yesterday"}, "permerror"),
        ({"t": b"9" * 5000}, "permerror"),
        ({"t": None}, "pass"),
        ({"v": b"2"}, "permerror"),
        ({"v": None}, "permerror"),
        ({"c": b"junk"}, "permerror"),
        ({"c": b"relaxed/junk"}, "permerror"),
        ({"q": b"http"}, "permerror"),
        ({"q": b"dns/txt"}, "pass"),
        ({"i": b"@mail.example.test"}, "pass"),
        ({"i": b"@example.net"}, "permerror"),
        ({"i": b"@badexample.test"}, "permerror"),
        ({"d": b"com"}, "permerror"),
        ({"d": b"exa mple.test"}, "permerror"),
        ({"d": b"[192.0.2.1]"}, "permerror"),
        ({"d": b"..", "s": b".."}, "permerror"),
        ({"s": b"../../x"}, "permerror"),
        ({"s": b"x" * 300}, "permerror"),
        ({"h": b"to:subject"}, "permerror"),
        ({"h": b"from:" + b"x:" * 10_000 + b"to"}, "permerror"),
        ({"h": b"from:" + b"x:" * 200 + b"to"}, "fail"),
        ({"bh": b"AAAA"}, "fail"),
        ({"bh": b"!!!!"}, "fail"),
        ({"a": b"rsa-sha512"}, "permerror"),
        ({"a": None}, "permerror"),
        ({"z": b"unknown tags are ignored"}, "pass"),
        ({"2z": b"bad name"}, "permerror"),
    ],
)
def test_tags_by_the_rule(tags: dict[str, bytes | None], word: str) -> None:
    # D16, D17; RFC 6376 sections 3.5 and 6.1.1
    assert words(resign(MESSAGE, **tags)) == [word]


@pytest.mark.parametrize(
    "signature", [b"", b"A" * 1_000_000, b"\x00\xff", b"====", b"AAA" + b" " * 15_000 + b"!"]
)
def test_a_broken_b_is_a_result_in_little_time(signature: bytes) -> None:
    good = dkimpy_sign(MESSAGE)
    at = good.index(b"b=", good.index(b"bh=") + 3)
    broken = good[:at] + b"b=" + signature + b"\r\nFrom: alice@example.test\r\n\r\nbody\r\n"
    began = time.process_time()
    assert words(broken)[0] in ("permerror", "fail")
    assert time.process_time() - began < 5


def test_a_hundred_signatures_cost_eight() -> None:
    # D15
    line = dkimpy_sign(MESSAGE)[: -len(MESSAGE)]
    results, asked = resolve_counted(
        Verifier(line * 100 + MESSAGE, Header(line * 100 + MESSAGE), now=NOW).verify, TABLE
    )
    assert [r.result for r in results] == ["pass"] * dkim.MAX_SIGNATURES
    assert len(asked) == 1


def test_all_keys_are_asked_for_at_once() -> None:
    from mailstack.model.dns import Lookup, NeedLookup

    message = sign(MESSAGE, [rsa_key(), ed25519_key()], now=NOW) + MESSAGE
    lookup = Lookup({})
    with pytest.raises(NeedLookup):
        Verifier(message, Header(message), now=NOW).verify(lookup)
    assert len(lookup.wanted) == 2


def test_a_key_for_the_exact_domain_does_not_serve_subdomains() -> None:
    # RFC 6376 section 3.6.1, t=s
    table = {"rsa._domainkey.example.test": {"TXT": [rsa_record(extra="t=s; ")]}}
    assert words(resign(MESSAGE, i=b"@mail.example.test"), table) == ["permerror"]
    assert words(resign(MESSAGE, i=b"bob@example.test"), table) == ["pass"]


def test_case_and_final_dot_of_names_do_not_matter() -> None:
    result = verify(resign(MESSAGE, d=b"Example.TEST", s=b"RSA"))
    assert [(one.result, one.domain, one.selector) for one in result] == [("pass", "example.test", "rsa")]


@pytest.mark.parametrize("field", [b"", b":", b";", b"=", b"v=1", b"a=b;a=b", b"v=1;" * 3000, b"\xff" * 100])
def test_malformed_fields_are_results(field: bytes) -> None:
    assert words(b"DKIM-Signature: " + field + b"\r\n" + MESSAGE) == ["permerror"]


def test_of_repeated_fields_the_lowest_are_signed_first() -> None:
    # RFC 6376 section 5.4.2; what is added on top later was never signed
    letter = b"X-Mark: low\r\n" + MESSAGE
    two = b"X-Mark: high\r\n" + letter
    once = dkimpy_sign(letter, include_headers=[b"from", b"x-mark"])
    line = once[: -len(letter)]
    assert words(line + two) == ["pass"]
    assert words(line + letter.replace(b"low", b"LOW")) == ["fail"]
    twice = dkimpy_sign(two, include_headers=[b"from", b"x-mark", b"x-mark"])
    assert words(twice) == ["pass"]
    assert words(twice.replace(b"X-Mark: high\r\nX-Mark: low", b"X-Mark: low\r\nX-Mark: high")) == ["fail"]
    assert words(b"X-Mark: third\r\n" + twice) == ["pass"]


@pytest.mark.parametrize("name", [b"Subject", b"To", b"Date", b"Cc", b"Reply-To", b"Message-ID"])
@pytest.mark.parametrize("key", [rsa_key(), ed25519_key()], ids=["rsa", "ed25519"])
def test_a_second_field_breaks_what_we_sign_wherever_it_stands(name: bytes, key: Any) -> None:
    # T24, duplicate headers: readers differ in which of two they show
    signed = sign(MESSAGE, [key], now=NOW) + MESSAGE
    assert words(name + b": other\r\n" + signed) == ["fail"]
    assert words(signed.replace(b"\r\n\r\n", b"\r\n" + name + b": other\r\n\r\n", 1)) == ["fail"]


def test_the_first_eight_signatures_count_whatever_kind_they_are() -> None:
    # D15: eight broken ones on top leave no room for the good one
    signed = sign(MESSAGE, [rsa_key(), ed25519_key()], now=NOW) + MESSAGE
    junk = b"DKIM-Signature: v=1; a=x\r\n"
    assert words(junk * 6 + signed) == ["permerror"] * 6 + ["pass", "pass"]
    assert words(junk * 8 + signed) == ["permerror"] * 8


def test_a_key_is_parsed_once() -> None:
    parse_key.cache_clear()
    message = sign(MESSAGE, [rsa_key()], now=NOW) + MESSAGE
    for _ in range(5):
        assert words(message) == ["pass"]
    assert (parse_key.cache_info().misses, parse_key.cache_info().hits) == (1, 4)


def test_key_records_of_64_kib_are_neither_read_nor_remembered() -> None:
    parse_key.cache_clear()
    message = sign(MESSAGE, [rsa_key()], now=NOW) + MESSAGE
    name = "rsa._domainkey.example.test"
    (result,) = verify(message, {name: {"TXT": [f"{rsa_record()}; n={'n' * 60_000}"]}})
    assert (result.result, result.why) == ("permerror", "the key record is too long")
    assert parse_key.cache_info().currsize == 0
    assert words(message, {name: {"TXT": ["n" * 60_000, rsa_record()]}}) == ["pass"]


@pytest.mark.parametrize(("limit", "word"), [(b"0", "policy"), (b"5", "policy"), (b"99999", "permerror")])
def test_d16_a_limit_is_reported_and_never_trusted(limit: bytes, word: str) -> None:
    # T23
    [result] = verify(resign(MESSAGE, l=limit) + b"appended: buy now\r\n")
    assert result.result == word
    assert result.why.startswith(f"l= covers {limit.decode()} of ")
