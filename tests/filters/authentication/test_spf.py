"""SPF: the RFC's results, within its limits, whatever the records hold."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mailstack.filters.authentication import spf
from tests.kit.lookups import resolve, resolve_counted

NOW = 1_800_000_000
IP = "192.0.2.7"


def check(record: str | list[str], *, ip: str = IP, sender: str = "alice@example.test", **table: Any) -> str:
    zone: dict[str, dict[str, Any]] = {name.replace("_", "."): entry for name, entry in table.items()}
    zone.setdefault("example.test", {})["TXT"] = [record] if isinstance(record, str) else record
    return resolve(
        lambda lookup: spf.check(ip, sender, "mail.example.test", now=NOW, lookup=lookup), zone
    ).result


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "pass"),
        ("v=spf1 ip4:198.51.100.0/24 -all", "fail"),
        ("v=spf1 ip4:198.51.100.0/24 ~all", "softfail"),
        ("v=spf1 ?all", "neutral"),
        ("v=spf1", "neutral"),
        ("V=SPF1 IP4:192.0.2.7 -ALL", "pass"),
        ("v=spf10 -all", "none"),
        ("something else", "none"),
        ("v=spf1 ip4:999.1.1.1 -all", "permerror"),
        ("v=spf1 nonsense:x -all", "permerror"),
        ("v=spf1 include: -all", "permerror"),
        ("v=spf1 redirect=a redirect=b", "permerror"),
        ("v=spf1 exists:%{i}._spf.%{d} -all", "fail"),
        ("v=spf1 exists:%{x}.test -all", "permerror"),
        ("v=spf1 exists:%{ -all", "permerror"),
        ("v=spf1 exists:%{p}.test -all", "fail"),
        ("v=spf1 exists:%{l255}.test -all", "fail"),
        ("v=spf1 -all\xff", "permerror"),
    ],
)
def test_results_by_the_record(record: str, word: str) -> None:
    # RFC 7208 sections 4.6, 5, 7; D9
    assert check(record) == word


def test_two_records_are_an_error() -> None:
    # D5; RFC 7208 section 4.5
    assert check(["v=spf1 -all", "v=spf1 +all"]) == "permerror"


@pytest.mark.parametrize(
    ("ip", "sender", "word", "domain"),
    [
        ("", "alice@example.test", "none", "example.test"),
        ("not an address", "alice@example.test", "none", "example.test"),
        (IP, "", "pass", "mail.example.test"),
        (IP, "alice@[192.0.2.7]", "none", ""),
        (IP, "alice@localhost", "none", ""),
        (IP, "alice@exa mple.test", "none", ""),
        (IP, "alice", "none", ""),
        (IP, "Alice@EXAMPLE.test.", "fail", "example.test"),
        (IP, "\u00fcml\u00e4ut@example.test", "fail", "example.test"),
        ("::ffff:192.0.2.7", "a@mail.example.test", "pass", "mail.example.test"),
        ("2001:db8::7", "a@mail.example.test", "fail", "mail.example.test"),
    ],
)
def test_identity_that_is_checked(ip: str, sender: str, word: str, domain: str) -> None:
    # RFC 7208 section 2.4: a null sender is postmaster@HELO (T21)
    table = {
        "mail.example.test": {"TXT": ["v=spf1 ip4:192.0.2.7 -all"]},
        "example.test": {"TXT": ["v=spf1 -all"]},
    }
    result = resolve(lambda k: spf.check(ip, sender, "mail.example.test", now=NOW, lookup=k), table)
    assert (result.result, result.domain) == (word, domain)


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
def test_failures_of_the_dns_are_temporary(failure: str) -> None:
    # D1, D2
    table = {"example.test": {"TXT": failure}}
    word = resolve(lambda k: spf.check(IP, "a@example.test", "h.test", now=NOW, lookup=k), table).result
    assert word == "temperror"
    assert check("v=spf1 include:other.test -all", other_test={"TXT": failure}) == "temperror"
    assert check("v=spf1 a:other.test -all", other_test={"A": failure}) == "temperror"


def test_the_eleventh_lookup_is_an_error() -> None:
    # D7; RFC 7208 section 4.6.4
    def includes(count: int) -> str:
        table = {f"i{n}.test": {"TXT": ["v=spf1 ip4:198.51.100.1 -all"]} for n in range(20)}
        table["example.test"] = {
            "TXT": ["v=spf1 " + " ".join(f"include:i{n}.test" for n in range(count)) + " -all"]
        }
        return resolve(lambda k: spf.check(IP, "a@example.test", "h.test", now=NOW, lookup=k), table).result

    assert includes(10) == "fail"
    assert includes(11) == "permerror"


@pytest.mark.parametrize(
    "record",
    ["v=spf1 include:example.test -all", "v=spf1 redirect=example.test", "v=spf1 a:%{d} include:%{d}"],
)
def test_loops_end(record: str) -> None:
    assert check(record) == "permerror"


def test_three_void_lookups_are_an_error() -> None:
    # D8
    assert check("v=spf1 a:a.test a:b.test -all") == "fail"
    assert check("v=spf1 a:a.test a:b.test a:c.test -all") == "permerror"


def test_eleven_mail_hosts_are_an_error_and_ten_are_asked_for_at_once() -> None:
    def hosts(count: int) -> tuple[str, int]:
        table: dict[str, dict[str, Any]] = {f"m{n}.test": {"A": [f"198.51.100.{n}"]} for n in range(20)}
        table["example.test"] = {"TXT": ["v=spf1 mx -all"], "MX": [[10, f"m{n}.test"] for n in range(count)]}
        runs = 0

        def once(lookup: Any) -> Any:
            nonlocal runs
            runs += 1
            return spf.check(IP, "a@example.test", "h.test", now=NOW, lookup=lookup)

        return resolve(once, table).result, runs

    assert hosts(10)[0] == "fail"
    assert hosts(10)[1] <= 5
    assert hosts(11)[0] == "permerror"


def test_records_are_bounded() -> None:
    # D4, D10
    fits = "v=spf1 " + "ip4:198.51.100.1 " * 590 + "-all"
    assert len(fits) <= spf.MAX_RECORD_OCTETS
    began = time.process_time()
    assert check(fits) == "fail"
    assert check("v=spf1 " + "ip4:198.51.100.1 " * 30_000 + "-all") == "permerror"
    assert check(["junk"] * 1000 + ["v=spf1 ip4:192.0.2.7 -all"]) == "pass"
    assert check(["v=spf1 -all"] * 1000) == "permerror"
    assert time.process_time() - began < 5


def test_no_explanation_is_ever_fetched() -> None:
    table = {
        "example.test": {"TXT": ["v=spf1 exp=why.example.test -all"]},
        "why.example.test": {"TXT": ["x"]},
    }
    result, asked = resolve_counted(
        lambda k: spf.check(IP, "a@example.test", "h.test", now=NOW, lookup=k), table
    )
    assert result.result == "fail"
    assert [q.name for q in asked] == ["example.test"]


@pytest.mark.parametrize("local", ["a" * 64, "%{d}", "a b", "x%00y", "../..", "a.b.c" * 12])
def test_any_local_part_is_survived_in_macros(local: str) -> None:
    assert check("v=spf1 exists:%{l}.%{d} -all", sender=f"{local}@example.test") in ("fail", "permerror")


def test_ptr_is_bounded_and_its_macro_unknown() -> None:
    reverse = {"PTR": [f"h{n}.example.test" for n in range(50)]}
    table: dict[str, dict[str, Any]] = {f"h{n}.example.test": {"A": [IP]} for n in range(50)}
    table |= {"7.2.0.192.in-addr.arpa": reverse, "example.test": {"TXT": ["v=spf1 ptr -all"]}}
    result, asked = resolve_counted(
        lambda k: spf.check(IP, "a@example.test", "h.test", now=NOW, lookup=k), table
    )
    assert result.result == "pass"
    assert len(asked) <= 14


def test_the_librarys_own_resolver_is_put_back() -> None:
    import spf as pyspf

    before = pyspf.DNSLookup
    check("v=spf1 -all")
    assert pyspf.DNSLookup is before
