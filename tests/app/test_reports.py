"""Yesterday's reports: to whom, once, within limits, and not while the DNS is silent."""

from __future__ import annotations

import asyncio
import email
import email.policy
import gzip
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dkim
import msgspec
import pytest

from mailstack.app.reports import Reports, forget_old
from mailstack.delivery.queue import Queue
from mailstack.delivery.report_documents import dmarc_xml
from mailstack.model.verdict import PublishedPolicy
from mailstack.net.resolver import TableResolver
from mailstack.state.dmarc_facts import DmarcFact, DmarcFacts, DomainFacts
from mailstack.state.maillog import MailLog
from mailstack.state.report_ledger import ReportLedger
from mailstack.state.senders import LongSenders
from mailstack.state.tls_facts import TlsFact, TlsFacts, TlsPolicy, day_of
from tests.kit import dmarc_schema
from tests.kit.authority import Authority
from tests.kit.clock import Clock
from tests.kit.instance import Instance, new_instance
from tests.kit.ports import free_port

DAY_S = 86_400
FACT = DmarcFact("203.0.113.9", "none", "fail", "fail", "far.test")


def policy(domain: str = "far.test", rua: str = "mailto:dmarc@far.test") -> PublishedPolicy:
    return PublishedPolicy(domain, "none", rua, domain)


class Desk:
    """The queue daemon's reports, over a real queue and directory."""

    def __init__(self, instance: Instance, **options: Any) -> None:
        self.instance = instance
        config = instance.config
        self.config = msgspec.structs.replace(
            config,
            reports=msgspec.structs.replace(config.reports, **{"spread_s": 0.0, "send_minute": 0, **options}),
        )
        self.clock = Clock()
        self.dns: dict[str, dict[str, Any]] = {}
        self.day = day_of(self.clock())
        paths = config.paths
        self.dmarc, self.tls, self.ledger = (
            DmarcFacts(paths.state_db),
            TlsFacts(paths.state_db),
            ReportLedger(paths.state_db),
        )
        self.queue = Queue(paths, now=self.clock, random_bytes=os.urandom, options=config.queue)
        self.directory = instance.reader()
        self.log = MailLog(None, daemon="queue", now=self.clock, stream=open(os.devnull, "w"))  # noqa: SIM115
        self.reports = self.again()

    def again(self) -> Reports:
        """What a restarted daemon has."""
        return Reports(
            self.config,
            self.directory,
            self.queue,
            dns=TableResolver(self.dns),
            maillog=self.log,
            long_senders=LongSenders(self.config.paths.state_db, valid_days=10),
            now=self.clock,
        )

    def count(self, *policies: PublishedPolicy, fact: DmarcFact = FACT) -> None:
        """A message today about each; then it is tomorrow."""
        self.dmarc.note(dict.fromkeys([(one, fact) for one in policies], 1), at=self.clock())
        self.tomorrow()

    def count_tls(self, *domains: str) -> None:
        self.tls.note([TlsFact(TlsPolicy(domain)) for domain in domains], at=self.clock())
        self.tomorrow()

    def tomorrow(self) -> None:
        self.clock.advance(DAY_S)

    def queued(self) -> list[tuple[str, str, bytes]]:
        """Recipient, envelope sender, octets."""
        rows = self.queue.read(
            "SELECT r.address, m.sender, m.id, r.notify FROM recipient r JOIN message m ON m.id = r.message"
            " ORDER BY r.address"
        )
        assert all(row[3] == "NEVER" for row in rows)
        return [(str(to), str(sender), self.octets(str(id_))) for to, sender, id_, _ in rows]

    def octets(self, queue_id: str) -> bytes:
        size = int(str(self.queue.read("SELECT size_octets FROM message WHERE id = ?", (queue_id,))[0][0]))
        return self.queue.spool.path(queue_id).read_bytes()[:size]

    @property
    def recipients(self) -> list[str]:
        return [to for to, _, _ in self.queued()]

    def said(self, domain: str = "") -> list[tuple[str, str, str]]:
        return [(row.target, row.outcome, row.why) for row in self.ledger.listed(domain=domain)]

    def close(self) -> None:
        for one in (self.dmarc, self.tls, self.ledger, self.reports, self.queue, self.directory):
            one.close()


@asynccontextmanager
async def opened(folder: Path, **options: Any) -> AsyncIterator[Desk]:
    desk = Desk(new_instance(folder), **options)
    yield desk
    desk.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as desk:
        yield desk


def document(octets: bytes) -> bytes:
    message = email.message_from_bytes(octets, policy=email.policy.default)
    *_, attachment = message.iter_parts()
    return gzip.decompress(attachment.get_content())


def is_signed(desk: Desk, octets: bytes, *, tlsrpt: bool = False) -> bool:
    published = desk.instance.cli("domain", "dns", "example.test", "--json").json["records"]
    records = {f"{one['name']}.": one["value"] for one in published if "_domainkey" in one["name"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dkim.time, "time", desk.clock)  # a signature ends
        return bool(
            dkim.verify(
                octets,
                dnsfunc=lambda name, timeout=5: records[name.decode()].encode(),
                tlsrpt=tlsrpt,
            )
        )


async def test_yesterdays_dmarc_report_goes_out_once_signed_and_with_nobody_to_answer(desk: Desk) -> None:
    desk.count(policy())
    assert await desk.reports.round() == 1
    [(to, sender, octets)] = desk.queued()
    assert (to, sender) == ("dmarc@far.test", "")
    assert is_signed(desk, octets)
    root = dmarc_schema.check(document(octets))
    assert root.findtext(".//{*}record/{*}row/{*}count") == "1"
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert message["From"].addresses[0].addr_spec == "postmaster@example.test"
    assert await desk.reports.round() == 0
    assert desk.said() == [("", "settled", ""), ("mailto:dmarc@far.test", "queued", "")]


async def test_today_is_not_reported_and_long_ago_is_not_either(desk: Desk) -> None:
    desk.dmarc.note({(policy(), FACT): 1}, at=desk.clock())
    assert await desk.reports.round() == 0
    desk.clock.advance(3 * DAY_S)
    assert await desk.reports.round() == 0


async def test_a_restart_sends_nothing_twice(desk: Desk) -> None:
    # The message is durable, and then the power fails before the ledger knows.
    desk.count(policy())
    await desk.reports.round()
    desk.ledger.forget(before="9999")
    await desk.again().round()
    assert desk.recipients == ["dmarc@far.test"]
    # Also when it has left already.
    queue_id = desk.queue.read("SELECT id FROM message")[0][0]
    desk.ledger.forget(before="9999")
    desk.queue.write(lambda connection: connection.execute("DELETE FROM message").rowcount)
    desk.queue.write(
        lambda connection: (
            connection.execute("INSERT INTO finished (id, at) VALUES (?, ?)", (queue_id, 1.0)).rowcount
        )
    )
    desk.queue.spool.discard([str(queue_id)])
    assert await desk.again().round() == 1
    assert desk.recipients == []


async def test_strangers_get_reports_only_when_they_agreed(desk: Desk) -> None:
    # RFC 9990 section 4; T29
    desk.dns["agreed.test._report._dmarc.collector.test"] = {"TXT": ["v=DMARC1"]}
    desk.count(
        policy("agreed.test", "mailto:x@collector.test"),
        policy("victim.test", "mailto:x@collector.test,mailto:own@victim.test"),
    )
    await desk.reports.round()
    assert desk.recipients == ["own@victim.test", "x@collector.test"]
    [(_, outcome, why)] = [row for row in desk.said("victim.test") if row[0] == "mailto:x@collector.test"]
    assert outcome == "skipped"
    assert "victim.test._report._dmarc.collector.test" in why


async def test_what_the_dns_does_not_answer_is_asked_again_and_not_for_ever(desk: Desk) -> None:
    name = "far.test._report._dmarc.collector.test"
    desk.dns[name] = {"TXT": "SERVFAIL"}
    desk.count(policy(rua="mailto:x@collector.test,mailto:dmarc@far.test"))
    assert await desk.reports.round() == 1
    assert desk.recipients == ["dmarc@far.test"]
    assert await desk.reports.round() == 0  # not yet
    desk.clock.advance(301)
    assert await desk.reports.round() == 1
    desk.dns[name] = {"TXT": ["v=DMARC1"]}
    desk.clock.advance(901)
    assert await desk.reports.round() == 1
    assert desk.recipients == ["dmarc@far.test", "x@collector.test"]
    assert desk.said()[0] == ("", "settled", "")


async def test_a_resolver_that_is_down_for_days_ends_it(desk: Desk) -> None:
    desk.dns["_dmarc.collector.test"] = {"TXT": "SERVFAIL"}
    desk.count(policy(rua="mailto:x@collector.test"))
    for _ in range(20):
        await desk.reports.round()
        desk.clock.advance(4 * 3_600)
    assert desk.recipients == []
    assert desk.said()[0] == ("", "settled", "the DNS does not answer now")


async def test_domains_that_opted_out_and_those_that_only_report_get_none(tmp_path: Path) -> None:
    async with opened(tmp_path, opt_out=("Quiet.test",)) as desk:
        desk.dmarc.note({(policy("mail.quiet.test", "mailto:x@mail.quiet.test"), FACT): 1}, at=desk.clock())
        desk.count(policy(), fact=msgspec.structs.replace(FACT, is_report=True))
        assert await desk.reports.round() == 2
        assert desk.recipients == []
        assert {why for _, _, why in desk.said()} == {
            "reports.opt_out names it",
            "nothing but reports came from it",
        }


async def test_sizes_and_numbers_are_limited(tmp_path: Path) -> None:
    async with opened(tmp_path, targets=2, per_day=1) as desk:
        desk.count(policy(rua="mailto:small@far.test!1k,mailto:a@far.test!1m,mailto:b@far.test"))
        desk.clock.advance(-DAY_S)
        desk.count(policy("near.test", "mailto:x@near.test"))
        assert await desk.reports.round() == 1
        assert desk.recipients == ["a@far.test"]
        assert "more than the 1024 allowed" in str(desk.said("far.test"))
        assert await desk.reports.round() == 0


async def test_a_report_about_a_domain_of_ours_is_delivered_here(desk: Desk) -> None:
    with desk.instance.writer() as writer:
        writer.accounts.add("alice@example.test")
    own = policy("example.test", "mailto:alice@example.test,mailto:nobody@example.test")
    desk.count(own)
    await desk.reports.round()
    assert desk.queue.read("SELECT address, kind FROM recipient") == [("alice@example.test", "local")]
    assert "leads nowhere" in str(desk.said())


async def test_without_a_key_nothing_is_sent(tmp_path: Path) -> None:
    async with opened(tmp_path, sender="reports@elsewhere.test") as desk:
        desk.count(policy())
        assert await desk.reports.round() == 0
        assert desk.recipients == []


async def test_tls_reports_go_by_mail(desk: Desk) -> None:
    desk.dns["_smtp._tls.far.test"] = {"TXT": ["v=TLSRPTv1; rua=mailto:tls@far.test"]}
    desk.count_tls("far.test", "mute.test")
    assert await desk.reports.round() == 2
    [(to, sender, octets)] = desk.queued()
    assert (to, sender) == ("tls@far.test", "")
    assert is_signed(desk, octets, tlsrpt=True)
    assert b"\r\nTLS-Required: No\r\n" in octets
    assert json.loads(document(octets))["policies"][0]["summary"]["total-successful-session-count"] == 1
    assert desk.said("mute.test") == [("", "settled", "its record names nobody who could be sent a report")]


@asynccontextmanager
async def collector(folder: Path, statuses: list[int], got: list[bytes]) -> AsyncIterator[tuple[int, str]]:
    """An HTTPS server; gives its port and whom to trust."""
    root = Authority("root")
    chain, key = root.issue("collect.test").write(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        got.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % statuses.pop(0))
        await writer.drain()
        writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)
    try:
        yield port, chain
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("target", ["mailto:me{n}@victim.test", "https://victim.test/{n}"])
async def test_t29_domains_without_number_do_not_flood_a_stranger(tmp_path: Path, target: str) -> None:
    # Subdomains cost their owner nothing; each names the same victim in its TLSRPT record.
    async with opened(tmp_path, per_stranger=3) as desk:
        names = [f"d{n}.evil.test" for n in range(6)]
        for n, name in enumerate(names):
            desk.dns[f"_smtp._tls.{name}"] = {"TXT": [f"v=TLSRPTv1; rua={target.format(n=n)}"]}
        desk.dns["_smtp._tls.own.test"] = {"TXT": ["v=TLSRPTv1; rua=mailto:tls@own.test"]}
        desk.count_tls(*names, "own.test")
        for n in range(3) if "https" in target else ():
            desk.ledger.note(
                "tls", desk.day, f"x{n}", f"https://victim.test:444/{n}", outcome="uploaded", now=0
            )
        await desk.reports.round()
        strangers = [said for said in desk.said() if said[0].startswith(target[:6])]
        assert sum(to.endswith("@victim.test") for to in desk.recipients) == (3 if "mailto" in target else 0)
        assert sum("has had 3 reports about others" in why for _, _, why in strangers) == (
            3 if "mailto" in target else 6
        )
        assert "tls@own.test" in desk.recipients


async def test_tls_reports_go_by_https_and_are_tried_again(tmp_path: Path) -> None:
    # RFC 8460 section 5.4
    got: list[bytes] = []
    async with opened(tmp_path, https_allow_private=True) as desk, collector(tmp_path, [503, 201], got) as at:
        port, trusted = at
        queue = msgspec.structs.replace(desk.config.queue, ca_file=trusted)
        desk.config = msgspec.structs.replace(desk.config, queue=queue)
        desk.dns["collect.test"] = {"A": ["127.0.0.1"]}
        desk.dns["_smtp._tls.far.test"] = {"TXT": [f"v=TLSRPTv1; rua=https://collect.test:{port}/v1"]}
        desk.count_tls("far.test")
        reports = desk.again()
        assert await reports.round() == 1
        assert ("waiting", "collect.test answered 503") in [row[1:] for row in desk.said()]
        desk.clock.advance(301)
        assert await reports.round() == 1
        assert await reports.round() == 0
        reports.close()
        first, second = got
        assert first == second
        assert b"POST /v1 HTTP/1.1\r\n" in second
        assert b"Content-Type: application/tlsrpt+gzip\r\n" in second
        report = json.loads(gzip.decompress(second.partition(b"\r\n\r\n")[2]))
        assert report["policies"][0]["policy"]["policy-domain"] == "far.test"
        assert (f"https://collect.test:{port}/v1", "uploaded", "") in desk.said()


async def test_private_addresses_are_not_uploaded_to(desk: Desk) -> None:
    # T86
    desk.dns["collect.test"] = {"A": ["127.0.0.1"]}
    desk.dns["_smtp._tls.far.test"] = {"TXT": ["v=TLSRPTv1; rua=https://collect.test/v1"]}
    desk.count_tls("far.test")
    await desk.reports.round()
    assert ("https://collect.test/v1", "waiting", "collect.test has no public address") in desk.said()


async def test_old_facts_and_notes_go(desk: Desk) -> None:
    desk.count(policy())
    await desk.reports.round()
    context: Any = SimpleNamespace(config=desk.config, paths=desk.config.paths, now=desk.clock)
    assert forget_old(context) == 0
    desk.clock.advance(20 * DAY_S)
    assert forget_old(context) == 4


async def test_reports_are_spread_over_the_night(tmp_path: Path) -> None:
    async with opened(tmp_path, spread_s=14_400.0, send_minute=30) as desk:
        desk.clock.advance(DAY_S - desk.clock() % DAY_S)  # midnight
        desk.count(*(policy(f"d{n}.test", f"mailto:x@d{n}.test") for n in range(40)))
        desk.clock.advance(-(desk.clock() % DAY_S))
        assert await desk.reports.round() == 0
        desk.clock.advance(1_800 + 7_200)
        some = await desk.reports.round()
        assert 5 < some < 35
        desk.clock.advance(7_201)
        assert some + await desk.reports.round() == 40


async def test_two_daemons_and_a_command_send_nothing_twice(desk: Desk) -> None:
    # Q20
    desk.count(*(policy(f"d{n}.test", f"mailto:x@d{n}.test") for n in range(5)))
    others = [desk.again() for _ in range(3)]
    await asyncio.gather(*(one.round() for one in others), others[0].send(desk.day))
    assert desk.recipients == [f"x@d{n}.test" for n in range(5)]
    assert all(
        desk.queue.spool.path(str(row[0])).exists() for row in desk.queue.read("SELECT id FROM message")
    )
    for one in others:
        one.close()


async def test_a_domain_that_makes_us_fail_costs_no_other_its_report(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dmarc_xml

    def write(facts: DomainFacts, *others: Any) -> bytes:
        if facts.published.domain == "bad.test":
            raise RuntimeError("a mistake")
        return real(facts, *others)

    monkeypatch.setattr("mailstack.delivery.report_documents.dmarc_xml", write)
    desk.count(policy("bad.test", "mailto:x@bad.test"), policy("far.test"))
    assert await desk.reports.round() == 2
    assert desk.recipients == ["dmarc@far.test"]
    assert desk.said("bad.test") == [("", "settled", "an error of ours, see the daemon's log")]
    assert await desk.reports.round() == 0
