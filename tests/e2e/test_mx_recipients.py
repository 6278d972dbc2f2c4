"""Recipients on port 25 of a real instance: old routes, odd forms, postmaster, SRS addresses.

The demo has a catch-all, so whatever is refused here is refused beside one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.demo import Demo, calm, running_demo
from tests.kit.smtp_wire import Wire

SENDER = "someone@sender.test"


def rcpt(demo: Demo, path: str, sender: str = SENDER) -> str:
    with Wire(demo.host, demo.port("mx")).start("client.sender.test") as wire:
        assert wire.command(f"MAIL FROM:<{sender}>").startswith("250")
        return wire.command(f"RCPT TO:<{path}>")[:9]


@pytest.mark.parametrize(
    "path",
    [
        "user%other.test@example.test",
        "alice%example.test@example.test",
        "other.test!user@example.test",
        "@example.test,@x.test:user@other.test",
        '"user@other.test"@example.test',
        "user@other.test",
        "user%other.test@other.test",
        "user@[127.0.0.1]",
        "alice@[IPv6:::1]",
    ],
)
def test_nothing_is_relayed_whatever_the_form(demo: Demo, path: str) -> None:
    # S25, T7
    assert rcpt(demo, path) in ("550 5.1.1", "550 5.7.1")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("alice@example.test.", ("250 2.1.5", "501 5.1.3")),
        ("alice@", ("501 5.1.3",)),
        ("@example.test", ("501 5.1.3",)),
        ("a lice@example.test", ("501 5.1.3",)),
        ('"a lice"@example.test', ("250 2.1.5", "550 5.1.1")),
        ('"alice"@example.test', ("250 2.1.5",)),
        ("@x.test:alice@example.test", ("250 2.1.5",)),
        ("ALICE@EXAMPLE.TEST", ("250 2.1.5",)),
        ("alice+detail@example.test", ("250 2.1.5",)),
    ],
)
def test_odd_forms_are_understood_or_refused(demo: Demo, path: str, said: tuple[str, ...]) -> None:
    # S27
    assert rcpt(demo, path) in said


@pytest.mark.parametrize(
    "path",
    ["postmaster", "Postmaster", "POSTMASTER@Example.Test", "abuse@example.test", "Abuse@example.test"],
)
@pytest.mark.parametrize("sender", [SENDER, ""])
def test_postmaster_and_abuse_are_always_reached(demo: Demo, path: str, sender: str) -> None:
    # S26
    assert rcpt(demo, path, sender) == "250 2.1.5"


def test_a_suspended_postmaster_is_stood_in_for(demo: Demo) -> None:
    # S26
    demo.cli("domain", "add", "second.test")
    assert rcpt(demo, "abuse@second.test") == "250 2.1.5"
    demo.cli("user", "add", "postmaster@second.test")
    demo.cli("user", "set", "postmaster@second.test", "--disable")
    assert rcpt(demo, "postmaster@second.test") == "250 2.1.5"


def test_srs_addresses_take_bounces_that_carry_our_token_and_nothing_else(demo: Demo) -> None:
    # S31, T8
    good = demo.json("srs", "forward", SENDER)["address"]
    assert rcpt(demo, good, "") == "250 2.1.5"
    assert rcpt(demo, good, SENDER) == "550 5.7.1"
    tag = good.split("=")[1]
    for bad in (
        good.replace(tag, "AAAA" + tag[4:]),
        good.replace("sender.test", "victim.test"),
        "SRS0=aaaa=bb=example.org=x@example.test",
        "SRS1=aaaa=example.org==bb=cc=d.test=x@example.test",
        "SRS0=@example.test",
        "SRS0=====@example.test",
    ):
        assert rcpt(demo, bad, "") == "550 5.1.1", bad


def test_addresses_that_only_send_or_are_gone_say_so(demo: Demo) -> None:
    # product page, section 1: a catch-all takes none of them
    demo.cli("user", "add", "bills@example.test", "--kind", "noreply")
    demo.cli("user", "add", "left@example.test")
    demo.cli("user", "remove", "left@example.test")
    demo.cli("user", "add", "away@example.test")
    demo.cli("user", "set", "away@example.test", "--disable")
    assert rcpt(demo, "bills@example.test") == "550 5.7.1"
    assert rcpt(demo, "printer@example.test") == "550 5.7.1"
    assert rcpt(demo, "left@example.test") == "550 5.1.1"
    assert rcpt(demo, "left+x@example.test") == "550 5.1.1"
    assert rcpt(demo, "away@example.test") == "550 5.2.1"
    assert rcpt(demo, "whoever@example.test") == "250 2.1.5"


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("srs-limits") / "demo", "--limits", change=calm) as running:
        yield running


def test_a_replayed_srs_address_is_put_off(limited: Demo) -> None:
    # S32: each worker takes a hundred an hour
    good = limited.json("srs", "forward", SENDER)["address"]
    said: list[str] = []
    for _ in range(20):
        with Wire(limited.host, limited.port("mx")).start("client.sender.test") as wire:
            for _ in range(24):
                assert wire.command("MAIL FROM:<>").startswith("250")
                said.append(wire.command(f"RCPT TO:<{good}>")[:9])
                wire.command("RSET")
    assert set(said) == {"250 2.1.5", "450 4.7.1"}
    assert said[:100] == ["250 2.1.5"] * 100
    limited.logs("check=srs_rate")
