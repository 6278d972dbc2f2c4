"""The resolver against a real DNS server on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import uvloop

from mailstack.model.dns import Answer, Lookup, Question
from mailstack.model.errors import ConfigError
from mailstack.net import dns_table, dns_wire
from mailstack.net.dns_cache import FAILURE_S, Cache
from mailstack.net.dns_channel import Server
from mailstack.net.dns_options import DnsOptions, parse_server
from mailstack.net.resolver import (
    PROBE_S,
    Budget,
    OfflineResolver,
    Resolver,
    TableResolver,
    lookup_all,
    run_check,
)
from tests.kit.dns_server import DnsServer
from tests.kit.loops import until
from tests.kit.ports import free_port

TABLE = {
    "example.org": {
        "TXT": ["v=spf1 ip4:192.0.2.1 -all", "long " + "x" * 3000],
        "MX": [[20, "MX2.Example.org"], [10, "mx.example.org."]],
        "A": ["192.0.2.1", "192.0.2.2"],
        "AAAA": ["2001:db8::1"],
    },
    "null.test": {"MX": [[0, "."]]},
    "alias.test": {"CNAME": ["example.org"]},
    "loop.test": {"CNAME": ["loop2.test"]},
    "loop2.test": {"CNAME": ["loop.test"]},
    "slow.test": {"TXT": "TIMEOUT"},
    "bad.test": {"TXT": "SERVFAIL"},
    "garbage.test": {"A": "GARBAGE"},
    "1.2.0.192.in-addr.arpa": {"PTR": ["host.example.org"]},
}


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer(TABLE) as server:
        yield server


@pytest.fixture
async def resolver(server: DnsServer) -> AsyncIterator[Resolver]:
    resolver = Resolver(DnsOptions(servers=(server.address,), down_s=0.2))
    await resolver.start()
    yield resolver
    await resolver.close()


@pytest.fixture
async def hasty(server: DnsServer) -> AsyncIterator[Resolver]:
    """For names that are never answered."""
    resolver = Resolver(DnsOptions(servers=(server.address,), try_s=0.7, down_s=0.2))
    await resolver.start()
    yield resolver
    await resolver.close()


async def test_records_come_in_the_shape_of_the_model(resolver: Resolver) -> None:
    mx = await resolver.lookup("Example.ORG.", "MX")
    assert mx.status == "ok"
    assert sorted(mx.records) == [(10, "mx.example.org"), (20, "mx2.example.org")]  # type: ignore[type-var]
    assert set((await resolver.lookup("example.org", "A")).records) == {"192.0.2.1", "192.0.2.2"}
    assert (await resolver.lookup("example.org", "AAAA")).records == ("2001:db8::1",)
    assert (await resolver.lookup("1.2.0.192.in-addr.arpa", "PTR")).records == ("host.example.org",)
    assert (await resolver.lookup("null.test", "MX")).records == ((0, ""),)


async def test_an_answer_too_large_for_udp_comes_by_tcp(resolver: Resolver) -> None:
    answer = await resolver.lookup("example.org", "TXT")
    assert set(answer.records) == {b"v=spf1 ip4:192.0.2.1 -all", b"long " + b"x" * 3000}


async def test_missing_names_and_missing_types_differ(resolver: Resolver) -> None:
    assert (await resolver.lookup("nobody.test", "A")).status == "nxdomain"
    assert (await resolver.lookup("null.test", "A")).status == "nodata"


async def test_aliases_are_followed_and_loops_are_failures(resolver: Resolver) -> None:
    # D6
    assert set((await resolver.lookup("alias.test", "A")).records) == {"192.0.2.1", "192.0.2.2"}
    assert (await resolver.lookup("loop.test", "A")).status == "temperror"


@pytest.mark.parametrize("name", ["bad.test", "slow.test"])
async def test_failures_are_temporary(hasty: Resolver, name: str) -> None:
    assert (await hasty.lookup(name, "TXT")).status == "temperror"
    assert not hasty.is_down


async def test_garbage_and_forged_answers_are_dropped(hasty: Resolver) -> None:
    # D27
    assert (await hasty.lookup("garbage.test", "A")).status == "temperror"


@pytest.mark.parametrize(
    "name", ["x" * 64 + ".test", ".".join(["a" * 60] * 5), "a..b", "a.\x00\xff.b\\", "é" * 40]
)
async def test_names_that_cannot_stand_in_the_dns_do_not_exist(resolver: Resolver, name: str) -> None:
    assert (await resolver.lookup(name, "TXT")).status == "nxdomain"


async def test_same_questions_at_one_time_are_asked_once(resolver: Resolver, server: DnsServer) -> None:
    server.delay_s = 0.05
    await asyncio.gather(*(resolver.lookup("example.org", "A") for _ in range(50)))
    await resolver.lookup("EXAMPLE.org.", "A")
    assert server.asked.count(("example.org", "A")) == 1


async def test_budget_of_questions_ends_in_temperror(resolver: Resolver) -> None:
    budget = Budget(3, asyncio.get_running_loop().time() + 5)
    answers = await lookup_all(resolver, [Question(f"n{n}.test", "A") for n in range(5)], budget=budget)
    assert sorted(a.status for a in answers.values()) == ["nxdomain"] * 3 + ["temperror"] * 2
    # what is in the cache costs nothing
    assert (await resolver.lookup("n0.test", "A", budget=budget)).status == "nxdomain"


async def test_budget_of_time_ends_in_temperror(resolver: Resolver, server: DnsServer) -> None:
    server.delay_s = 3.0
    budget = Budget(64, asyncio.get_running_loop().time() + 0.05)
    assert (await resolver.lookup("example.org", "A", budget=budget)).status == "temperror"
    assert resolver._flights, "the question itself is still on its way"


async def test_ad_bit_counts_only_from_a_configured_loopback_server() -> None:
    with DnsServer({"a.test": {"A": ["192.0.2.1"]}}, authentic=True) as server:
        resolver = Resolver(DnsOptions(servers=(server.address,)))
        await resolver.start()
        assert (await resolver.lookup("a.test", "A")).secure
        resolver._secure.clear()
        resolver._cache = Cache(DnsOptions())
        assert not (await resolver.lookup("a.test", "A")).secure
        await resolver.close()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_closed_port_is_noticed_at_once_and_its_return_too(factory: object) -> None:
    async def main() -> None:
        port = free_port()
        resolver = Resolver(DnsOptions(servers=(f"127.0.0.1:{port}",), down_s=0.1))
        await resolver.start()
        try:
            await check(resolver, port)
        finally:
            await resolver.close()  # or uvloop waits for its socket for ever

    async def check(resolver: Resolver, port: int) -> None:
        began = time.monotonic()
        assert (await resolver.lookup("example.org", "A")).status == "temperror"
        for n in range(200):
            assert (await resolver.lookup(f"{n}.example.org", "A")).status == "temperror"
        assert time.monotonic() - began < 60  # not 3 s each
        assert resolver.is_down
        with DnsServer(TABLE, port=port):
            await until(lambda: not resolver.is_down)
            assert (await resolver.lookup("example.org", "A")).status == "ok"

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        runner.run(main())


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_gives_up_while_a_socket_is_opened_leaves_none(factory: object) -> None:
    """An open one would keep uvloop's loop from ending."""

    async def main() -> None:
        server = Server("127.0.0.1", free_port())
        await asyncio.sleep(0.05)
        before = len(os.listdir("/proc/self/fd"))
        for steps in range(6):
            asking = asyncio.ensure_future(server.ask(Question("a.test", "A")))
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        server.close()
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) == before

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        runner.run(main())


async def test_silence_is_noticed_once_and_everybody_fails_fast() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        resolver = Resolver(DnsOptions(servers=(f"127.0.0.1:{silent.getsockname()[1]}",), try_s=30))
        await resolver.start()
        began = time.monotonic()
        answers = await lookup_all(resolver, [Question(f"{n}.test", "A") for n in range(20)])
        assert {a.status for a in answers.values()} == {"temperror"}
        assert time.monotonic() - began < 20  # not two tries
        assert resolver.is_down
        began = time.monotonic()
        await lookup_all(resolver, [Question(f"{n}.example", "A") for n in range(100)])
        assert time.monotonic() - began < 20
        await resolver.close()


async def test_who_stood_still_himself_does_not_take_the_servers_for_silent(server: DnsServer) -> None:
    resolver = Resolver(DnsOptions(servers=(server.address,)))
    await resolver.start()
    for steps in range(6):  # wherever in its first question
        for _ in range(steps):
            await asyncio.sleep(0)
        time.sleep(PROBE_S + 0.1)
        assert resolver._probing is not None
        assert await resolver._probing
        resolver._probing = asyncio.create_task(resolver._probe())
    assert not resolver.is_down
    assert (await resolver.lookup("example.org", "A")).status == "ok"
    await resolver.close()


async def test_one_silent_name_does_not_make_the_world_silent(server: DnsServer) -> None:
    resolver = Resolver(DnsOptions(servers=(server.address,), try_s=2.0, tries=1))
    await resolver.start()
    assert (await resolver.lookup("slow.test", "TXT")).status == "temperror"
    assert not resolver.is_down
    assert (await resolver.lookup("example.org", "A")).status == "ok"
    await resolver.close()


async def test_the_second_server_is_asked_when_the_first_is_gone(server: DnsServer) -> None:
    resolver = Resolver(DnsOptions(servers=(f"127.0.0.1:{free_port()}", server.address)))
    await resolver.start()
    assert (await resolver.lookup("example.org", "A")).status == "ok"
    assert not resolver.is_down
    await resolver.close()


async def test_open_questions_end_when_the_resolver_closes(server: DnsServer) -> None:
    resolver = Resolver(DnsOptions(servers=(server.address,)))
    await resolver.start()
    asking = asyncio.create_task(resolver.lookup("slow.test", "TXT"))
    await asyncio.sleep(0.05)
    await resolver.close()
    assert (await asking).status == "temperror"


def test_cache_is_bounded_in_names_and_octets_and_by_time() -> None:
    cache = Cache(DnsOptions(cache_names=10, cache_octets=10_000))
    for n in range(30):
        cache.put(Question(f"{n}.test", "A"), Answer("ok", ("192.0.2.1",), ttl_s=60), 0)
    assert len(cache) == 10
    cache.put(Question("big.test", "TXT"), Answer("ok", (b"x" * 5000,), ttl_s=60), 0)
    assert cache.get(Question("big.test", "TXT"), 1) is None
    assert cache.get(Question("29.test", "A"), 59) is not None
    assert cache.get(Question("29.test", "A"), 61) is None


@pytest.mark.parametrize(
    ("answer", "keep_s"),
    [
        (Answer("ok", ttl_s=0), 30),
        (Answer("ok", ttl_s=600), 600),
        (Answer("ok", ttl_s=10**9), 3600),
        (Answer("nxdomain", ttl_s=10**9), 300),
        (Answer("nodata", ttl_s=0), 30),
        (Answer("temperror", ttl_s=999), FAILURE_S),
    ],
)
def test_answers_are_kept_between_30_s_and_1_h_and_denials_5_min(answer: Answer, keep_s: int) -> None:
    assert Cache(DnsOptions()).keep_s(answer) == keep_s


@pytest.mark.parametrize("kind", ["TXT", "MX", "A", "CNAME", "TLSA", "AAAA", "PTR"])
async def test_table_answers_as_the_server_does(resolver: Resolver, hasty: Resolver, kind: str) -> None:
    table = TableResolver(TABLE)
    for name in (*TABLE, "nobody.test"):
        if name == "garbage.test" and kind == "A":
            continue
        mine = await table.lookup(name, kind)
        theirs = await (hasty if name == "slow.test" else resolver).lookup(name, kind)
        assert (mine.status, set(mine.records)) == (theirs.status, set(theirs.records)), name


def test_table_files_are_checked_and_folded() -> None:
    table = dns_table.load_table(b'{"Example.ORG.": {"txt": ["x"], "MX": [[10, "A.b."]]}}')
    assert dns_table.answer(table, Question("example.org", "TXT")).records == (b"x",)
    assert dns_table.answer(table, Question("example.org", "MX")).records == ((10, "a.b"),)
    for bad in (b"[]", b"{", b'{"a": 1}', b'{"a": {"TXT": 5}}'):
        with pytest.raises(Exception, match="dns"):
            dns_table.load_table(bad)


async def test_offline_asks_nobody() -> None:
    assert (await OfflineResolver().lookup("example.org", "A")).status == "temperror"


async def test_a_check_is_run_again_until_it_knows_everything() -> None:
    def check(lookup: Lookup) -> int:
        lookup.prefetch("prefetched.test", "A")
        host = lookup("example.org", "MX").records[0][1]  # type: ignore[index]
        return len(lookup(host, "A").records) + len(lookup("example.org", "A").records)

    assert await run_check(check, TableResolver(TABLE)) == 2


async def test_a_check_that_never_ends_is_given_failures() -> None:
    def check(lookup: Lookup) -> str:
        for n in range(100):
            if lookup(f"{n}.test", "A").status == "temperror":
                return f"gave up at {n}"
        return "never"

    assert await run_check(check, TableResolver({})) == "gave up at 40"


@pytest.mark.parametrize("wire", [b"", b"\0", b"\0\0\x81\x80" + b"\xff" * 30, b"A" * 600])
def test_broken_messages_are_no_answers(wire: bytes) -> None:
    query = dns_wire.make_query(Question("example.org", "TLSA"), 7)
    assert query is not None
    assert dns_wire.read_response(wire, query) is None


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_servers_may_have_a_port(text: str, pair: tuple[str, int]) -> None:
    assert parse_server(text) == pair


@pytest.mark.parametrize("text", ["", "dns.example", "127.0.0.1:0", "127.0.0.1:x", "1.2.3.4:99999"])
def test_servers_that_are_no_address_are_refused(text: str) -> None:
    with pytest.raises(Exception, match=r"dns\.servers"):
        DnsOptions(servers=(text,))


def test_whoever_is_trusted_is_also_asked() -> None:
    options = DnsOptions(servers=("192.0.2.53", "192.0.2.54:5353"), trusted=("192.0.2.53:53",))
    assert options.trusted
    with pytest.raises(ConfigError, match=r"dns\.trusted: .*none of dns\.servers"):
        DnsOptions(servers=("192.0.2.53",), trusted=("192.0.2.54",))
    with pytest.raises(ConfigError, match=r"dns\.trusted"):
        DnsOptions(servers=("192.0.2.53",), trusted=("dns.example",))
