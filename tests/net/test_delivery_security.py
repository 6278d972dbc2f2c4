"""DANE, MTA-STS and the rest, over real sockets: DNS, HTTPS and SMTP servers on loopback.

L13 to L16 of the faults by id.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mailstack.delivery import ratchet
from mailstack.delivery.options import Route
from mailstack.delivery.security_options import OutboundTlsOptions
from mailstack.delivery.spool import Content
from mailstack.net.dns_options import DnsOptions
from mailstack.net.mta_sts_fetch import StsSource
from mailstack.net.resolver import Resolver
from mailstack.net.smtp_delivery import SmtpDelivery, Trial
from mailstack.net.smtp_opening import Seen, Watch
from mailstack.state import statedb
from mailstack.state.sts_policies import KeptPolicy, StsPolicies
from tests.kit.authority import Authority, Issued
from tests.kit.dns_server import DnsServer
from tests.kit.mta import Kind, running_mta
from tests.kit.policy_server import HANG, PolicyServer, answer, policy
from tests.kit.queue_engine import running
from tests.kit.queues import MESSAGE
from tests.kit.smtp_delivery import OPTIONS, entry
from tests.kit.smtp_sink import EXTENSIONS, SmtpSink

HOST = "mx.y.test"
ROOT = Authority("root")
GOOD = ROOT.issue(HOST)
WRONG = ROOT.issue("other.test")
OLD = ROOT.issue(HOST, days=-1)
STRANGE = Authority("stranger").issue(HOST)
TLS_EXTENSIONS = (*EXTENSIONS, "STARTTLS")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class World:
    """Everything a delivery to b@y.test meets."""

    folder: Path
    table: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    now: float = 1_790_000_000.0

    def __post_init__(self) -> None:
        self.now = time.time()
        self.table = {
            "y.test": {"MX": [[10, HOST]]},
            HOST: {"A": ["127.0.0.1"]},
            "mta-sts.y.test": {"A": ["127.0.0.1"]},
        }
        statedb.migrate(self.folder / "state.db")
        self.ca_file = ROOT.write(self.folder)
        self.count = 0

    def sink(self, issued: Issued | None = GOOD, **facts: Any) -> SmtpSink:
        self.count += 1
        tls = issued.write(self.folder, f"sink{self.count}") if issued is not None else None
        offered = EXTENSIONS if issued is None else TLS_EXTENSIONS
        return SmtpSink(tls=tls, **{"extensions": offered, **facts})

    def policies(self, text: bytes, issued: Issued | None = None) -> PolicyServer:
        """Serves a policy, and says so in DNS."""
        self.count += 1
        self.says_id("1")
        by = issued or ROOT.issue("mta-sts.y.test")
        return PolicyServer(by.server_context(self.folder, f"web{self.count}"), text)

    def says_id(self, number: str) -> None:
        self.table["_mta-sts.y.test"] = {"TXT": [f"v=STSv1; id={number};"]}

    def tlsa(self, sink: SmtpSink, *records: list[Any], host: str = HOST) -> None:
        self.table[f"_{sink.port}._tcp.{host}"] = {"TLSA": list(records)}

    @asynccontextmanager
    async def delivery(
        self,
        sink: SmtpSink,
        *,
        web: PolicyServer | None = None,
        signed: bool = True,
        queue: dict[str, Any] | None = None,
        **options: Any,
    ) -> AsyncIterator[SmtpDelivery]:
        with DnsServer(self.table, authentic=signed) as server:
            server.ttl_s = 0
            resolver = Resolver(DnsOptions(servers=(server.address,), min_ttl_s=0, negative_ttl_s=0))
            values = {"mta_sts_port": web.port if web else 1, "mta_sts_allow_private": True, **options}
            tls = OutboundTlsOptions(**values)
            table = StsPolicies(self.folder / "state.db")
            sts = StsSource(
                tls,
                dns=resolver,
                table=table,
                now=lambda: self.now,
                note=lambda fact: self.seen.append(Seen(fact.policy.domain, "", fact)),
                ca_file=self.ca_file,
            )
            made = SmtpDelivery(
                replace(OPTIONS, **{"port": sink.port, "ca_file": self.ca_file, **(queue or {})}),
                helo="us.test",
                dns=resolver,
                chance=lambda: 0.5,
                watch=Watch(tls, sts=sts if tls.mta_sts else None, note=self.seen.append),
            )
            self.dns = server
            try:
                yield made
            finally:
                await made.close()
                await sts.close()
                await resolver.close()
                table.close()

    async def send(
        self, sink: SmtpSink, *, message: bytes = MESSAGE, facts: dict[str, Any] | None = None, **how: Any
    ) -> Trial:
        async with self.delivery(sink, **how) as made:
            return await made.deliver(entry(**(facts or {})), Content(message, Path("unused"), len(message)))

    def results(self) -> list[tuple[str, str]]:
        """Policy and result of every session that was told."""
        return [(one.fact.policy.kind, one.fact.result) for one in self.seen if one.fact is not None]

    def levels(self) -> list[int]:
        return [one.level for one in self.seen if one.level is not None]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield World(tmp_path)


def said(trial: Trial) -> str:
    reply = trial.recipients[0].answer.reply
    return f"{reply.code} {reply.code // 100}.{reply.status}"


NO_TLS: dict[str, Any] = {"issued": None}
REFUSES: dict[str, Any] = {"replies": {"starttls": "454 4.7.0 not now"}}
INJECTS: dict[str, Any] = {"replies": {"starttls": b"220 ok\r\n250 injected\r\n"}}


# -- nobody asks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issued", "level"),
    [(GOOD, ratchet.VERIFIED), (WRONG, ratchet.MODERN), (STRANGE, ratchet.MODERN), (None, ratchet.CLEAR)],
    ids=["good", "wrong name", "unknown authority", "clear"],
)
async def test_where_nobody_asks_mail_goes_as_well_as_it_can(
    world: World, issued: Issued | None, level: int
) -> None:
    with world.sink(issued) as sink:
        assert said(await world.send(sink)) == "250 2.0.0"
    assert world.levels() == [level]
    assert world.results() == [("no-policy-found", "" if issued else "starttls-not-supported")]
    fact = world.seen[0].fact
    assert fact is not None
    assert (fact.our_ip, fact.their_ip, fact.mx_host) == ("127.0.0.1", "127.0.0.1", HOST)


async def test_l13_a_handshake_that_fails_is_followed_by_clear_text_where_nobody_asks(world: World) -> None:
    with world.sink(
        replies={"starttls": b"220 ok\r\n"}, tls_context=None, issued=None, extensions=TLS_EXTENSIONS
    ) as sink:
        assert said(await world.send(sink)) == "250 2.0.0"
        assert sink.messages[0].tls == ""
    assert world.levels() == [ratchet.CLEAR]
    assert world.results() == [("no-policy-found", "validation-failure")]


# -- DANE ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issued", "record"),
    [
        (STRANGE, [3, 1, 1, sha256(STRANGE.spki)]),
        (OLD, [3, 0, 1, sha256(OLD.der)]),
        (GOOD, [2, 0, 1, sha256(ROOT.der)]),
        (STRANGE, [2, 0, 1, sha256(STRANGE.chain[1])]),
    ],
    ids=["3 1 1", "expired 3 0 1", "2 0 1", "own authority"],
)
async def test_a_certificate_that_signed_records_name_is_proof(
    world: World, issued: Issued, record: list[Any]
) -> None:
    with world.sink(issued) as sink:
        world.tlsa(sink, [3, 1, 1, "00" * 32], record)
        trial = await world.send(sink)
        assert said(trial) == "250 2.0.0"
        assert trial.recipients[0].tls.endswith(", DANE")
        assert sink.messages[0].tls
    assert world.results() == [("tlsa", "")]
    assert world.levels() == [ratchet.VERIFIED]


@pytest.mark.parametrize(
    ("facts", "result"),
    [
        ({"issued": GOOD}, "validation-failure"),
        (NO_TLS, "starttls-not-supported"),
        (REFUSES, "starttls-not-supported"),
        (
            {"issued": None, "replies": {"starttls": b"220 ok\r\n"}, "extensions": TLS_EXTENSIONS},
            "validation-failure",
        ),
    ],
    ids=["other certificate", "no TLS", "refuses TLS", "broken TLS"],
)
async def test_l13_without_the_tls_that_records_name_nothing_is_sent(
    world: World, facts: dict[str, Any], result: str
) -> None:
    with world.sink(**facts) as sink:
        world.tlsa(sink, [3, 1, 1, "00" * 32])
        trial = await world.send(sink)
        assert said(trial) == "451 4.7.5"
        assert "DANE: TLSA records of mx.y.test" in trial.recipients[0].answer.reply.text
        assert sink.all == []
    assert world.results() == [("tlsa", result)]
    assert world.levels() == []
    fact = world.seen[0].fact
    assert fact is not None
    assert (fact.our_ip, fact.their_ip) == ("127.0.0.1", "127.0.0.1")


async def test_l15_octets_between_starttls_and_handshake_end_the_session(world: World) -> None:
    with world.sink(**INJECTS) as sink:
        world.tlsa(sink, [3, 1, 1, sha256(GOOD.spki)])
        assert said(await world.send(sink)).startswith("451")
        assert sink.all == []


async def test_records_nobody_signed_bind_nobody(world: World) -> None:
    with world.sink(GOOD) as sink:
        world.tlsa(sink, [3, 1, 1, "00" * 32])
        assert said(await world.send(sink, signed=False)) == "250 2.0.0"
    assert world.results() == [("no-policy-found", "")]


async def test_records_that_cannot_be_used_want_tls_and_take_any_certificate(world: World) -> None:
    for issued, answered in ((STRANGE, "250 2.0.0"), (None, "451 4.7.5")):
        with world.sink(issued) as sink:
            world.tlsa(sink, [1, 1, 1, "00" * 32])
            assert said(await world.send(sink)) == answered
    assert world.results() == [("tlsa", ""), ("tlsa", "starttls-not-supported")]


async def test_records_that_cannot_be_had_stop_the_host_and_the_next_one_gets_the_mail(world: World) -> None:
    world.table["y.test"] = {"MX": [[10, HOST], [20, "mx2.y.test"]]}
    world.table["mx2.y.test"] = {"A": ["127.0.0.2"]}
    with world.sink(GOOD, host="0.0.0.0") as sink:
        world.table[f"_{sink.port}._tcp.{HOST}"] = {"TLSA": "SERVFAIL"}
        trial = await world.send(sink)
    assert said(trial) == "250 2.0.0"
    assert trial.recipients[0].host.startswith("mx2.y.test")
    assert world.results() == [("tlsa", "dnssec-invalid"), ("no-policy-found", "")]


async def test_the_operator_may_heed_no_records_and_routes_have_none(world: World) -> None:
    with world.sink(GOOD) as sink:
        world.tlsa(sink, [3, 1, 1, "00" * 32])
        assert said(await world.send(sink, dane=False)) == "250 2.0.0"
        route = Route(domain="y.test", host=HOST, port=sink.port)
        assert said(await world.send(sink, queue={"route": (route,)})) == "250 2.0.0"
        assert said(await world.send(sink, queue={"tls": "none"})) == "250 2.0.0"
    assert world.results() == [("no-policy-found", "")]


async def test_tls_required_no_goes_before_every_policy(world: World) -> None:
    # RFC 8689 section 4.2.2
    optional = b"TLS-Required: No\r\n" + MESSAGE
    with world.sink(GOOD) as sink:
        world.tlsa(sink, [3, 1, 1, "00" * 32])
        async with world.delivery(sink) as made:
            for message, answered in (
                (optional, "250 2.0.0"),
                (MESSAGE, "451 4.7.5"),
                (optional, "250 2.0.0"),
            ):
                trial = await made.deliver(entry(), Content(message, Path("unused"), len(message)))
                assert said(trial) == answered
    assert world.results() == [("tlsa", "validation-failure")]


async def test_requiretls_takes_dane_for_proof(world: World) -> None:
    # RFC 8689 section 4.2.1
    secured = (*EXTENSIONS, "REQUIRETLS")
    with world.sink(STRANGE, secured_extensions=secured) as sink:
        assert said(await world.send(sink, facts={"requiretls": True})) == "550 5.7.10"
        assert world.results() == []
        world.tlsa(sink, [3, 1, 1, sha256(STRANGE.spki)])
        assert said(await world.send(sink, facts={"requiretls": True})) == "250 2.0.0"
        assert "REQUIRETLS" in sink.messages[0].parameters["mail"]
        assert said(await world.send(sink, facts={"requiretls": True}, signed=False)) == "550 5.7.30"


# -- MTA-STS -------------------------------------------------------------------------------


async def test_an_enforced_policy_is_fetched_and_kept(world: World) -> None:
    with world.policies(policy("enforce", HOST)) as web, world.sink(GOOD) as sink:
        for _ in range(2):
            assert said(await world.send(sink, web=web, signed=False)) == "250 2.0.0"
        assert len(web.asked) == 1
        assert web.asked[0].startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.y.test")
    assert world.results() == [("sts", ""), ("sts", "")]
    assert world.levels() == [ratchet.VERIFIED] * 2


@pytest.mark.parametrize(
    ("facts", "result"),
    [
        ({"issued": WRONG}, "certificate-host-mismatch"),
        ({"issued": OLD}, "certificate-expired"),
        ({"issued": STRANGE}, "certificate-not-trusted"),
        (NO_TLS, "starttls-not-supported"),
        (REFUSES, "starttls-not-supported"),
    ],
    ids=["other name", "expired", "unknown authority", "no TLS", "refuses TLS"],
)
async def test_l14_without_a_good_certificate_nothing_is_sent_under_an_enforced_policy(
    world: World, facts: dict[str, Any], result: str
) -> None:
    with world.policies(policy("enforce", "*.y.test")) as web, world.sink(**facts) as sink:
        trial = await world.send(sink, web=web, signed=False)
        assert said(trial) == "451 4.7.5"
        assert "MTA-STS: policy of y.test, enforced" in trial.recipients[0].answer.reply.text
        assert sink.all == []
    assert world.results() == [("sts", result)]


async def test_l14_the_report_names_the_reason(world: World) -> None:
    with world.policies(policy("enforce", HOST)) as web, world.sink(WRONG) as sink:
        async with (
            world.delivery(sink, web=web, signed=False) as made,
            running(world.folder / "engine", smtp=made, give_up_after_s=1.0) as engine,
        ):
            engine.put("b@y.test")
            await engine.until(lambda: bool(engine.mail("alice@example.org")))
        (report,) = engine.mail("alice@example.org")
        assert sink.all == []
    words = b" ".join(report.split())
    assert b"Hostname mismatch" in words
    assert b"MTA-STS: policy of y.test, enforced" in words
    assert b"Status: 4.7.5" in report


async def test_a_host_the_policy_does_not_name_gets_nothing(world: World) -> None:
    # T: forged MX records
    with world.policies(policy("enforce", "mail.y.test")) as web, world.sink(GOOD) as sink:
        trial = await world.send(sink, web=web, signed=False)
        assert said(trial) == "451 4.7.5"
        assert sink.connections == 0
    assert world.results() == [("sts", "validation-failure")]


@pytest.mark.parametrize(
    ("issued", "mx", "result"),
    [
        (GOOD, HOST, ""),
        (STRANGE, HOST, "certificate-not-trusted"),
        (WRONG, HOST, "certificate-host-mismatch"),
        (GOOD, "mail.y.test", "validation-failure"),
        (None, HOST, "starttls-not-supported"),
    ],
)
async def test_a_policy_in_testing_only_reports(
    world: World, issued: Issued | None, mx: str, result: str
) -> None:
    with world.policies(policy("testing", mx)) as web, world.sink(issued) as sink:
        assert said(await world.send(sink, web=web, signed=False)) == "250 2.0.0"
    assert world.results() == [("sts", result)]


async def test_dane_goes_before_mta_sts(world: World) -> None:
    # RFC 8461 section 2
    with world.policies(policy("enforce", "mail.y.test")) as web, world.sink(STRANGE) as sink:
        world.tlsa(sink, [3, 1, 1, sha256(STRANGE.spki)])
        assert said(await world.send(sink, web=web)) == "250 2.0.0"
    assert world.results() == [("tlsa", "")]


async def test_an_old_policy_holds_until_it_ends_whatever_becomes_of_the_new(world: World) -> None:
    # L16, RFC 8461 sections 3.3 and 5.1
    with world.policies(policy("enforce", HOST, max_age=3_600)) as web, world.sink(STRANGE) as sink:
        assert said(await world.send(sink, web=web, signed=False)) == "451 4.7.5"
        world.says_id("2")
        web.says = answer(b"", status="404 Not Found")
        assert said(await world.send(sink, web=web, signed=False)) == "451 4.7.5"
        del world.table["_mta-sts.y.test"]
        assert said(await world.send(sink, web=web, signed=False)) == "451 4.7.5"
        world.now += 3_600
        assert said(await world.send(sink, web=web, signed=False)) == "250 2.0.0"
        assert len(web.asked) == 2


async def test_a_policy_that_ends_at_once_is_not_fetched_for_every_message(world: World) -> None:
    with world.policies(policy("enforce", HOST, max_age=0)) as web, world.sink(GOOD) as sink:
        for _ in range(2):
            assert said(await world.send(sink, web=web, signed=False)) == "250 2.0.0"
        assert len(web.asked) == 1


async def test_a_new_id_brings_the_new_policy(world: World) -> None:
    with world.policies(policy("enforce", "mail.y.test")) as web, world.sink(GOOD) as sink:
        async with world.delivery(sink, web=web, signed=False) as made:
            for number, text, answered in (
                ("1", None, "451 4.7.5"),
                ("2", policy("enforce", HOST), "250 2.0.0"),
                ("3", policy("none"), "250 2.0.0"),
            ):
                world.says_id(number)
                web.says = answer(text) if text else web.says
                world.dns.table = world.table
                trial = await made.deliver(entry(), Content(MESSAGE, Path("unused"), len(MESSAGE)))
                assert said(trial) == answered
    assert [kind for kind, _ in world.results()][:2] == ["sts", "sts"]


BIG = b"x: " + b"y" * 70_000


@pytest.mark.parametrize(
    ("says", "result"),
    [
        (answer(policy("enforce", "mail.y.test") + BIG), "sts-policy-invalid"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + policy("enforce", "m.y.test") + BIG,
            "sts-policy-invalid",
        ),
        (answer(b"<html></html>", kind="text/html"), "sts-policy-invalid"),
        (answer(b"<html></html>"), "sts-policy-invalid"),
        (answer(b"", status="302 Found", more="Location: https://127.0.0.1/\r\n"), "sts-policy-fetch-error"),
        (answer(b"", status="404 Not Found"), "sts-policy-fetch-error"),
        (b"SSH-2.0-x\r\n\r\n", "sts-policy-invalid"),
        (HANG, "sts-policy-fetch-error"),
    ],
    ids=["too long", "endless", "HTML", "HTML as text", "redirected", "missing", "no HTTP", "silent"],
)
async def test_l16_a_policy_that_is_none_binds_nobody_and_is_reported(
    world: World, says: bytes, result: str
) -> None:
    with world.policies(b"") as web, world.sink(STRANGE) as sink:
        web.says = says
        patience_s = 1.0 if says == HANG else 30.0
        async with world.delivery(sink, web=web, signed=False, mta_sts_timeout_s=patience_s) as made:
            for _ in range(2):
                trial = await made.deliver(entry(), Content(MESSAGE, Path("unused"), len(MESSAGE)))
                assert said(trial) == "250 2.0.0"
        assert len(web.asked) == 1
    assert world.results()[0] == ("sts", result)
    assert ("no-policy-found", "") in world.results()


async def test_l16_a_policy_from_somebody_else_is_none(world: World) -> None:
    other = Authority("stranger").issue("mta-sts.y.test")
    with world.policies(policy("enforce", "mail.y.test"), other) as web, world.sink(GOOD) as sink:
        assert said(await world.send(sink, web=web, signed=False)) == "250 2.0.0"
    assert world.results()[0] == ("sts", "sts-webpki-invalid")


async def test_t86_a_policy_host_inside_our_network_is_not_asked(world: World) -> None:
    with world.policies(policy("enforce", "mail.y.test")) as web, world.sink(GOOD) as sink:
        how: dict[str, Any] = {"web": web, "signed": False, "mta_sts_allow_private": False}
        assert said(await world.send(sink, **how)) == "250 2.0.0"
        assert web.asked == []
    assert world.results()[0] == ("sts", "sts-policy-fetch-error")


async def test_an_old_fetch_is_repeated_while_the_policy_is_used(world: World) -> None:
    with world.policies(policy("enforce", HOST, max_age=10 * 86_400)) as web, world.sink(GOOD) as sink:
        async with world.delivery(sink, web=web, signed=False) as made:
            content = Content(MESSAGE, Path("unused"), len(MESSAGE))
            assert said(await made.deliver(entry(), content)) == "250 2.0.0"
            world.now += 2 * 86_400
            sts = made.opener._watch.sts  # type: ignore[union-attr]
            assert sts is not None
            assert await sts.refresh() == 1
            assert await sts.refresh() == 0
        assert len(web.asked) == 2


async def test_a_policy_in_daily_use_is_not_the_first_to_go(world: World) -> None:
    # A process that runs for long has it at hand; policies of domains made for it must not displace it.
    with world.policies(policy("enforce", HOST, max_age=100 * 86_400)) as web, world.sink(GOOD) as sink:
        options = {"queue": {"session_idle_s": 0}, "mta_sts_refresh_s": 1_000 * 86_400.0}
        async with world.delivery(sink, web=web, signed=False, **options) as made:
            content = Content(MESSAGE, Path("unused"), len(MESSAGE))
            for _ in range(4):
                assert said(await made.deliver(entry(), content)) == "250 2.0.0"
                world.now += 86_400
        assert len(web.asked) == 1
    table = StsPolicies(world.folder / "state.db")
    table.keep(KeptPolicy("evil.test", "1", "", world.now - 3 * 86_400, world.now + 86_400), most=1)
    assert table.find("y.test", now=world.now) is not None
    table.close()


# -- connections that are kept -------------------------------------------------------------


async def test_a_kept_connection_serves_its_own_domain_only(world: World) -> None:
    world.table["z.test"] = {"MX": [[10, HOST]]}
    with world.policies(policy("enforce", HOST)) as web, world.sink(GOOD) as sink:
        async with world.delivery(sink, web=web, signed=False) as made:
            content = Content(MESSAGE, Path("unused"), len(MESSAGE))
            for address in ("b@z.test", "b@y.test", "c@y.test"):
                assert said(await made.deliver(entry(address), content)) == "250 2.0.0"
        assert [message.connection for message in sink.messages] == [1, 2, 2]
    assert world.results() == [("no-policy-found", ""), ("sts", "")]


# -- other people's servers ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["postfix", "exim"])
async def test_certificates_of_other_peoples_servers_are_held_against_records(
    tmp_path: Path, kind: Kind
) -> None:
    # OpenSSL behind the one, GnuTLS behind the other.
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    with running_mta(kind, {}) as peer:
        certificate = ssl.PEM_cert_to_DER_cert((peer.folder / "server.pem").read_text())
        world.table |= {"peer.test": {"MX": [[10, "mx.peer.test"]]}, "mx.peer.test": {"A": ["127.0.0.1"]}}
        records = f"_{peer.port}._tcp.mx.peer.test"
        with SmtpSink(port=0) as unused:
            for digest, answered in ((sha256(certificate), "250 2."), ("00" * 32, "451 4.7.5")):
                world.table[records] = {"TLSA": [[3, 0, 1, digest]]}
                async with world.delivery(unused, queue={"port": peer.port}) as made:
                    content = Content(MESSAGE, Path("unused"), len(MESSAGE))
                    trial = await made.deliver(entry("anybody@peer.test"), content)
                assert said(trial).startswith(answered)
        peer.wait_for(b"")
        assert len(peer.mail) == 1
    assert world.results() == [("tlsa", ""), ("tlsa", "validation-failure")]
