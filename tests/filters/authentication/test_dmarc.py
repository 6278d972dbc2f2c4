"""DMARC by RFC 9989: every rule of the digest."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

from typing import Any

import pytest

from mailstack.filters.authentication import dmarc
from mailstack.filters.authentication.dmarc import find_author, walk_tree
from mailstack.filters.authentication.dmarc_record import Record, is_record, parse
from mailstack.filters.fields import Header
from mailstack.model.verdict import DkimResult, DmarcResult, PublishedPolicy, SpfResult
from tests.kit.lookups import resolve, resolve_counted

SPF_NONE = SpfResult("none")


def txt(**records: str | list[str]) -> dict[str, dict[str, Any]]:
    """`example_org="v=..."` becomes the record of _dmarc.example.org; the domain exists."""
    table: dict[str, dict[str, Any]] = {}
    for name, record in records.items():
        domain = name.replace("__", "-").replace("_", ".")
        table[f"_dmarc.{domain}"] = {
            "TXT": record if isinstance(record, list) or record in ("SERVFAIL",) else [record]
        }
        table[domain] = {"A": ["192.0.2.1"]}
    return table


def check(
    author: str, table: dict[str, dict[str, Any]], *, spf: SpfResult = SPF_NONE, dkim: tuple[str, ...] = ()
) -> DmarcResult:
    header = Header(f"From: {author}\r\n\r\n".encode())
    signatures = tuple(DkimResult("pass", domain, "s") for domain in dkim)
    return resolve(lambda k: dmarc.check(find_author(header), spf, signatures, k), table)


# -- records ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (b"v=DMARC1; p=reject", "reject"),
        (b"v=DMARC1;p=quarantine;", "quarantine"),
        (b" v = DMARC1 ; P = Reject ; ", "reject"),
        (b"v=DMARC1; rua=mailto:a@b.test; p=none; x=y; fo=1:d:s; ri=86400; rf=afrf", "none"),
        (b"v=DMARC1; junk; p=reject; =; ;;", "reject"),
        # p missing or invalid: none if somebody wants reports
        (b"v=DMARC1; rua=mailto:a@b.test", "none"),
        (b"v=DMARC1; p=bogus; rua=mailto:a@b.test", "none"),
    ],
)
def test_records_that_are_read(text: bytes, policy: str) -> None:
    # RFC 9989 section 4.7; D20
    assert is_record(text)
    record = parse(text)
    assert isinstance(record, Record)
    assert record.policy == policy


@pytest.mark.parametrize(
    "text",
    [b"v=DMARC1", b"v=DMARC1; p=bogus", b"v=DMARC1; p=", b"v=DMARC1; p=none; p=reject", b"v=DMARC1; rua=x",
     b"v=DMARC1;" + b"a=b;" * 100, b"v=DMARC1; p=reject; x=" + b"y" * 5000],
)  # fmt: skip
def test_malformed_records_are_named_and_count_for_nothing(text: bytes) -> None:
    assert is_record(text)
    assert isinstance(parse(text), str)


@pytest.mark.parametrize(
    "text", [b"", b"x v=DMARC1; p=reject", b"p=reject; v=DMARC1", b"v=DMARC2; p=reject", b"v=DMARC1x; p=none",
             b"v=dmarc1; p=reject", b"v=spf1 -all", b"\xff"]
)  # fmt: skip
def test_other_records_are_no_records(text: bytes) -> None:
    # the version stands first and matches precisely
    assert not is_record(text)


@pytest.mark.parametrize(
    ("tags", "testing"),
    [
        ("t=y", True),
        ("t=n", False),
        ("", False),
        ("pct=0", True),
        ("pct=50", False),
        ("pct=0; t=n", False),
        ("t=maybe", False),
    ],
)
def test_t_and_the_pct_of_old_records(tags: str, testing: bool) -> None:
    record = parse(f"v=DMARC1; p=reject; {tags}".encode())
    assert isinstance(record, Record)
    assert record.testing is testing


# -- whose policy ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("author", "table", "policy"),
    [
        ("a@example.org", txt(example_org="v=DMARC1; p=reject; sp=none; np=none"), "reject"),
        ("a@sub.example.org", txt(example_org="v=DMARC1; p=reject", sub_example_org="v=DMARC1; p=none"), "none"),
        # existing sub-domain: sp, else p
        ("a@sub.example.org", txt(example_org="v=DMARC1; p=reject; sp=quarantine") | {"sub.example.org": {}}, "quarantine"),
        ("a@sub.example.org", txt(example_org="v=DMARC1; p=reject") | {"sub.example.org": {}}, "reject"),
        ("a@sub.example.org", txt(example_org="v=DMARC1; p=none; np=reject") | {"sub.example.org": {}}, "none"),
        # sub-domain that does not exist: np, else sp, else p
        ("a@nx.example.org", txt(example_org="v=DMARC1; p=none; sp=quarantine; np=reject"), "reject"),
        ("a@nx.example.org", txt(example_org="v=DMARC1; p=none; sp=quarantine"), "quarantine"),
        ("a@nx.example.org", txt(example_org="v=DMARC1; p=reject"), "reject"),
        # the record of a public suffix
        ("a@example.bank", txt(bank="v=DMARC1; p=none; sp=reject; psd=y") | {"example.bank": {}}, "reject"),
        ("a@mail.example.bank", txt(bank="v=DMARC1; p=quarantine; psd=y"), "quarantine"),
        # old records
        ("a@example.org", txt(example_org="v=DMARC1; p=reject; pct=20; ri=1; rf=afrf"), "reject"),
    ],
)  # fmt: skip
def test_the_policy_that_applies(author: str, table: dict[str, dict[str, Any]], policy: str) -> None:
    # RFC 9989 section 4.10.1
    result = check(author, table)
    assert (result.result, result.policy) == ("fail", policy)
    assert result.disposition == policy


@pytest.mark.parametrize(
    ("policy", "lowered"), [("reject", "quarantine"), ("quarantine", "none"), ("none", "none")]
)
def test_testing_lowers_by_one_step(policy: str, lowered: str) -> None:
    result = check("a@example.org", txt(example_org=f"v=DMARC1; p={policy}; t=y"))
    assert (result.policy, result.disposition) == (policy, lowered)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, ""),
        ({"example.org": {"A": ["192.0.2.1"]}}, ""),
        (txt(example_org=["v=DMARC1; p=reject", "v=DMARC1; p=none"]), "several"),
        (txt(example_org="v=DMARC1; p=bogus"), "no valid p="),
    ],
)
def test_no_usable_record_is_none_and_named(table: dict[str, dict[str, Any]], words: str) -> None:
    # D5; product page, section 2.3
    result = check("a@example.org", table)
    assert (result.result, result.policy) == ("none", None)
    assert words in result.why


def test_two_records_do_not_hide_the_one_above() -> None:
    table = txt(example_org="v=DMARC1; p=reject", sub_example_org=["v=DMARC1; p=none", "v=DMARC1; p=none"])
    assert check("a@sub.example.org", table).policy == "reject"


def test_other_records_beside_it_do_not_matter() -> None:
    table = txt(example_org=["v=spf1 -all", "v=DMARC1; p=reject", "hello"])
    assert check("a@example.org", table).policy == "reject"


# -- the walk -------------------------------------------------------------------------


def organization(domain: str, table: dict[str, dict[str, Any]]) -> str:
    return resolve(lambda k: walk_tree(domain, k), table).organizational_domain


@pytest.mark.parametrize(
    ("domain", "table", "expected"),
    [
        ("a.b.example.org", {}, "a.b.example.org"),
        ("a.b.example.org", txt(example_org="v=DMARC1; p=none"), "example.org"),
        ("a.b.example.org", txt(example_org="v=DMARC1; p=none", b_example_org="v=DMARC1; p=none"), "example.org"),
        ("a.b.example.org", txt(example_org="v=DMARC1; p=none", b_example_org="v=DMARC1; p=none; psd=n"), "b.example.org"),
        ("a.b.example.org", txt(org="v=DMARC1; p=none; psd=y"), "example.org"),
        ("a.b.example.org", txt(org="v=DMARC1; p=none; psd=y", b_example_org="v=DMARC1; p=none"), "example.org"),
        ("example.org", txt(example_org="v=DMARC1; p=none; psd=y"), "example.org"),
        ("example.org", txt(example_org="v=DMARC1; p=none; psd=u"), "example.org"),
        ("a.example.co.uk", txt(co_uk="v=DMARC1; p=none; psd=y", uk="v=DMARC1; p=none"), "example.co.uk"),
    ],
)  # fmt: skip
def test_organizational_domain(domain: str, table: dict[str, dict[str, Any]], expected: str) -> None:
    # RFC 9989 section 4.10.2
    assert organization(domain, table) == expected


@pytest.mark.parametrize(("labels", "queries"), [(1, 1), (2, 2), (7, 7), (8, 8), (9, 8), (30, 8), (100, 8)])
def test_a_walk_asks_at_most_eight_times(labels: int, queries: int) -> None:
    # D21; a name of eight labels or more is cut to seven at once
    domain = ".".join(["x"] * (labels - 1) + ["test"])
    _, asked = resolve_counted(lambda k: walk_tree(domain, k), {})
    assert len(asked) == queries
    if labels >= 8:
        assert asked[1].name.count(".") == 7  # _dmarc and seven labels


# -- alignment ------------------------------------------------------------------------

RELAXED = txt(example_org="v=DMARC1; p=reject")
STRICT = txt(example_org="v=DMARC1; p=reject; adkim=s; aspf=s")


@pytest.mark.parametrize(
    ("spf", "dkim", "table", "result"),
    [
        ("example.org", (), RELAXED, "pass"),
        ("mail.example.org", (), RELAXED, "pass"),
        ("mail.example.org", (), STRICT, "fail"),
        ("example.org", (), STRICT, "pass"),
        ("", ("example.org",), STRICT, "pass"),
        ("", ("mail.example.org",), STRICT, "fail"),
        ("", ("mail.example.org",), RELAXED, "pass"),
        ("", ("other.test", "mail.example.org"), RELAXED, "pass"),
        ("", ("other.test",), RELAXED, "fail"),
        ("", ("org",), RELAXED, "fail"),
        ("", ("badexample.org",), RELAXED, "fail"),
        ("evil.test", ("evil.test",), RELAXED, "fail"),
        ("", (), RELAXED, "fail"),
    ],
)
def test_alignment(spf: str, dkim: tuple[str, ...], table: dict[str, dict[str, Any]], result: str) -> None:
    # RFC 9989 section 4.4
    passed = SpfResult("pass", spf) if spf else SPF_NONE
    assert check("a@example.org", table, spf=passed, dkim=dkim).result == result


def test_a_sub_domain_with_its_own_organization_is_not_aligned() -> None:
    table = txt(example_org="v=DMARC1; p=reject", shop_example_org="v=DMARC1; p=none; psd=n")
    assert check("a@example.org", table, dkim=("shop.example.org",)).result == "fail"


@pytest.mark.parametrize("word", ["fail", "softfail", "neutral", "none", "permerror"])
def test_only_a_pass_counts(word: str) -> None:
    spf = SpfResult(word, "example.org")
    assert check("a@example.org", RELAXED, spf=spf).result == "fail"


# -- failures of the DNS ---------------------------------------------------------------


def test_a_policy_that_cannot_be_looked_up_is_temporary() -> None:
    # D1
    result = check("a@example.org", txt(example_org="SERVFAIL"))
    assert (result.result, result.policy, result.disposition) == ("temperror", None, "none")


def test_a_failing_parent_does_not_matter_when_it_is_not_needed() -> None:
    # T30
    table = txt(sub_example_org="v=DMARC1; p=reject", example_org="SERVFAIL")
    assert check("a@sub.example.org", table, dkim=("sub.example.org",)).result == "pass"
    assert check("a@sub.example.org", table).result == "fail"
    assert check("a@sub.example.org", table, dkim=("example.org",)).result == "temperror"


def test_what_could_still_pass_is_temporary() -> None:
    spf = SpfResult("temperror", "example.org")
    result = check("a@example.org", RELAXED, spf=spf)
    assert (result.result, result.disposition) == ("temperror", "none")
    assert check("a@example.org", RELAXED, spf=spf, dkim=("example.org",)).result == "pass"


# -- authors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "author",
    ["a@EXAMPLE.org", "a@example.org", "Alice <a@Example.Org>", '"a b"@example.org', "a@example.org (comment)",
     "=?utf-8?q?Bob?= <a@example.org>", "a@good.test <a@example.org>", "<a@example.org>", "a@example.org.", "Al <a@Example.Org.>", "(x) a@example.org. (y)"],
)  # fmt: skip
def test_one_author_in_many_clothes(author: str) -> None:
    # D22
    assert check(author, RELAXED).domain == "example.org"


def test_domains_of_other_scripts_are_compared_as_a_labels() -> None:
    table = txt(xn____mller__kva_test="v=DMARC1; p=reject")
    assert check("a@M\u00dcLLER.test", table).domain == "xn--mller-kva.test"
    assert check("a@xn--mller-kva.test", table, dkim=("xn--mller-kva.test",)).result == "pass"


@pytest.mark.parametrize(
    "field",
    ["From: \r\n", "From: nobody\r\n", "From: undisclosed:;\r\n", "From: a@b@c\r\n", "From: <a@b.test> c@d.test\r\n",
     "From: a@b.test, \x01@c.test\r\n", "From: =?utf-8?q?a=40good=2Etest?= \r\n", "From: a@[192.0.2.1]\r\n",
     "From: (((\r\n", "From: a@b.test..\r\n", "From: a@.\r\n", "From: <a@.b.test>\r\n", "From: a@good.test <b@bad.test\r\n", "From: @a,@b:c@d.test\r\n"],
)  # fmt: skip
def test_authors_nobody_can_read_fail(field: str) -> None:
    # T20, D23: never "none"
    author = find_author(Header(field.encode() + b"\r\n"))
    result = resolve(lambda k: dmarc.check(author, SPF_NONE, (), k), {})
    assert (result.result, result.policy) == ("fail", None)
    assert result.why


def test_no_from_field_is_none_and_marked() -> None:
    author = find_author(Header(b"To: b@example.test\r\n\r\n"))
    assert author.count == 0
    result = resolve(lambda k: dmarc.check(author, SPF_NONE, (), k), {})
    assert result.result == "none"
    assert "no From" in result.why


@pytest.mark.parametrize("second", ["From: x@example.org", "FROM : x@example.org", "from:\r\n x@example.org"])
def test_two_from_fields_are_counted_on_the_raw_header(second: str) -> None:
    author = find_author(Header(f"From: a@b.test\r\n{second}\r\n\r\n".encode()))
    assert author.count == 2
    assert author.problem


def test_several_domains_take_the_strictest_policy_and_never_pass() -> None:
    table = txt(a_test="v=DMARC1; p=none", b_test="v=DMARC1; p=reject", c_test="v=DMARC1; p=quarantine")
    result = check("x@a.test, y@b.test, z@c.test", table, dkim=("a.test", "b.test", "c.test"))
    assert (result.result, result.domain, result.policy) == ("fail", "b.test", "reject")
    one = check("x@a.test, y@a.test", table, dkim=("a.test",))
    assert one.result == "pass"


def test_a_crowd_of_authors_is_a_failure() -> None:
    crowd = ", ".join(f"a@d{n}.test" for n in range(50))
    _, asked = resolve_counted(
        lambda k: dmarc.check(find_author(Header(f"From: {crowd}\r\n\r\n".encode())), SPF_NONE, (), k), {}
    )
    assert asked == []


# -- what reports need -------------------------------------------------------------------


def test_a_record_that_wants_reports_is_published_with_where_it_was_found() -> None:
    record = "v=DMARC1; p=reject; sp=none; adkim=s; t=y; fo=1:d; rua=mailto:a@b.test!10m"
    found = check("a@news.example.org", txt(example_org=record))
    assert found.published == PublishedPolicy(
        "example.org",
        "reject",
        "mailto:a@b.test!10m",
        "example.org",
        sp="none",
        adkim="s",
        fo="1:d",
        is_testing=True,
    )
    assert (found.result, found.policy) == ("fail", "none")
    assert check("a@example.org", txt(example_org="v=DMARC1; p=reject")).published is None


@pytest.mark.parametrize(
    ("spf", "dkim", "tags", "by_dkim", "by_spf"),
    [
        ("example.org", (), "", False, True),
        ("other.test", ("example.org",), "", True, False),
        ("bounces.example.org", ("mail.example.org", "other.test"), "", True, True),
        ("bounces.example.org", ("news.example.org",), "aspf=s; ", True, False),
        ("news.example.org", ("example.org",), "adkim=s; ", False, True),
    ],
)
def test_which_of_the_two_made_it_pass(
    spf: str, dkim: tuple[str, ...], tags: str, by_dkim: bool, by_spf: bool
) -> None:
    table = txt(example_org=f"v=DMARC1; p=none; {tags}rua=mailto:a@b.test")
    found = check("a@news.example.org", table, spf=SpfResult("pass", spf), dkim=dkim)
    assert (found.result, found.is_dkim_aligned, found.is_spf_aligned) == ("pass", by_dkim, by_spf)


def test_what_cannot_be_checked_now_is_reported_too() -> None:
    table = txt(example_org="v=DMARC1; p=reject; rua=mailto:a@b.test")
    found = check("a@example.org", table, spf=SpfResult("temperror", "example.org"))
    assert (found.result, found.published is not None) == ("temperror", True)
