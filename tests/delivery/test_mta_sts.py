"""MTA-STS records and policies: what is one, and which hosts it allows."""

from __future__ import annotations

import pytest

from mailstack.delivery import mta_sts
from mailstack.delivery.mta_sts import BadPolicy, Policy, parse, policy_id

GOOD = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.net\r\nmx: *.Example.org\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([b"v=STSv1; id=20260101T00;"], "20260101T00"),
        ([b"v=STSv1;id=a1"], "a1"),
        ([b"v=STSv1; other=x; id=a1"], "a1"),
        ([b"v=spf1 -all", b"v=STSv1; id=a1"], "a1"),
        ([b"v=STSv1; id=a1", b"v=STSv1; id=a2"], ""),
        ([b"v=STSv1; id="], ""),
        ([b"v=STSv1; id=a-1"], ""),
        ([b"v=STSv1; id=" + b"a" * 32], "a" * 32),
        ([b"v=STSv1; id=" + b"a" * 33], ""),
        ([b"v=STSv1"], ""),
        ([b"v=STSv10; id=a1"], ""),
        ([b"id=a1; v=STSv1"], ""),
        (["v=STSv1; id=a1", 7, b"\xff\xfe"], ""),
        ([], ""),
    ],
)
def test_a_record_holds_one_id(records: list[object], found: str) -> None:
    # RFC 8461 section 3.1
    assert policy_id(records) == found


def test_a_policy_is_read() -> None:
    policy = parse(GOOD)
    lines = tuple(GOOD.decode().split("\r\n")[:-1])
    assert policy == Policy("enforce", 604_800, ("mx1.example.net", "*.example.org"), lines)
    assert parse(GOOD.replace(b"\r\n", b"\n")) == policy


def test_unknown_keys_are_passed_over_and_the_first_of_a_key_counts() -> None:
    # RFC 8461 section 3.2
    policy = parse(GOOD + b"mode: none\nnew-key: what: ever\nmax_age: 1\n\n")
    assert (policy.mode, policy.max_age_s) == ("enforce", 604_800)


def test_a_policy_that_asks_for_nothing_needs_no_host() -> None:
    assert parse(b"version: STSv1\nmode: none\nmax_age: 86400\n").mx == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>version: STSv1</body></html>",
        b"mode: enforce\nmx: a.example\nmax_age: 1\n",
        b"version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1\n",
        b"version: STSv1\nmode: strict\nmx: a.example\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: a.example\n",
        b"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: ²\n".encode(),
        b"version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1\nnonsense\n",
        b"\xff\xfe" + GOOD,
        GOOD + b"x: " + b"y" * mta_sts.MAX_POLICY_OCTETS,
    ],
)
def test_what_is_no_policy_is_refused(body: bytes) -> None:
    # L16
    with pytest.raises(BadPolicy):
        parse(body)


def test_a_policy_at_the_limit_is_taken_and_no_age_is_longer_than_a_year() -> None:
    # L16
    filled = GOOD + b"x: " + b"y" * (mta_sts.MAX_POLICY_OCTETS - len(GOOD) - 3)
    assert len(filled) == mta_sts.MAX_POLICY_OCTETS
    assert parse(filled).mode == "enforce"
    assert parse(GOOD.replace(b"604800", b"9" * 50)).max_age_s == mta_sts.MAX_AGE_S
    many = b"".join(b"mx: h%d.example\n" % n for n in range(mta_sts.MAX_PATTERNS + 1))
    assert len(parse(b"version: STSv1\nmode: testing\nmax_age: 1\n" + many).mx) == mta_sts.MAX_PATTERNS


def test_hosts_are_allowed_by_name_or_by_one_label() -> None:
    # RFC 8461 section 4.1
    policy = parse(GOOD)
    assert policy.allows("MX1.example.net")
    assert policy.allows("any.example.org")
    for host in ("example.org", "a.b.example.org", "mx2.example.net", "xmx1.example.net"):
        assert not policy.allows(host)
