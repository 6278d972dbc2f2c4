"""What Debian's Postfix and Exim write about their clients is read right, whatever those call themselves."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mailstack.mime.header import Headers
from mailstack.smtp.relays import Origin, read
from tests.kit.demo import OFFSETS, Demo, running_demo
from tests.kit.mta import Kind, Mta, running_mta
from tests.kit.ports import free_base

pytestmark = pytest.mark.debian

ALICE = "alice@example.test"
CLIENT = "127.0.0.77"


@dataclass(frozen=True)
class Chain:
    """Another mail server that passes on to ours, a trusted relay."""

    demo: Demo
    peer: Mta


@pytest.fixture(scope="module", params=["postfix", "exim"])
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    kind: Kind = request.param
    folder, base = tmp_path_factory.mktemp("relays") / "demo", free_base(OFFSETS)

    def change(text: str) -> str:
        return text.replace("[mx]\n", '[mx]\ntrusted_relays = ["127.0.0.1"]\n')

    with (
        running_demo(folder, port_base=base, change=change) as demo,
        running_mta(kind, {"example.test": base + 25}) as peer,
    ):
        yield Chain(demo, peer)


@pytest.mark.parametrize("helo", ["client.far.test", "[203.0.113.66]", "[IPv6:2001:db8::66]", "x"])
def test_the_address_is_that_of_the_client_not_what_it_calls_itself(chain: Chain, helo: str) -> None:
    mark = f"relayed-{abs(hash(helo))}"
    with smtplib.SMTP("127.0.0.1", chain.peer.port, helo, timeout=30, source_address=(CLIENT, 0)) as client:
        message = f"From: a@far.test\r\nSubject: {mark}\r\nMessage-ID: <{mark}@far.test>\r\n\r\nhi\r\n"
        client.sendmail("a@far.test", [ALICE], message)
    try:
        stored = chain.demo.wait_for_message(ALICE, mark.encode())
    except AssertionError:
        stored = chain.demo.wait_for_message(ALICE, mark.encode(), ".Spam", timeout_s=1)
    ours, theirs = Headers.parse(stored).all("received")[:2]
    assert b"by mx.peer.test" in theirs, theirs
    found = read(theirs)
    assert found is not None, theirs
    assert found.ip == CLIENT
    assert found.helo.strip("[]").removeprefix("IPv6:") == helo.strip("[]").removeprefix("IPv6:")
    assert read(ours) == Origin("127.0.0.1", "mx.peer.test")
    chain.demo.logs("looked_through")
