"""What outbound TLS came to: counted by day, domain and policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.model.errors import TemporaryFailure
from mailstack.state import statedb, tls_facts
from mailstack.state.tls_facts import PolicyFacts, TlsFact, TlsFacts, TlsFailures, TlsPolicy, day_of

NOW = 1_790_000_000.0
STS = TlsPolicy(
    "example.net", "sts", ("version: STSv1", "mode: enforce", "mx: mx.example.net"), ("mx.example.net",)
)
NONE = TlsPolicy("example.net")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    statedb.migrate(tmp_path / "state.db")
    return tmp_path / "state.db"


def bad(reason: str = "self-signed", host: str = "mx.example.net") -> TlsFact:
    return TlsFact(STS, "certificate-not-trusted", host, "192.0.2.1", "192.0.2.25", reason)


def test_sessions_are_counted_by_policy_with_their_failures(path: Path) -> None:
    facts, other = TlsFacts(path), TlsFacts(path)
    facts.note([TlsFact(STS, mx_host="mx.example.net"), bad(), bad()], at=NOW)
    other.note([TlsFact(STS), TlsFact(NONE, "starttls-not-supported", "mx.example.net")], at=NOW)
    day = day_of(NOW)
    assert facts.days() == [day]
    assert facts.domains(day) == ["example.net"]
    failed = TlsFailures(
        "certificate-not-trusted", "mx.example.net", "192.0.2.1", "192.0.2.25", "self-signed", 2
    )
    assert facts.of(day, "example.net") == (
        PolicyFacts(STS, 2, (failed,)),
        PolicyFacts(NONE, 0, (TlsFailures("starttls-not-supported", "mx.example.net", "", "", "", 1),)),
    )
    assert facts.of(day, "example.net")[0].failed == 2
    facts.close()
    other.close()


def test_a_day_is_a_day_in_utc_and_goes_as_a_whole(path: Path) -> None:
    # RFC 8460 section 4.1
    facts = TlsFacts(path)
    facts.note([TlsFact(NONE)], at=NOW)
    facts.note([TlsFact(NONE), bad()], at=NOW - 86_400)
    today, yesterday = day_of(NOW), day_of(NOW - 86_400)
    assert facts.days() == [yesterday, today]
    assert facts.forget(before=today) == 3
    assert facts.days() == [today]
    assert facts.of(yesterday, "example.net") == ()


def test_what_a_domain_can_make_grow_ends_somewhere(path: Path) -> None:
    facts = TlsFacts(path)
    day = day_of(NOW)
    facts.note([bad(f"reason {n}") for n in range(tls_facts.MAX_DETAILS + 5)], at=NOW)
    (one,) = facts.of(day, "example.net")
    assert one.failed == tls_facts.MAX_DETAILS + 5
    assert len(one.failures) == tls_facts.MAX_DETAILS + 1
    assert one.failures[0] == TlsFailures("certificate-not-trusted", "", "", "", "", 5)
    policies = [
        TlsPolicy("many.example", "sts", (f"mx: {n}.example",)) for n in range(tls_facts.MAX_POLICIES + 1)
    ]
    facts.note([TlsFact(policy) for policy in policies], at=NOW)
    assert len(facts.of(day, "many.example")) == tls_facts.MAX_POLICIES
    long = TlsFact(
        TlsPolicy("long.example", "sts", ("x" * tls_facts.MAX_STRING_OCTETS, "y")),
        "tlsa-invalid",
        reason="é" * 999,
    )
    facts.note([long], at=NOW)
    (kept,) = facts.of(day, "long.example")
    assert kept.policy.strings == ("x" * tls_facts.MAX_STRING_OCTETS,)
    assert kept.failures[0].reason == "é" * (tls_facts.MAX_REASON_OCTETS // 2)


def test_a_database_that_is_not_there_is_trouble(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure):
        TlsFacts(tmp_path / "nowhere" / "state.db").days()
