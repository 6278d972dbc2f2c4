"""mailstack scan --dns FILE as the door to SPF, DKIM, DMARC and ARC: files in, words out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mailstack.filters.authentication.arc_chain import ChainVerifier
from mailstack.filters.authentication.arc_seal import seal
from mailstack.filters.authentication.sign import sign
from mailstack.filters.fields import Header
from tests.kit.dkim_keys import ed25519_key, ed25519_record, rsa_key, rsa_record
from tests.kit.instance import command
from tests.kit.lookups import resolve

NOW = int(time.time())
LETTER = (
    b"From: Ann <ann@author.test>\r\nTo: bob@home.test\r\nSubject: lunch\r\nDate: x\r\n"
    b"Message-ID: <1@author.test>\r\n\r\nHi Bob, are you free for lunch today?\r\n"
)
ZONE: dict[str, dict[str, Any]] = {
    "Author.Test.": {"TXT": ["other", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 -all"], "A": ["192.0.2.1"]},
    "_dmarc.author.test": {"TXT": ["v=DMARC1; p=reject; sp=quarantine; np=none"]},
    "mail.author.test": {"A": ["192.0.2.1"]},
    "rsa._domainkey.author.test": {"TXT": [rsa_record()]},
    "ed._domainkey.author.test": {"TXT": [ed25519_record()]},
    "rsa._domainkey.list.test": {"TXT": [rsa_record()]},
    "mx.helo.test": {"TXT": ["v=spf1 a -all"], "A": ["203.0.113.9"]},
}
SIGNED = sign(LETTER, [rsa_key("author.test"), ed25519_key("author.test")], now=NOW) + LETTER


def scan(
    folder: Path, message: bytes, *words: str, zone: dict[str, dict[str, Any]] | None = None, **more: Any
) -> Any:
    """The one object `scan --json` prints."""
    (folder / "letter.eml").write_bytes(message)
    (folder / "dns.json").write_text(json.dumps({**ZONE, **(zone or {})}))
    given = {"--ip": "203.0.113.9", "--from": "ann@author.test"} | {
        f"--{key}": value for key, value in more.items()
    }
    options = [word for pair in given.items() for word in pair]
    done = command(
        "scan", str(folder / "letter.eml"), "--dns", str(folder / "dns.json"), "--json", *options, *words
    )
    assert (done.code, done.err) == (0, "")
    return done.json


def sealed(message: bytes, times: int = 1) -> bytes:
    table = {name.lower().rstrip("."): entry for name, entry in ZONE.items()}
    for _ in range(times):
        chain = resolve(ChainVerifier(message, Header(message), now=NOW).verify, table)
        message = (
            seal(message, chain, rsa_key("list.test"), results="list.test; dmarc=pass", now=NOW) + message
        )
    return message


@pytest.mark.parametrize(
    ("ip", "sender", "helo", "result", "domain"),
    [
        ("192.0.2.1", "ann@author.test", "h.test", "pass", "author.test"),
        ("2001:db8::5", "<ann@AUTHOR.test>", "h.test", "pass", "author.test"),
        ("203.0.113.9", "ann@author.test", "h.test", "fail", "author.test"),
        ("203.0.113.9", "ann@nowhere.test", "h.test", "none", "nowhere.test"),
        ("203.0.113.9", "", "mx.helo.test", "pass", "mx.helo.test"),
        ("192.0.2.1", "<>", "mx.helo.test", "fail", "mx.helo.test"),
    ],
)
def test_spf(tmp_path: Path, ip: str, sender: str, helo: str, result: str, domain: str) -> None:
    found = scan(tmp_path, LETTER, ip=ip, helo=helo, **{"from": sender})
    assert found["authentication"]["spf"] == {"result": result, "domain": domain}


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
def test_dkim_of_a_file_with_any_line_ends(tmp_path: Path, ending: bytes) -> None:
    found = scan(tmp_path, SIGNED.replace(b"\r\n", ending))["authentication"]
    assert found["dkim"] == [
        {"result": "pass", "domain": "author.test", "selector": "rsa"},
        {"result": "pass", "domain": "author.test", "selector": "ed"},
    ]
    assert found["dmarc"]["result"] == "pass"


@pytest.mark.parametrize(
    ("author", "policy", "action"),
    [
        ("author.test", "reject", "reject"),
        ("mail.author.test", "quarantine", "junk"),
        ("gone.author.test", "none", "accept"),
        ("other.test", None, "accept"),
    ],
)
def test_dmarc_policies_of_domains_below(
    tmp_path: Path, author: str, policy: str | None, action: str
) -> None:
    # RFC 9989: p=, sp= of names that exist, np= of those that do not
    found = scan(tmp_path, LETTER.replace(b"@author.test>", b"@" + author.encode() + b">", 1))
    dmarc = found["authentication"]["dmarc"]
    assert (dmarc["policy"], found["action"]) == (policy, action)
    assert dmarc["disposition"] == {"accept": "none", "junk": "quarantine", "reject": "reject"}[action]


@pytest.mark.parametrize("times", [1, 3])
def test_arc_chains_that_hold(tmp_path: Path, times: int) -> None:
    assert scan(tmp_path, sealed(LETTER, times))["authentication"]["arc"] == {"result": "pass"}


@pytest.mark.parametrize(
    "message",
    [
        sealed(LETTER).replace(b"lunch", b"LUNCH"),
        sealed(LETTER).replace(b"cv=none", b"cv=pass"),
        sealed(LETTER, 2).replace(b"ARC-Seal: i=1", b"X-Seal: i=1"),
        sealed(LETTER) + b"more\r\n",
        b"ARC-Seal: i=51; cv=pass; a=rsa-sha256; d=list.test; s=rsa; b=AA\r\n" + LETTER,
    ],
    ids=range(5),
)
def test_d25_chains_that_do_not(tmp_path: Path, message: bytes) -> None:
    found = scan(tmp_path, message)
    assert found["authentication"]["arc"] == {"result": "fail"}
    assert any(reason["name"] == "arc_fail" for reason in found["reasons"])


def test_d25_a_chain_whose_key_is_another(tmp_path: Path) -> None:
    zone = {"rsa._domainkey.list.test": {"TXT": [ed25519_record()]}}
    assert scan(tmp_path, sealed(LETTER), zone=zone)["authentication"]["arc"] == {"result": "fail"}


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
def test_d1_everything_fails(tmp_path: Path, failure: str) -> None:
    zone = {name: {"TXT": failure, "A": failure} for name in (*ZONE, "_dmarc.test", "author.test")}
    found = scan(tmp_path, SIGNED, zone=zone)
    assert found["action"] == "accept"
    words = found["authentication"]
    assert {words["spf"]["result"], words["dmarc"]["result"]} == {"temperror"}
    assert [one["result"] for one in words["dkim"]] == ["temperror", "temperror"]


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "several"),
        (["v=DMARC1; p=bogus"], "no valid p="),
        (["v=DMARC1; p=none; p=reject"], "stands twice"),
    ],
)
def test_d5_d20_bad_policies_are_named(tmp_path: Path, records: list[str], words: str) -> None:
    found = scan(tmp_path, LETTER, zone={"_dmarc.author.test": {"TXT": records}})
    assert found["authentication"]["dmarc"]["result"] == "none"
    [reason] = [one for one in found["reasons"] if one["name"] == "dmarc_record"]
    assert words in reason["why"]


def test_d24_what_the_message_says_of_itself_counts_for_nothing(tmp_path: Path) -> None:
    forged = (
        b"Authentication-Results: mx.home.test; spf=pass; dkim=pass; dmarc=pass header.from=author.test\r\n"
    )
    found = scan(tmp_path, forged + b"Received-SPF: pass receiver=mx.home.test\r\n" + LETTER)
    assert (found["authentication"]["dmarc"]["result"], found["action"]) == ("fail", "reject")


@pytest.mark.parametrize(
    "author",
    [b"ann@AUTHOR.test", b"ann@author.test.", b'"Ann, or: Bob" <ann@author.test>', b"(x) ann@author.test (y)",
     b"=?utf-8?q?boss@bank=2Etest?= <ann@author.test>", b"ann\r\n @author.test"],
)  # fmt: skip
def test_d22_one_author_however_it_is_written(tmp_path: Path, author: bytes) -> None:
    message = LETTER.replace(b"Ann <ann@author.test>", author, 1)
    found = scan(tmp_path, message, ip="192.0.2.1")["authentication"]["dmarc"]
    assert (found["result"], found["domain"]) == ("pass", "author.test")


@pytest.mark.parametrize(
    "author",
    [b"", b"Ann", b"<ann@author.test", b"ann@author.test bob@evil.test", b"ann@[192.0.2.1]", b"group: ;",
     b"=?utf-8?q?ann=40author=2Etest?=", b"ann@author.test, bob@other.test", b"\xff@author.test\xff"],
)  # fmt: skip
def test_d23_an_author_nobody_can_read_never_passes(tmp_path: Path, author: bytes) -> None:
    message = LETTER.replace(b"Ann <ann@author.test>", author, 1)
    assert scan(tmp_path, message, ip="192.0.2.1")["authentication"]["dmarc"]["result"] == "fail"


def test_d23_two_from_fields_are_refused(tmp_path: Path) -> None:
    assert scan(tmp_path, b"from : bob@other.test\r\n" + LETTER, ip="192.0.2.1")["action"] == "reject"
