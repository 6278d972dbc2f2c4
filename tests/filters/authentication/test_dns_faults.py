"""The DNS at its worst, over the wire: what becomes of SPF, DKIM and DMARC then (rows D of the faults)."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import dns.message
import dns.rdatatype
import pytest

from mailstack.filters.authentication.sign import sign
from mailstack.filters.facts import Tools
from mailstack.filters.options import FilterOptions
from mailstack.filters.pipeline import Evaluation
from mailstack.filters.rules import Rules
from mailstack.model.dns import Question
from mailstack.model.verdict import FilterRequest, MessageVerdict
from mailstack.net import dns_wire
from mailstack.net.dns_options import DnsOptions
from mailstack.net.resolver import Resolver, run_check
from tests.kit.dkim_keys import rsa_key, rsa_record
from tests.kit.dns_server import DnsServer

NOW = 1_800_000_000
LETTER = (
    b"From: Ann <ann@author.test>\r\nTo: bob@home.test\r\nSubject: lunch\r\nDate: x\r\n"
    b"Message-ID: <1@author.test>\r\n\r\nHi Bob, are you free for lunch today?\r\n"
)
SIGNED = sign(LETTER, [rsa_key("author.test")], now=NOW) + LETTER
GOOD: dict[str, dict[str, Any]] = {
    "author.test": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"], "A": ["192.0.2.1"]},
    "_dmarc.author.test": {"TXT": ["v=DMARC1; p=reject"]},
    "rsa._domainkey.author.test": {"TXT": [rsa_record()]},
}
KEY, POLICY = "rsa._domainkey.author.test", "_dmarc.author.test"


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer(GOOD) as server:
        yield server


@pytest.fixture
async def resolver(server: DnsServer) -> AsyncIterator[Resolver]:
    resolver = Resolver(DnsOptions(servers=(server.address,), try_s=1, tries=1, down_s=0.2))
    await resolver.start()
    yield resolver
    await resolver.close()


async def judge(resolver: Resolver, message: bytes = SIGNED, *, ip: str = "203.0.113.9") -> MessageVerdict:
    request = FilterRequest("id", ip, "h.test", "ann@author.test", (), NOW, message, size_octets=len(message))
    evaluation = Evaluation(request, message, {}, Tools(FilterOptions(), "mx", None, Rules()))
    return (await run_check(evaluation.step, resolver, budget=resolver.new_budget())).verdict


def words(verdict: MessageVerdict) -> tuple[str, str, str]:
    found = verdict.authentication
    return found.spf.result, found.dkim[0].result, found.dmarc.result


async def test_all_is_well_without_faults(resolver: Resolver) -> None:
    assert words(await judge(resolver, ip="192.0.2.1")) == ("pass", "pass", "pass")


@pytest.mark.parametrize("fault", ["SERVFAIL", "REFUSED", "GARBAGE", "TIMEOUT"])
async def test_d1_d2_d27_nothing_but_failures_is_never_a_refusal(
    resolver: Resolver, server: DnsServer, fault: str
) -> None:
    server.table.clear()
    server.table.update(
        {name: {"TXT": fault, "A": fault} for name in (*GOOD, "test", "_dmarc.test", "h.test")}
    )
    found = await judge(resolver)
    assert words(found) == ("temperror", "temperror", "temperror")
    assert found.action == "accept"


@pytest.mark.parametrize(
    ("record", "result"),
    [
        (["x" * 60_000], "permerror"),
        (["v=DKIM1; p=" + "A" * 60_000], "permerror"),
        ([f"junk {n}" for n in range(1_000)], "permerror"),
    ],
    ids=["60 KiB", "long key", "1000 records"],
)
async def test_d4_large_key_records_are_cut(
    resolver: Resolver, server: DnsServer, record: list[str], result: str
) -> None:
    server.table[KEY] = {"TXT": record}
    assert words(await judge(resolver))[1] == result


@pytest.mark.parametrize(
    ("record", "result"),
    [
        (["v=DMARC1; p=reject; " + "x" * 60_000], "none"),
        ([f"v=DMARC1; p=reject; x{n}=1" for n in range(1_000)], "none"),
    ],
    ids=["60 KiB", "1000 records"],
)
async def test_d4_d5_large_and_many_policies_are_none_and_named(
    resolver: Resolver, server: DnsServer, record: list[str], result: str
) -> None:
    server.table[POLICY] = {"TXT": record}
    found = await judge(resolver, LETTER)
    assert found.authentication.dmarc.result == result
    assert any(reason.name == "dmarc_record" for reason in found.reasons)


async def test_d4_thousands_of_strings_are_one_record(resolver: Resolver, server: DnsServer) -> None:
    server.table["author.test"] = {"TXT": ["v=spf1 " + "ip4:198.51.100.1 " * 500 + "ip4:192.0.2.1 -all"]}
    assert words(await judge(resolver, ip="192.0.2.1"))[0] == "pass"
    server.table["long.test"] = {"TXT": ["v=spf1 " + "ip4:198.51.100.1 " * 3_500 + "-all"]}
    server.table["author.test"] = {"TXT": ["v=spf1 include:long.test -all"]}
    fresh = Resolver(DnsOptions(servers=(server.address,), try_s=1, tries=1))
    await fresh.start()
    assert words(await judge(fresh, ip="192.0.2.1"))[0] == "permerror"
    await fresh.close()


@pytest.mark.parametrize(("key", "word"), [("spf", "pass"), ("dkim", "pass"), ("policy", "pass")])
async def test_d6_aliases_are_followed(resolver: Resolver, server: DnsServer, key: str, word: str) -> None:
    name = {"spf": "author.test", "dkim": KEY, "policy": POLICY}[key]
    server.table["moved.test"] = {"TXT": server.table[name]["TXT"]}
    server.table[name] = {"CNAME": ["moved.test"]}
    assert words(await judge(resolver, ip="192.0.2.1")) == (word,) * 3


@pytest.mark.parametrize("chain", [1, 2, 30])
async def test_d6_loops_and_long_chains_of_aliases_are_temporary(
    resolver: Resolver, server: DnsServer, chain: int
) -> None:
    for n in range(chain):
        server.table[f"c{n}.test"] = {"CNAME": [f"c{(n + 1) % chain if chain < 30 else n + 1}.test"]}
    for name in GOOD:
        server.table[name] = {"CNAME": ["c0.test"]}
    found = await judge(resolver)
    assert words(found) == ("temperror", "temperror", "temperror")
    assert found.action == "accept"


async def test_d5_each_key_record_is_tried(resolver: Resolver, server: DnsServer) -> None:
    server.table[KEY] = {"TXT": ["v=DKIM1; p=", "junk", rsa_record()]}
    assert words(await judge(resolver))[1] == "pass"


async def test_d15_d21_the_questions_of_one_message_have_an_end(
    resolver: Resolver, server: DnsServer
) -> None:
    deep = ".".join(f"l{n}" for n in range(30)) + ".author.test"
    signatures = b"".join(sign(LETTER, [rsa_key(f"s{n}.test")], now=NOW) for n in range(100))
    letter = signatures + LETTER.replace(b"author.test>", deep.encode() + b">", 1)
    server.table["author.test"] = {
        "TXT": ["v=spf1 " + " ".join(f"mx:m{n}.test" for n in range(10)) + " -all"]
    }
    for n in range(10):
        server.table[f"m{n}.test"] = {"MX": [[10, f"h{n}-{m}.test"] for m in range(10)]}
    began = time.process_time()
    found = await judge(resolver, letter)
    assert len(server.asked) <= 64
    assert len([name for name, kind in server.asked if name.startswith("_dmarc.")]) <= 8
    assert len([name for name, _ in server.asked if "_domainkey" in name]) == 8
    assert [one.result for one in found.authentication.dkim] == ["permerror"] * 8
    assert time.process_time() - began < 5


def _wire(kind: str, rdata: bytes) -> tuple[Any, bytes]:
    """A question, and an answer that carries these octets as its record."""
    query = dns_wire.make_query(Question("author.test", kind), 7)
    assert query is not None
    reply = dns.message.make_response(query)
    reply.use_edns(False)
    header = bytearray(reply.to_wire())
    header[6:8] = b"\0\1"
    code = int(dns.rdatatype.from_text(kind))
    return query, bytes(header) + struct.pack("!HHHIH", 0xC00C, code, 1, 300, len(rdata)) + rdata


@pytest.mark.parametrize(
    ("kind", "rdata"),
    [
        ("MX", b"\0\x0a"),
        ("MX", b"\0\x0a\x05ab"),
        ("MX", b"\0\x0a\xff\xff"),
        ("TLSA", b""),
        ("TLSA", b"\3\1\1"),
        ("PTR", b"\x04\xff\x00.\\\0"),
        ("PTR", b"\xc0\x0c"),
        ("A", b"\1\2\3"),
        ("AAAA", b"\1" * 15),
        ("TXT", b""),
        ("TXT", b"\xffabc"),
        ("TXT", b"\0"),
        ("CNAME", b"\xc0\x0c"),
    ],
    ids=str,
)
def test_d11_records_cut_short_are_no_answer_or_an_odd_one(kind: str, rdata: bytes) -> None:
    query, wire = _wire(kind, rdata)
    response = dns_wire.read_response(wire, query)
    if response is not None:
        answer = dns_wire.to_answer(response, Question("author.test", kind), secure=False)
        assert answer.status in ("ok", "nodata", "temperror")
