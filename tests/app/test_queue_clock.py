"""A clock that jumps while mail waits or the daemon rests: no stall, storm or early bounce (F28, Q23)."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kit.queue_engine import EngineKit, routes, running
from tests.kit.smtp_sink import SmtpSink

DAY_S = 86_400.0
RECIPIENTS = [f"r{number}@live.test" for number in range(20)]
#: A life of five days in a minute and a half; a wait is believed to be 2.4 s at most.
OPTIONS = {"lease_s": 2.0, "give_up_after_s": 90.0, "delay_notice_after_s": 60.0}
JUMPS = {
    "a day on": DAY_S,
    "a day back": -DAY_S,
    "an hour back": -3_600.0,
    "ten years on": 3_650 * DAY_S,
    "back to 1970": -56 * 365.25 * DAY_S,
}


@dataclass
class Watch:
    """The real clock, and how wrong it is."""

    offset_s: float = 0.0
    real: float = field(default_factory=time.time)
    since: float = field(default_factory=time.monotonic)

    def __call__(self) -> float:
        return self.real + time.monotonic() - self.since + self.offset_s


class Greylist:
    """Says later, until it is told not to; counts who was asked."""

    def __init__(self) -> None:
        self.is_open = False
        self.asked: Counter[str] = Counter()

    def __call__(self, address: str) -> str:
        self.asked[address] += 1
        return "250 ok" if self.is_open else "451 4.7.1 later"


async def all_deferred(env: EngineKit, far: Greylist) -> None:
    for recipient in RECIPIENTS:
        env.put(recipient)
    await env.until(lambda: len(far.asked) == len(RECIPIENTS))
    waiting = "SELECT COUNT(*) FROM recipient WHERE state = 0 AND tries > 0"
    await env.until(lambda: env.kit.queue.read(waiting) == [(len(RECIPIENTS),)])


async def all_leave(env: EngineKit, far: Greylist, sink: SmtpSink) -> None:
    """Each is asked again, not in a storm; then all arrive, and nobody is told of anything."""
    before = far.asked.copy()
    began = time.monotonic()
    await env.until(lambda: all(far.asked[address] > before[address] for address in RECIPIENTS), 20)
    tries = max(far.asked[address] - before[address] for address in RECIPIENTS)
    assert tries <= 2 + (time.monotonic() - began) / 0.2, "the schedule does not hold"
    far.is_open = True
    await env.until_empty(20)
    assert sorted(r for message in sink.messages for r in message.recipients) == sorted(RECIPIENTS)
    assert env.mail("alice@example.org") == []
    assert not env.logged("bounced")


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_clock_that_jumps_neither_stalls_nor_bounces_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    watch, far = Watch(), Greylist()
    monkeypatch.setattr(time, "time", watch)
    with SmtpSink(replies={"rcpt": far}) as sink:
        async with running(tmp_path, *routes(live_test=sink), **OPTIONS) as env:
            await all_deferred(env, far)
            watch.offset_s += JUMPS[jump]
            await all_leave(env, far, sink)


@pytest.mark.parametrize("jump", ["a day on", "an hour back", "back to 1970"])
async def test_a_start_with_another_date_neither_stalls_nor_bounces_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    watch, far = Watch(), Greylist()
    monkeypatch.setattr(time, "time", watch)
    with SmtpSink(replies={"rcpt": far}) as sink:
        async with running(tmp_path, *routes(live_test=sink), **OPTIONS) as env:
            await all_deferred(env, far)
        watch.offset_s += JUMPS[jump]
        async with running(tmp_path, *routes(live_test=sink), **OPTIONS) as env:
            await all_leave(env, far, sink)


async def test_a_clock_that_goes_to_and_fro_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, far = Watch(), Greylist()
    monkeypatch.setattr(time, "time", watch)
    with SmtpSink(replies={"rcpt": far}) as sink:
        async with running(tmp_path, *routes(live_test=sink), **OPTIONS) as env:
            await all_deferred(env, far)
            for jump in JUMPS.values():
                for offset_s in (jump, -jump):
                    watch.offset_s += offset_s
                    asked = far.asked.total()
                    await env.until(lambda: far.asked.total() > asked, 20)  # noqa: B023
            await all_leave(env, far, sink)
