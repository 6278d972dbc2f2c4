"""DANE: which records bind us, and which certificates they mean."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest

from mailstack.delivery import dane
from mailstack.delivery.dane import Dane, Tlsa, Unknown, find, usable
from mailstack.model.dns import Answer, Lookup, Question
from tests.kit.authority import Authority, Issued

NOW = time.time()
ROOT = Authority("root")
BELOW = ROOT.authority("below")
MX = BELOW.issue("mx.example.net")
HOST = "mx.example.net"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def ee(issued: Issued) -> tuple[int, int, int, bytes]:
    return (3, 1, 1, sha256(issued.spki))


def problem(*records: Any, chain: list[bytes] | None = None, names: tuple[str, ...] = ()) -> str:
    found = usable(records)
    assert len(found) == len(records)
    return Dane(HOST, found).problem(MX.chain if chain is None else chain, names, at=NOW)


@pytest.mark.parametrize(
    "record",
    [
        (3, 1, 1, sha256(MX.spki)),
        (3, 0, 1, sha256(MX.der)),
        (3, 1, 2, hashlib.sha512(MX.spki).digest()),
        (3, 0, 0, MX.der),
        (3, 1, 0, MX.spki),
        (2, 0, 1, sha256(BELOW.der)),
        (2, 1, 1, sha256(ROOT.spki)),
        (2, 0, 2, hashlib.sha512(ROOT.der).digest()),
        (2, 0, 0, ROOT.der),
    ],
    ids=lambda record: f"{record[0]}{record[1]}{record[2]}",
)
def test_records_of_every_usable_kind_are_matched(record: tuple[int, int, int, bytes]) -> None:
    assert problem(record) == ""
    assert problem((3, 1, 1, bytes(32)), record) == ""
    other = Authority("root").authority("below").issue(HOST)
    assert problem(record, chain=other.chain) in ("validation-failure", "certificate-not-trusted")


def test_a_key_named_by_the_domain_needs_neither_name_nor_date() -> None:
    # RFC 7672 section 3.1.1
    old = Authority("other").issue("elsewhere.example", days=-5)
    assert problem(ee(old), chain=[old.der]) == ""


def test_an_authority_named_by_the_domain_vouches_for_the_right_name_in_time() -> None:
    # RFC 7672 sections 3.1.2 and 3.2.3
    record = (2, 1, 1, sha256(BELOW.spki))
    other, old = BELOW.issue("example.net"), BELOW.issue(HOST, days=-1)
    assert problem(record, chain=other.chain) == "certificate-host-mismatch"
    assert problem(record, chain=other.chain, names=("example.net",)) == ""
    assert problem(record, chain=old.chain) == "certificate-expired"


def test_an_authority_is_no_server_and_must_have_signed() -> None:
    record = (2, 1, 1, sha256(BELOW.spki))
    stranger = Authority("stranger").issue(HOST)
    assert problem(record, chain=[BELOW.der]) == "validation-failure"
    assert problem(record, chain=[stranger.der, BELOW.der, ROOT.der]) == "certificate-not-trusted"
    assert problem(record, chain=[MX.der]) == "validation-failure"
    assert problem((2, 0, 0, BELOW.der), chain=[MX.der]) == ""


def test_a_server_without_a_certificate_proves_nothing() -> None:
    assert problem(ee(MX), chain=[]) == "validation-failure"
    assert problem(ee(MX), chain=[b"\x00"]) == "validation-failure"


def test_records_that_cannot_be_used_ask_for_tls_and_no_more() -> None:
    # RFC 7672 section 2.2
    assert Dane(HOST, ()).problem([], (), at=NOW) == ""


@pytest.mark.parametrize(
    "record",
    [
        (0, 1, 1, bytes(32)),
        (1, 1, 1, bytes(32)),
        (4, 1, 1, bytes(32)),
        (3, 2, 1, bytes(32)),
        (3, 1, 3, bytes(32)),
        (3, 1, 1, bytes(31)),
        (3, 1, 2, bytes(32)),
        (3, 1, 1, b""),
        (3, 0, 0, b"no certificate"),
        (2, 1, 0, b""),
        (3, 1, 0, bytes(dane.MAX_DATA_OCTETS + 1)),
        (3, 1, b"x"),
        ("3", 1, 1, bytes(32)),
        (),
        b"",
        None,
    ],
    ids=repr,
)
def test_what_mail_cannot_use_is_left_out(record: object) -> None:
    # D11, RFC 7672 section 3.1.3
    assert usable([record, (3, 1, 1, bytes(32))]) == (Tlsa(3, 1, 1, bytes(32)),)


def test_so_many_records_are_looked_at() -> None:
    many = [(3, 1, 1, sha256(bytes([n]))) for n in range(dane.MAX_RECORDS + 1)]
    assert len(usable(many)) == dane.MAX_RECORDS
    assert len(usable([many[0]] * 5)) == 1


# -- which records there are -----------------------------------------------------------


def answers(table: dict[str, dict[str, Any]], *, insecure: tuple[str, ...] = ()) -> Lookup:
    """Of a signed zone, but for some names; CNAMEs are followed as a resolver does."""
    known: dict[Question, Answer] = {}
    for name in [*table, "_25._tcp.mx.example.net", "_25._tcp.last.example.org", "last.example.org"]:
        for kind in ("A", "AAAA", "CNAME", "TLSA"):
            last, secure = name, name not in insecure
            while kind != "CNAME" and "CNAME" in table.get(last, {}):
                last = table[last]["CNAME"][0]
                secure = secure and last not in insecure
            records = table.get(last, {}).get(kind)
            if records == "SERVFAIL":
                known[Question(name, kind)] = Answer("temperror")
            else:
                known[Question(name, kind)] = Answer(
                    "ok" if records else "nodata", tuple(records or ()), secure
                )
    return Lookup(known)


def found(lookup: Lookup, host: str = HOST) -> Dane | Unknown | None:
    return find(host, 25, lookup)


PLAIN: dict[str, dict[str, Any]] = {
    HOST: {"A": ["192.0.2.25"]},
    "_25._tcp.mx.example.net": {"TLSA": [ee(MX)]},
}
ALIAS: dict[str, dict[str, Any]] = {
    HOST: {"CNAME": ["last.example.org"]},
    "last.example.org": {"A": ["192.0.2.25"]},
    "_25._tcp.mx.example.net": {"TLSA": [ee(MX)]},
}


def test_signed_records_of_the_host_bind_us() -> None:
    assert found(answers(PLAIN)) == Dane(HOST, usable([ee(MX)]))


@pytest.mark.parametrize("unsigned", [HOST, "_25._tcp.mx.example.net"])
def test_what_is_not_signed_says_nothing(unsigned: str) -> None:
    # RFC 7672 sections 2.2.1 and 2.2.2
    assert found(answers(PLAIN, insecure=(unsigned,))) is None


def test_a_host_without_records_or_address_is_not_bound() -> None:
    assert found(answers({HOST: {"A": ["192.0.2.25"]}})) is None
    assert found(answers({HOST: {}})) is None


def test_records_that_cannot_be_had_leave_the_host_alone() -> None:
    # RFC 7672 section 2.1.1
    table = {**PLAIN, "_25._tcp.mx.example.net": {"TLSA": "SERVFAIL"}}
    assert found(answers(table)) == Unknown("_25._tcp.mx.example.net")


def test_an_alias_that_cannot_be_had_leaves_the_host_alone() -> None:
    known = dict(answers(PLAIN).known)
    known[Question(HOST, "CNAME")] = Answer("temperror")
    assert found(Lookup(known)) == Unknown(HOST)


def test_the_last_name_of_an_alias_is_asked_first_then_the_first() -> None:
    # RFC 7672 section 2.2.3
    assert found(answers(ALIAS)) == Dane(HOST, usable([ee(MX)]))
    both = {**ALIAS, "_25._tcp.last.example.org": {"TLSA": [(3, 1, 1, bytes(32))]}}
    assert found(answers(both)) == Dane("last.example.org", usable([(3, 1, 1, bytes(32))]))


def test_an_alias_that_leads_out_of_signed_zones_is_still_ours_at_its_first_name() -> None:
    # RFC 7672 section 2.2.2
    both = {**ALIAS, "_25._tcp.last.example.org": {"TLSA": [(3, 1, 1, bytes(32))]}}
    assert found(answers(both, insecure=("last.example.org",))) == Dane(HOST, usable([ee(MX)]))
    assert found(answers(both, insecure=("last.example.org", HOST))) is None


def test_records_of_no_use_still_want_tls() -> None:
    table = {**PLAIN, "_25._tcp.mx.example.net": {"TLSA": [(0, 0, 1, bytes(32))]}}
    assert found(answers(table)) == Dane(HOST, ())
