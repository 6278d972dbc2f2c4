"""What is sent on is the message as it came: its author's DKIM signature holds, on every way (dkimpy)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dkim
import msgspec
import pytest

from mailstack.app.mail import Services
from mailstack.filters.authentication.sign import sign
from mailstack.model.verdict import Redirect
from mailstack.net.resolver import TableResolver
from tests.kit import dkim_keys
from tests.kit.clock import START
from tests.kit.instance import Instance
from tests.kit.transaction_world import World

HEADER = (
    b"From: Jo <x@far.test>\r\nTo: you@example.test\r\nSubject: a  folded\r\n\tsubject\r\n"
    b"Message-ID: <1@far.test>\r\n"
)
SHAPES = {
    "plain": HEADER + b"\r\nHello.\r\n",
    "blank lines at the end": HEADER + b"\r\nHello.  \r\n\r\n\r\n",
    "8-bit": HEADER + b"Content-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n",
    "8-bit header": HEADER.replace(b"Jo", "Jörg".encode()) + b"\r\nHello.\r\n",
    "long line": HEADER + b"\r\n" + b"x" * 5_000 + b"\r\n",
    "no body": HEADER,
    "dots": HEADER + b"\r\n.\r\n..\r\n.x\r\n",
    "old results": b"Authentication-Results: mx.example.test; dmarc=pass\r\nX-Spam-Flag: YES\r\n"
    + HEADER
    + b"\r\nHello.\r\n",
}
WAYS = {
    "redirection": "gone@example.test",
    "redirection with a copy": "kept@example.test",
    "plus form": "gone+shop@example.test",
    "alias": "out@example.test",
    "group": "team@example.test",
    "rule": "bob@example.test",
    "catch-all": "whoever@example.test",
}


def dns(name: bytes, timeout: int = 5) -> bytes:
    return dkim_keys.rsa_record().encode() if name.startswith(b"rsa.") else b""


def signed(letter: bytes) -> bytes:
    return sign(letter, [dkim_keys.rsa_key("far.test")], now=int(START)) + letter


def ready(world: World, instance: Instance) -> World:
    instance.cli(
        "alias", "add", "team@example.test", "friend@far.test", "alice@example.test", "--posters", "all"
    )
    instance.cli("user", "add", "rest@example.test", "--kind", "catchall")
    instance.cli("forward", "set", "rest@example.test", "friend@far.test", "--no-check", "--no-notice")
    world.filter.actions = {"bob": (Redirect("friend@far.test"),)}
    return world


def sent_on(world: World, accept_id: str = "0123456789abcdefg") -> bytes:
    """The copy of a message that is sent on."""
    ((queue_id, size),) = world.queue.read(
        "SELECT id, size_octets FROM message WHERE kind = 'forward' AND accept_id = ?", (accept_id,)
    )
    file = world.services.config.paths.queue_messages / str(queue_id)
    return file.read_bytes()[: int(str(size))]


@pytest.mark.parametrize("way", WAYS)
async def test_the_authors_signature_holds(world: World, instance: Instance, way: str) -> None:
    ready(world, instance)
    for number, (shape, plain) in enumerate(SHAPES.items()):
        letter = signed(plain.replace(b"<1@", b"<%d@" % number))
        assert dkim.verify(letter, dnsfunc=dns)
        assert (await world.send(WAYS[way], letter=letter, accept_id=f"id{number}")).code == 250, shape
        left = sent_on(world, f"id{number}")
        assert left.endswith(letter), "nothing of it is changed, only something put in front"
        assert dkim.verify(left, dnsfunc=dns), shape


async def test_that_of_a_large_message_in_a_file_too(world: World, tmp_path: Path) -> None:
    letter = signed(HEADER + b"\r\n" + (b"y" * 70 + b"\r\n") * 8_000)
    assert (await world.send("gone@example.test", letter=letter, path=tmp_path / "large")).code == 250
    assert dkim.verify(sent_on(world), dnsfunc=dns)


# -- ARC --------------------------------------------------------------------------------


@pytest.fixture
def sealing(world: World, instance: Instance) -> Callable[[], World]:
    """The same with `[forwarding] arc`, and our key in the DNS."""

    def make() -> World:
        config = world.services.config
        on = msgspec.structs.replace(config.forwarding, arc=True)
        (key,) = [
            key for key in world.services.directory.dkim_keys("example.test") if key.algorithm == "rsa-sha256"
        ]
        published = {
            f"{one.selector}._domainkey.example.test": {"TXT": [one.record]}
            for one in world.services.directory.published_keys("example.test")
        }
        assert any(name.startswith(f"{key.selector}.") for name in published)
        services: Services = replace(
            world.services,
            config=msgspec.structs.replace(config, forwarding=on),
            resolver=TableResolver(published),
        )
        return replace(world, services=services)

    return make


def arc_dns(world: World) -> Callable[..., bytes]:
    """Published keys of ours and of the author, for dkimpy."""
    known = {
        f"{one.selector}._domainkey.example.test.": one.record.encode()
        for one in world.services.directory.published_keys("example.test")
    }

    def look(name: bytes, timeout: int = 5) -> bytes:
        return known.get(name.decode(), dns(name))

    return look


@pytest.mark.parametrize("way", WAYS)
async def test_a_seal_tells_what_was_proven_here(
    sealing: Callable[[], World], instance: Instance, way: str
) -> None:
    world = ready(sealing(), instance)
    letter = signed(SHAPES["8-bit"])
    assert (await world.send(WAYS[way], letter=letter)).code == 250
    left = sent_on(world)
    assert dkim.arc_verify(left, dnsfunc=arc_dns(world))[0] == b"pass"
    assert dkim.verify(left, dnsfunc=arc_dns(world))
    assert b"ARC-Authentication-Results: i=1; mx.example.test; spf=none" in left
    assert left.endswith(letter)


async def test_a_chain_it_came_with_is_continued(sealing: Callable[[], World], instance: Instance) -> None:
    world = ready(sealing(), instance)
    await world.send("gone@example.test", letter=signed(SHAPES["plain"]))
    once = sent_on(world)
    await world.send("out@example.test", letter=once, accept_id="again")
    twice = sent_on(world, "again")
    assert b"ARC-Seal: i=2; cv=pass" in twice
    assert dkim.arc_verify(twice, dnsfunc=arc_dns(world))[0] == b"pass"


async def test_a_broken_chain_is_sent_on_as_it_is(sealing: Callable[[], World], instance: Instance) -> None:
    world = ready(sealing(), instance)
    letter = b"ARC-Seal: i=1; cv=none; a=rsa-sha256; d=far.test; s=rsa; b=AAAA\r\n" + signed(SHAPES["plain"])
    await world.send("gone@example.test", letter=letter)
    assert sent_on(world).count(b"ARC-") == 1


async def test_what_no_filter_saw_is_not_sealed(sealing: Callable[[], World], instance: Instance) -> None:
    world = ready(sealing(), instance)
    world.filter.verdict = msgspec.structs.replace(world.filter.verdict, unfiltered="filter down")
    await world.send("gone@example.test", letter=signed(SHAPES["plain"]))
    assert b"ARC-" not in sent_on(world)


async def test_without_the_option_nothing_is_sealed(world: World) -> None:
    await world.send("gone@example.test", letter=signed(SHAPES["plain"]))
    assert b"ARC-" not in sent_on(world)
