"""From a domain to its hosts and the message there: a real DNS server, real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mailstack.net.dns_options import DnsOptions
from mailstack.net.resolver import Resolver
from tests.kit.dns_server import DnsServer, Table
from tests.kit.smtp_delivery import deliver, delivery, entry
from tests.kit.smtp_sink import SmtpSink


@asynccontextmanager
async def resolving(table: Table) -> AsyncIterator[Resolver]:
    with DnsServer(table) as server:
        resolver = Resolver(DnsOptions(servers=(server.address,), try_s=5.0))
        await resolver.start()
        try:
            yield resolver
        finally:
            await resolver.close()


async def answer(table: Table, sink: SmtpSink | None = None, domain: str = "x.test", **options: Any) -> str:
    """What becomes of a message for x.test: the host that took it, or the reply."""
    async with resolving(table) as dns, delivery(sink, dns, **options) as made:
        (tried,) = (await deliver(made, entry(f"b@{domain}"))).recipients
    return tried.host if tried.answer.reply.code == 250 else str(tried.answer.reply)


MX = {"x.test": {"MX": [[10, "mx.x.test"]]}}


@pytest.mark.parametrize(
    "table",
    [
        {**MX, "mx.x.test": {"A": ["127.0.0.1"]}},
        {**MX, "mx.x.test": {"CNAME": ["real.x.test"]}, "real.x.test": {"A": ["127.0.0.1"]}},
        {
            "x.test": {"CNAME": ["y.test"]},
            "y.test": {"MX": [[10, "mx.x.test"]]},
            "mx.x.test": {"A": ["127.0.0.1"]},
        },
        {**MX, "mx.x.test": {"A": ["127.0.0.1"], "AAAA": ["2001:db8::1"]}},
        {"x.test": {"MX": [[5, "10.0.0.1"], [10, "mx.x.test"]]}, "mx.x.test": {"A": ["127.0.0.1"]}},
        {"x.test": {"MX": [[5, "gone.x.test"], [10, "mx.x.test"]]}, "mx.x.test": {"A": ["127.0.0.1"]}},
        {"x.test": {"MX": [[5, "slow.x.test"], [10, "mx.x.test"]]}, "mx.x.test": {"A": ["127.0.0.1"]}}
        | {"slow.x.test": {"A": "SERVFAIL", "AAAA": "SERVFAIL"}},
        {"x.test": {"MX": [[0, "."], [10, "mx.x.test"]]}, "mx.x.test": {"A": ["127.0.0.1"]}},
        {"x.test": {"MX": [[n, f"m{n}.x.test"] for n in range(1000)]}, "m3.x.test": {"A": ["127.0.0.1"]}},
    ],
    ids=[
        "plain",
        "MX to CNAME",
        "CNAME to MX",
        "IPv6 unroutable",
        "an address as MX",
        "a host that is gone",
        "a host without answer",
        "null MX beside another",
        "1000 MX",
    ],
)
async def test_the_message_finds_its_host(table: Table) -> None:
    # D13, D14, Q12
    with SmtpSink() as sink:
        assert "[127.0.0.1]" in await answer(table, sink, connect_timeout_s=1)
        assert len(sink.messages) == 1


@pytest.mark.parametrize(
    ("table", "reply"),
    [
        (
            {"x.test": {"MX": [[0, "."]], "A": ["127.0.0.1"]}},
            "556 5.1.10 x.test says that it receives no mail",
        ),
        ({}, "550 5.1.2 There is no domain x.test"),
        ({"x.test": {"TXT": ["nothing else"]}}, "550 5.4.4 No host of x.test has an address"),
        ({"x.test": {"MX": "SERVFAIL"}}, "451 4.4.3 The name service gives no answer for x.test"),
        ({**MX, "mx.x.test": {"A": "SERVFAIL"}}, "451 4.4.3 The name service gives no address"),
        ({**MX, "mx.x.test": {"A": ["127.0.0.1"]}}, "550 5.4.4 No host of x.test"),
        ({**MX, "mx.x.test": {"AAAA": ["::1"]}}, "550 5.4.4 No host of x.test"),
        ({**MX, "mx.x.test": {"A": ["10.1.2.3"]}}, "550 5.4.4 No host of x.test"),
        (
            {"x.test": {"MX": [[10, "localhost"]]}, "localhost": {"A": ["127.0.0.1"]}},
            "554 5.4.6 Mail for x.test loops",
        ),
        (
            {"x.test": {"MX": [[10, "US.test"]]}, "us.test": {"A": ["192.0.2.1"]}},
            "554 5.4.6 Mail for x.test loops",
        ),
        ({"x.test": {"MX": [[10, "192.0.2.1"]]}}, "550 5.4.4 No host of x.test"),
        ({"x.test": {"CNAME": ["x.test"]}}, "451 4.4.3 The name service"),
    ],
    ids=[
        "null MX",
        "no such domain",
        "no mail host",
        "MX SERVFAIL",
        "A SERVFAIL",
        "loopback",
        "loopback IPv6",
        "private",
        "localhost",
        "our own name",
        "only an address as MX",
        "CNAME circle",
    ],
)
async def test_a_domain_without_a_host_is_an_answer_of_ours(table: Table, reply: str) -> None:
    # D12, D13, Q11
    with SmtpSink() as sink:
        assert (await answer(table, sink, allow_loopback=False)).startswith(reply)
        assert sink.connections == 0


@pytest.mark.parametrize("literal", ["[127.0.0.1]", "[IPv6:::1]"])
async def test_an_address_literal_is_asked_of_nobody(literal: str) -> None:
    with SmtpSink(host=literal.strip("[]").removeprefix("IPv6:")) as sink:
        assert await answer({}, sink, literal) == f"{literal}[{sink.host}]"
        assert (await answer({}, sink, literal, allow_loopback=False)).startswith("550 5.4.4 ")
