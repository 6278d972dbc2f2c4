"""Which messages are counted for DMARC reports, and as what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from mailstack.app.dmarc_counting import MAX_PENDING, DmarcCounting, fact_of, is_report
from mailstack.app.mail import Mail
from mailstack.app.report_options import ReportOptions
from mailstack.model.address import Address
from mailstack.model.envelope import Body, Client, Envelope, Recipient
from mailstack.model.reply import Reply
from mailstack.model.verdict import (
    Authentication,
    DkimResult,
    DmarcResult,
    FilterAnswer,
    MessageVerdict,
    PublishedPolicy,
    SpfResult,
)
from mailstack.state import statedb
from mailstack.state.dmarc_facts import DmarcFact, DmarcFacts, Signature
from mailstack.state.tls_facts import day_of

NOW = 1_790_000_000.0
OK, REFUSED, LATER = Reply(250, "0.0", "Ok"), Reply(550, "7.1", "no"), Reply(451, "7.1", "later")
POLICY = PublishedPolicy("far.test", "reject", "mailto:dmarc@far.test", "far.test")
PASSED = Authentication(
    SpfResult("pass", "bounces.far.test"),
    dkim=(
        DkimResult("fail", "list.test", "s9", "the body has changed"),
        DkimResult("pass", "other.test", "s2"),
        DkimResult("pass", "far.test", "s1"),
    ),
    dmarc=DmarcResult("pass", "far.test", "reject", "none", "", POLICY, True, True),
)


def mail_of(found: Authentication, *, ip: str = "198.51.100.7", sender: str = "x@bounces.far.test") -> Mail:
    envelope = Envelope(
        accept_id="1",
        client=Client(ip, 25),
        reverse_path=Address.parse(sender) if sender else None,
        recipients=(Recipient(Address.parse("you@example.test"), 1),),
        received_at=NOW,
    )
    mail = Mail(envelope, Body(b"", size_octets=0), None)
    mail.answer = FilterAnswer(MessageVerdict(authentication=found))
    return mail


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[tuple[DmarcCounting, DmarcFacts]]:
    statedb.migrate(tmp_path / "state.db")
    with ThreadPoolExecutor(1) as disk:
        counting = DmarcCounting(tmp_path / "state.db", ReportOptions(), now=lambda: NOW, disk=disk)
        counting.start()
        yield counting, DmarcFacts(tmp_path / "state.db")
        await counting.close()


def rows(facts: DmarcFacts) -> list[tuple[DmarcFact, int]]:
    found = facts.of(day_of(NOW), "far.test")
    return [] if found is None else list(found.rows)


async def test_a_message_is_a_row_with_the_author_s_signature_first(
    kit: tuple[DmarcCounting, DmarcFacts],
) -> None:
    # RFC 9990 section 2.1.4
    counting, facts = kit
    for _ in range(3):
        counting.count(mail_of(PASSED), OK)
    await counting.write()
    fact = DmarcFact(
        "198.51.100.7",
        "pass",
        "pass",
        "pass",
        "far.test",
        "bounces.far.test",
        signatures=(
            Signature("far.test", "s1", "pass"),
            Signature("other.test", "s2", "pass"),
            Signature("list.test", "s9", "fail", "the body has changed"),
        ),
        spf_domain="bounces.far.test",
        spf_result="pass",
    )
    assert rows(facts) == [(fact, 3)]


async def test_refused_mail_counts_and_mail_that_comes_again_does_not(
    kit: tuple[DmarcCounting, DmarcFacts],
) -> None:
    counting, facts = kit
    failed = DmarcResult("fail", "far.test", "reject", "reject", "no signature", POLICY)
    counting.count(mail_of(Authentication(dmarc=failed)), REFUSED)
    counting.count(mail_of(Authentication(dmarc=failed)), LATER)
    await counting.write()
    assert [(fact.disposition, fact.override, n) for fact, n in rows(facts)] == [("reject", "", 1)]


async def test_what_was_filed_although_the_policy_says_reject_says_why(
    kit: tuple[DmarcCounting, DmarcFacts],
) -> None:
    counting, facts = kit
    failed = DmarcResult("fail", "far.test", "reject", "reject", "no signature", POLICY)
    forwarded = msgspec.structs.replace(
        failed, disposition="quarantine", override="mailing_list", override_why="it came through a list"
    )
    counting.count(mail_of(Authentication(dmarc=failed)), OK)
    counting.count(mail_of(Authentication(dmarc=forwarded)), OK)
    await counting.write()
    found = sorted((fact.disposition, fact.override, fact.comment) for fact, _ in rows(facts))
    assert found == [
        ("quarantine", "local_policy", "it was filed as spam, because refusing would bounce it"),
        ("quarantine", "mailing_list", "it came through a list"),
    ]


async def test_domains_that_want_no_report_and_unknown_clients_are_not_counted(
    kit: tuple[DmarcCounting, DmarcFacts],
) -> None:
    counting, facts = kit
    counting.count(mail_of(Authentication(dmarc=DmarcResult("pass", "far.test", "none"))), OK)
    counting.count(mail_of(PASSED, ip=""), OK)
    await counting.write()
    assert facts.days() == []


async def test_what_waits_to_be_written_is_limited(kit: tuple[DmarcCounting, DmarcFacts]) -> None:
    counting, _ = kit
    for number in range(MAX_PENDING + 10):
        counting.count(mail_of(PASSED, ip=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), OK)
    assert len(counting._pending) == MAX_PENDING


async def test_a_lost_database_costs_counts_and_nothing_else(tmp_path: Path) -> None:
    # F9
    with ThreadPoolExecutor(1) as disk:
        options = ReportOptions(flush_s=60.0)
        counting = DmarcCounting(tmp_path / "none" / "state.db", options, now=lambda: NOW, disk=disk)
        counting.start()
        counting.count(mail_of(PASSED), OK)
        await counting.write()
        await counting.close()


def test_reports_are_recognised_by_their_header() -> None:
    assert is_report(b"Subject: Report Domain: a.test Submitter: b.test Report-ID: <1@b.test>\r\n")
    assert is_report(b'Content-Type: multipart/report; report-type="tlsrpt"; boundary=x\r\n')
    assert not is_report(b"Subject: report\r\n")


def test_a_null_sender_has_no_envelope_domain() -> None:
    assert fact_of(mail_of(PASSED, sender=""), is_taken=True).envelope_from == ""
