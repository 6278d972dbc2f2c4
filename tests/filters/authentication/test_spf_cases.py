"""SPF case by case: what each section of RFC 7208 says about a record, as one word."""

# ruff: noqa: E501  # tables of records read better unbroken

from __future__ import annotations

from typing import Any

import pytest
import spf as pyspf

from mailstack.filters.authentication import spf
from mailstack.model.verdict import SpfResult
from tests.kit.lookups import resolve, resolve_counted

IP, IP6 = "192.0.2.7", "2001:db8::7"
Zone = dict[str, dict[str, Any]]


def evaluate(zone: Zone, *, ip: str = IP, sender: str = "ann@d.test", helo: str = "h.test") -> SpfResult:
    return resolve(lambda k: spf.check(ip, sender, helo, now=1_800_000_000, lookup=k), zone)


def word(record: str | list[str], zone: Zone | None = None, **facts: Any) -> str:
    return evaluate(
        {"d.test": {"TXT": [record] if isinstance(record, str) else record}, **(zone or {})}, **facts
    ).result


A = {"a.test": {"A": [IP], "AAAA": [IP6]}, "b.test": {"A": ["198.51.100.1"]}, "empty.test": {"MX": []}}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (["v=spf1 +all"], "pass"),
        (["V=sPf1 +ALL"], "pass"),
        (["v=spf1"], "neutral"),
        (["v=spf1  +all  "], "pass"),
        (["v=spf10 +all"], "none"),
        (["v=spf1-all"], "none"),
        ([" v=spf1 +all"], "none"),
        (["v=spf2.0/pra +all"], "none"),
        (["spf", "v=spf1 +all", "v=DMARC1; p=none"], "pass"),
        (["v=spf1 +all", "v=spf1 +all"], "permerror"),
        ([], "none"),
    ],
)
def test_selecting_records(records: list[str], expected: str) -> None:
    # RFC 7208 section 4.5
    assert word(records) == expected


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("ann@nowhere.test", "none"),
        ("ann@single", "none"),
        ("ann@[192.0.2.7]", "none"),
        ("ann@x..test", "none"),
        ("ann@" + "l" * 64 + ".test", "none"),
        ("ann@" + "l." * 130 + "test", "none"),
        ("ann@d.test.", "pass"),
        ("ann@D.TEST", "pass"),
        ("ann@-d.test", "none"),
        ('"a@b"@d.test', "pass"),
    ],
)
def test_initial_processing(sender: str, expected: str) -> None:
    # RFC 7208 section 4.3
    assert word("v=spf1 +all", sender=sender) == expected


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 moo -all", "v=spf1 ip4:192.0.2.7 moo", "v=spf1 -all ip4", "v=spf1 a: -all", "v=spf1 a/33", "v=spf1 a//129", "v=spf1 a/-1",
        "v=spf1 a/", "v=spf1 a:d.test/24x", "v=spf1 all:d.test", "v=spf1 all/8", "v=spf1 include", "v=spf1 include:",
        "v=spf1 include:a.test/24", "v=spf1 exists", "v=spf1 exists:", "v=spf1 exists:a.test/24", "v=spf1 ip4", "v=spf1 ip4:",
        "v=spf1 ip4:192.0.2", "v=spf1 ip4:192.0.2.7/33", "v=spf1 ip4:192.0.2.7//32", "v=spf1 ip4:192.0.2.7/032x", "v=spf1 ip6",
        "v=spf1 ip6:", "v=spf1 ip6:x::y", "v=spf1 ip6:2001:db8::/129", "v=spf1 ip6:2001:db8:::1", "v=spf1 mx:", "v=spf1 ptr:",
        "v=spf1 a:%%%% -all%", "v=spf1 a:%{}", "v=spf1 a:%{d", "v=spf1 a:%d.test", "v=spf1 a:%(d)", "v=spf1 exists:%{x}.test",
        "v=spf1 exists:%{d0}.test", "v=spf1 exists:%{dx}.test", "v=spf1 redirect=", "v=spf1 redirect=a.test redirect=b.test",
        "v=spf1 exp=a.test exp=b.test", "v=spf1 exp= -all", "v=spf1 redirect=a.test/24", "v=spf1 =x", "v=spf1 1x=y", "v=spf1 *all", "v=spf1 ++all",
        "v=spf1 a:\u00e9.test -all", "v=spf1 ptr:test", "v=spf1 a:%{d1-r}.test", "v=spf1 -all moo=%{d0}", "v=spf1 -all exp=%{d0}.test",
    ],
)  # fmt: skip
def test_syntax_errors_anywhere_are_permanent(record: str) -> None:
    # RFC 7208 section 4.6: before anything is evaluated
    zone = {"d.test": {"TXT": [record], "A": [IP]}, **A}
    result = evaluate(zone)
    assert (result.result, result.domain) == ("permerror", "d.test")
    assert result.why.isprintable()


@pytest.mark.parametrize(
    "term", ["unknown=x", "un.kn_own-1=%{d}", "UNKNOWN=", "moo=a.test/24", "exp=why.test", "EXP=why.test"]
)
def test_modifiers_change_no_result_wherever_they_stand(term: str) -> None:
    # RFC 7208 section 6: unknown ones are ignored; exp= is read and never asked for
    for record in (f"v=spf1 {term} ip4:192.0.2.7 -all", f"v=spf1 ip4:192.0.2.7 -all {term}"):
        zone = {"d.test": {"TXT": [record]}}
        result, asked = resolve_counted(
            lambda k: spf.check(IP, "ann@d.test", "h.test", now=1.0, lookup=k), zone
        )
        assert result.result == "pass"
        assert [question.name for question in asked] == ["d.test"]


@pytest.mark.parametrize(
    ("mechanism", "ip", "matches"),
    [
        ("a:a.test", IP, True),
        ("a:a.test", IP6, True),
        ("A:a.test/24", "192.0.2.200", True),
        ("a:a.test/24", "192.0.3.7", False),
        ("a:a.test/24//64", "2001:db8::ffff", True),
        ("a:a.test//64", "2001:db8:1::1", False),
        ("a:a.test/0", "203.0.113.1", True),
        ("a:b.test", IP, False),
        ("a:nowhere.test", IP, False),
        ("a:empty.test", IP, False),
        ("a:" + "l" * 64 + ".test", IP, False),
        ("a", IP, False),
        ("mx:m.test", IP, True),
        ("mx:m.test/24", "192.0.2.99", True),
        ("mx:null.test", IP, False),
        ("mx:b.test", IP, False),
        ("mx:nowhere.test", IP, False),
        ("ip4:192.0.2.7", IP, True),
        ("ip4:192.0.2.7/32", IP, True),
        ("ip4:192.0.2.0/24", IP, True),
        ("ip4:192.0.0.0/0", "203.0.113.1", True),
        ("ip4:192.0.2.7", IP6, False),
        ("ip4:192.0.2.7", "::ffff:192.0.2.7", True),
        ("ip6:2001:db8::/32", IP6, True),
        ("ip6:2001:db8::7", IP6, True),
        ("ip6:::1", IP, False),
        ("ip6:::ffff:192.0.2.7", IP, False),
        ("ip6:2001:db9::/32", IP6, False),
        ("exists:b.test", IP6, True),
        ("exists:v6.test", IP6, False),
        ("exists:nowhere.test", IP, False),
        ("include:pass.test", IP, True),
        ("include:fail.test", IP, False),
        ("include:soft.test", IP, False),
        ("include:neutral.test", IP, False),
        ("ptr:h.d.test", IP, True),
        ("ptr:d.test", IP, True),
        ("ptr", IP, True),
        ("ptr:other.test", IP, False),
        ("ptr", "198.51.100.1", False),
        ("ptr", IP6, False),
    ],
)
def test_mechanisms(mechanism: str, ip: str, matches: bool) -> None:
    # RFC 7208 section 5
    zone: Zone = {
        **A,
        "m.test": {"MX": [[10, "b.test"], [20, "a.test"]]},
        "null.test": {"MX": [[0, "."]]},
        "v6.test": {"AAAA": [IP6]},
        "pass.test": {"TXT": ["v=spf1 +all"]},
        "fail.test": {"TXT": ["v=spf1 -all"]},
        "soft.test": {"TXT": ["v=spf1 ~all"]},
        "neutral.test": {"TXT": ["v=spf1 ?all"]},
        "7.2.0.192.in-addr.arpa": {"PTR": ["liar.d.test", "h.d.test"]},
        "h.d.test": {"A": [IP]},
        "liar.d.test": {"A": ["198.51.100.9"]},
        "1.100.51.198.in-addr.arpa": {"PTR": ["liar.d.test"]},
    }
    for qualifier, result in (
        ("", "pass"),
        ("+", "pass"),
        ("-", "fail"),
        ("~", "softfail"),
        ("?", "neutral"),
    ):
        record = f"v=spf1 {qualifier}{mechanism} {'-' if result != 'fail' else '+'}all"
        other = "fail" if result != "fail" else "pass"
        assert word(record, zone, ip=ip) == (result if matches else other)


@pytest.mark.parametrize(
    ("included", "expected"),
    [
        ({"TXT": ["v=spf1 moo"]}, "permerror"),
        ({"TXT": ["v=spf1 -all", "v=spf1 +all"]}, "permerror"),
        ({"TXT": ["no record"]}, "permerror"),
        ({"A": [IP]}, "permerror"),
        ({"TXT": "SERVFAIL"}, "temperror"),
        ({"TXT": "TIMEOUT"}, "temperror"),
        ({"TXT": ["v=spf1 a:silent.test"]}, "temperror"),
    ],
)
@pytest.mark.parametrize("how", ["include:i.test", "redirect=i.test"])
def test_errors_of_included_records_are_errors(how: str, included: dict[str, Any], expected: str) -> None:
    # RFC 7208 sections 5.2 and 6.1
    zone: Zone = {"i.test": included, "silent.test": {"A": "SERVFAIL"}}
    assert word(f"v=spf1 {how}", zone) == expected


def test_redirect_is_the_last_resort_and_speaks_for_the_other_domain() -> None:
    # RFC 7208 section 6.1
    zone: Zone = {
        "r.test": {"TXT": ["v=spf1 exists:%{d}.x.test -all"]},
        "r.test.x.test": {"A": ["127.0.0.2"]},
    }
    assert word("v=spf1 redirect=r.test", zone) == "pass"
    assert word("v=spf1 redirect=r.test ip4:198.51.100.1", zone) == "pass"
    assert word("v=spf1 redirect=r.test -all", zone) == "fail"
    assert word("v=spf1 redirect=nowhere.test", zone) == "permerror"
    assert word("v=spf1 redirect=r.test", {"r.test": {"TXT": ["v=spf1 ip4:198.51.100.1"]}}) == "neutral"


@pytest.mark.parametrize(
    ("macro", "expands_to"),
    [
        ("%{s}.x.test", "strong-bad@email.d.test.x.test"),
        ("%{o}.x.test", "email.d.test.x.test"),
        ("%{d}.x.test", "email.d.test.x.test"),
        ("%{d4}.x.test", "email.d.test.x.test"),
        ("%{d2}.x.test", "d.test.x.test"),
        ("%{d1}.x.test", "test.x.test"),
        ("%{dr}.x.test", "test.d.email.x.test"),
        ("%{d2r}.x.test", "d.email.x.test"),
        ("%{l}.x.test", "strong-bad.x.test"),
        ("%{l-}.x.test", "strong.bad.x.test"),
        ("%{lr-}.x.test", "bad.strong.x.test"),
        ("%{l1r-}.x.test", "strong.x.test"),
        ("%{ir}.%{v}._spf.%{d2}", "7.2.0.192.in-addr._spf.d.test"),
        ("%{i}.x.test", "192.0.2.7.x.test"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.d.test"),
        ("%{h}.x.test", "mx.h.test.x.test"),
        ("%{L}.x.test", "strong-bad.x.test"),
        ("a%%b%_c%-d.x.test", "a%b c%20d.x.test"),
        ("%{d}." + "y." * 119 + "x.test", "d.test." + "y." * 119 + "x.test"),
        ("%{d}." + "y." * 121 + "x.test", "test." + "y." * 121 + "x.test"),
        ("%{d}." + "y." * 126 + "test", "y." * 124 + "test"),
        ("%{p}.x.test", "unknown.x.test"),
    ],
)
def test_macros(macro: str, expands_to: str) -> None:
    # RFC 7208 section 7.4; labels are dropped from the left of what is longer than 253 octets
    zone: Zone = {"email.d.test": {"TXT": [f"v=spf1 exists:{macro} -all"]}}
    result, asked = resolve_counted(
        lambda k: spf.check(IP, "strong-bad@email.d.test", "mx.h.test", now=1.0, lookup=k), zone
    )
    assert result.result == "fail"
    assert [question.name for question in asked[1:]] == [expands_to]


def test_macros_of_ipv6_are_nibbles() -> None:
    zone: Zone = {"d.test": {"TXT": ["v=spf1 exists:%{ir}.%{v}.x.test -all"]}}
    _, asked = resolve_counted(lambda k: spf.check(IP6, "ann@d.test", "h.test", now=1.0, lookup=k), zone)
    assert asked[-1].name == "7.0.0.0." + "0.0.0.0." * 5 + "8.b.d.0.1.0.0.2.ip6.x.test"


@pytest.mark.parametrize("macro", ["%{c}", "%{r}", "%{t}", "%{C1}"])
def test_macros_of_explanations_stand_nowhere_else(macro: str) -> None:
    # RFC 7208 section 7.2
    assert word(f"v=spf1 exists:{macro}.test -all") == "permerror"


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (["a:b.test"] * 10, "fail"),
        (["a:b.test"] * 11, "permerror"),
        (["mx:m.test"] * 11, "permerror"),
        (["exists:x.b.test"] * 2 + ["a:b.test"] * 8, "fail"),
        (["exists:b.test"] * 11, "pass"),
        (["include:i.test"] * 5, "fail"),
        (["include:i.test"] * 6, "permerror"),
        (["ip4:198.51.100.1", "ip6:::1", "all"] * 300, "pass"),
        (["a:b.test"] * 10 + ["redirect=i.test"], "permerror"),
        (["a:nowhere.test", "mx:nowhere.test"], "fail"),
        (["a:nowhere.test", "mx:nowhere.test", "exists:nowhere.test"], "permerror"),
        (["a:empty.test", "mx:empty.test", "exists:empty.test"], "permerror"),
        (["mx:ten.test"], "fail"),
        (["mx:eleven.test"], "permerror"),
    ],
    ids=range(14),
)  # fmt: skip
def test_limits(terms: list[str], expected: str) -> None:
    # D7, D8; RFC 7208 section 4.6.4
    zone: Zone = {
        **A,
        "m.test": {"MX": [[10, "b.test"]]},
        "i.test": {"TXT": ["v=spf1 a:b.test -all"]},
        "ten.test": {"MX": [[10, f"m{n}.test"] for n in range(10)]},
        "eleven.test": {"MX": [[10, f"m{n}.test"] for n in range(11)]},
        **{f"m{n}.test": {"A": ["198.51.100.2"]} for n in range(11)},
    }
    end = [] if "redirect=i.test" in terms else ["-all"]
    assert word(" ".join(["v=spf1", *terms, *end]), zone) == expected


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 include:d.test",
        "v=spf1 redirect=d.test",
        "v=spf1 include:e.test",
        "v=spf1 a:loop.test include:d.test",
    ],
)
def test_d7_loops_end_as_permanent_errors(record: str) -> None:
    zone: Zone = {"e.test": {"TXT": ["v=spf1 include:d.test -all"]}, "loop.test": {"A": ["198.51.100.1"]}}
    assert word(record, zone) == "permerror"


@pytest.mark.parametrize(
    "mechanism", ["a:c.test", "mx:c.test", "exists:c.test", "include:c.test", "redirect=c.test"]
)
def test_d6_loops_of_names_are_temporary_errors(mechanism: str) -> None:
    zone: Zone = {"c.test": {"CNAME": ["c2.test"]}, "c2.test": {"CNAME": ["c.test"]}}
    assert word(f"v=spf1 {mechanism}", zone) == "temperror"


def test_d6_a_chain_of_names_is_followed() -> None:
    zone: Zone = {f"c{n}.test": {"CNAME": [f"c{n + 1}.test"]} for n in range(5)}
    assert word("v=spf1 a:c0.test -all", {**zone, "c5.test": {"A": [IP]}}) == "pass"


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 a:x.test -all", "temperror"),
        ("v=spf1 mx:x.test -all", "temperror"),
        ("v=spf1 mx:m.test -all", "temperror"),
        ("v=spf1 exists:x.test -all", "temperror"),
        ("v=spf1 ip4:192.0.2.7 a:x.test -all", "pass"),
        ("v=spf1 ptr -all", "fail"),
        ("v=spf1 ptr:h.test -all", "fail"),
    ],
)
def test_d1_temporary_errors(record: str, expected: str, failure: str) -> None:
    # RFC 7208 sections 2.6.6 and 5.5: names and addresses of "ptr" that fail are left out
    zone: Zone = {
        "x.test": {"A": failure, "MX": failure},
        "m.test": {"MX": [[10, "x.test"]]},
        "7.2.0.192.in-addr.arpa": {"PTR": failure},
    }
    assert word(record, zone) == expected


def test_a_name_without_an_address_does_not_hide_the_next_one() -> None:
    # RFC 7208 section 5.5
    zone: Zone = {
        "7.2.0.192.in-addr.arpa": {"PTR": ["silent.d.test", "loop.d.test", "h.d.test"]},
        "silent.d.test": {"A": "SERVFAIL"},
        "loop.d.test": {"CNAME": ["loop.d.test"]},
        "h.d.test": {"A": [IP]},
    }
    assert word("v=spf1 ptr -all", zone) == "pass"


@pytest.mark.parametrize(
    ("helo", "expected"),
    [
        ("h.test", "pass"),
        ("H.Test.", "pass"),
        ("other.test", "none"),
        ("[192.0.2.7]", "none"),
        ("single", "none"),
        ("", "none"),
    ],
)
def test_a_null_sender_is_postmaster_at_helo(helo: str, expected: str) -> None:
    # RFC 7208 section 2.4, T21
    zone: Zone = {
        "h.test": {"TXT": ["v=spf1 exists:%{l}.%{d} -all"]},
        "postmaster.h.test": {"A": ["127.0.0.2"]},
    }
    assert evaluate(zone, sender="", helo=helo).result == expected


def test_a_sender_without_a_local_part_is_postmaster() -> None:
    # RFC 7208 section 4.3
    zone: Zone = {"postmaster.d.test": {"A": ["127.0.0.2"]}}
    assert word("v=spf1 exists:%{l}.%{d} -all", zone, sender="@d.test") == "pass"


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), IndexError(), KeyError("k"), RecursionError(), UnicodeError(), AssertionError()],
)
def test_whatever_the_library_raises_is_permanent(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(pyspf.query, "validate_mechanism", broken)
    result = evaluate({"d.test": {"TXT": ["v=spf1 a -all"]}})
    assert (result.result, result.why) == ("permerror", type(error).__name__)


@pytest.mark.parametrize(
    "octets",
    [
        b"v=spf1 -all\xff",
        b"v=spf1 a:\x80.test -all",
        b"v=spf1 \x00 -all",
        b"v=spf1 ip4:192.0.2.7\r\n -all",
        "v=spf1 \u200b-all".encode(),
    ],
    ids=range(5),
)
def test_d4_octets_that_are_no_text_are_permanent(octets: bytes) -> None:
    assert word(octets.decode("utf-8", "surrogateescape")) == "permerror"
