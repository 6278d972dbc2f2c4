"""Our sending side against Debian's Postfix and Exim, without a daemon of ours around it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from mailstack.delivery.options import Route
from tests.kit.mta import PASSWORD, USER, Mta, running_mta
from tests.kit.smtp_delivery import codes, deliver, delivery, entry

pytestmark = pytest.mark.debian

LOGIN = {"login": USER, "password": PASSWORD}


@pytest.fixture(scope="module")
def exim() -> Iterator[Mta]:
    with running_mta("exim", {}) as running:
        yield running


@pytest.fixture(scope="module", params=["postfix", "exim"])
def peer(request: pytest.FixtureRequest) -> Iterator[Mta]:
    if request.param == "exim":
        yield request.getfixturevalue("exim")
        return
    with running_mta(request.param, {}) as running:
        yield running


def route(port: int, **more: Any) -> Route:
    return Route(domain="peer.test", host="127.0.0.1", port=port, **more)


async def sent(peer: Mta, port: int, *to: str, trusted: bool = True, **more: Any) -> list[str]:
    """Code and enhanced status of each recipient."""
    ca_file = str(peer.folder / "server.pem") if trusted else ""
    async with delivery(route=(route(port, **more),), ca_file=ca_file, **PATIENT) as made:
        trial = await deliver(made, entry(*(to or ("b@peer.test",))))
    return [f"{t.answer.reply.code} {t.answer.reply.status}" for t in trial.recipients]


#: Two programs start for a connection; on a busy machine that takes its time.
PATIENT = {"connect_timeout_s": 20, "command_timeout_s": 20, "data_timeout_s": 20, "end_timeout_s": 20}


@pytest.mark.parametrize("is_implicit", [False, True], ids=["STARTTLS", "TLS first"])
async def test_exim_lets_us_log_in(exim: Mta, is_implicit: bool) -> None:
    port = exim.tls_port if is_implicit else exim.port
    assert await sent(exim, port, implicit_tls=is_implicit, **LOGIN) == ["250 "]
    async with asyncio.timeout(30):
        while f"A=plain:{USER}" not in exim.log:
            await asyncio.sleep(0.05)


async def test_a_wrong_password_at_exim_defers(exim: Mta) -> None:
    # Q25
    assert await sent(exim, exim.port, login=USER, password="wrong") == ["451 7.8"]


async def test_verified_tls_with_a_certificate_we_trust_or_do_not(peer: Mta) -> None:
    assert (await sent(peer, peer.port, tls="verify"))[0].startswith("250")
    assert await sent(peer, peer.port, tls="verify", trusted=False) == ["451 7.5"]


async def test_each_recipient_has_the_answer_of_its_own(peer: Mta) -> None:
    # Q3
    found = await sent(peer, peer.port, "b@peer.test", "no@peer.test", "later@peer.test")
    assert [code[:3] for code in found] == ["250", "550", "450"]


async def test_a_connection_carries_several_messages(peer: Mta) -> None:
    async with delivery(route=(route(peer.port),), **PATIENT) as made:
        trials = [await deliver(made, entry("b@peer.test")) for _ in range(5)]
    assert [codes(trial) for trial in trials] == [[250]] * 5
