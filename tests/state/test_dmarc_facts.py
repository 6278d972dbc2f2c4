"""What DMARC reports are made of: counted by day and domain, within limits."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mailstack.model.verdict import PublishedPolicy
from mailstack.state import statedb
from mailstack.state.dmarc_facts import DmarcFact, DmarcFacts, DomainFacts, Signature
from mailstack.state.tls_facts import day_of

NOW = 1_790_000_000.0
DAY = day_of(NOW)
POLICY = PublishedPolicy("example.net", "reject", "mailto:dmarc@example.net", "example.net")
GOOD = DmarcFact("192.0.2.1", "pass", "pass", "pass", "example.net", "example.net")
FORGED = DmarcFact(
    "203.0.113.9",
    "quarantine",
    "fail",
    "fail",
    "example.net",
    override="mailing_list",
    signatures=(Signature("list.example.org", "s1", "pass"),),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    statedb.migrate(tmp_path / "state.db")
    return tmp_path / "state.db"


def test_messages_that_are_alike_are_one_row_for_all_workers(path: Path) -> None:
    one, other = DmarcFacts(path), DmarcFacts(path)
    one.note({(POLICY, GOOD): 2, (POLICY, FORGED): 1}, at=NOW)
    other.note({(POLICY, GOOD): 5}, at=NOW + 60)
    assert one.days() == [DAY]
    assert one.domains(DAY) == ["example.net"]
    found = one.of(DAY, "example.net")
    assert found == DomainFacts(POLICY, ((GOOD, 7), (FORGED, 1)))
    assert found.messages == 8


def test_a_policy_that_changes_during_the_day_is_reported_as_it_was_last(path: Path) -> None:
    # RFC 9990 section 2.3
    facts = DmarcFacts(path)
    later = msgspec.structs.replace(POLICY, p="none", rua="mailto:other@example.net")
    facts.note({(POLICY, GOOD): 1}, at=NOW)
    facts.note({(later, GOOD): 1}, at=NOW + 1)
    assert facts.of(DAY, "example.net") == DomainFacts(later, ((GOOD, 2),))


def test_days_are_kept_apart_and_forgotten(path: Path) -> None:
    facts = DmarcFacts(path)
    facts.note({(POLICY, GOOD): 1}, at=NOW)
    facts.note({(POLICY, GOOD): 1}, at=NOW + 86_400)
    assert facts.days() == [DAY, day_of(NOW + 86_400)]
    assert facts.forget(before=day_of(NOW + 86_400)) == 2
    assert facts.of(DAY, "example.net") is None
    assert facts.days() == [day_of(NOW + 86_400)]


def test_rows_of_a_domain_are_limited_and_known_ones_go_on_counting(path: Path) -> None:
    facts = DmarcFacts(path, rows=2)
    rows = {(POLICY, msgspec.structs.replace(GOOD, envelope_from=f"n{n}.example")): 1 for n in range(3)}
    assert facts.note(rows, at=NOW) == 1
    assert facts.note(rows, at=NOW) == 1
    found = facts.of(DAY, "example.net")
    assert found is not None
    assert [messages for _, messages in found.rows] == [2, 2]


def test_domains_of_a_day_are_limited(path: Path) -> None:
    facts = DmarcFacts(path, domains=2)
    counts = {(msgspec.structs.replace(POLICY, domain=f"d{n}.example"), GOOD): 1 for n in range(4)}
    assert facts.note(counts, at=NOW) == 2
    assert facts.domains(DAY) == ["d0.example", "d1.example"]


def test_rows_of_a_day_are_limited_over_all_domains(path: Path) -> None:
    # P9: domains cost a stranger nothing.
    facts = DmarcFacts(path, rows_per_day=3)
    counts = {(msgspec.structs.replace(POLICY, domain=f"d{n}.example"), GOOD): 1 for n in range(5)}
    assert facts.note(counts, at=NOW) == 2
    assert facts.note(counts, at=NOW) == 2
    assert facts.note(counts, at=NOW + 86_400) == 2
