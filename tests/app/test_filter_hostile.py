"""Every hostile message through one real filter daemon: a verdict in time, and a worker that stays small.

Source: faults, M rows; P9, P10, P13.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.app.filter_worker import resident_octets
from mailstack.model.verdict import FilterAnswer, FilterRecipient, Keep
from tests.kit.dns_server import DnsServer
from tests.kit.filter_daemon import ZONE, Daemon, running
from tests.kit.hostile import CONTENTS, MESSAGES, MIB

#: A worker's memory, whatever it has read.
MOST_RESIDENT = 150 * MIB
IN_MEMORY = 262_144


class Shared:
    """One daemon with one worker, in a thread of its own, for all messages of this file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.daemon: Daemon | None = None
        self._is_up, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self.loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        # Old age must not replace the worker that has read everything.
        with DnsServer(ZONE) as dns:
            async with running(
                self.folder, dns, workers=1, worker_messages=10_000, budget_s=60, step_s=50
            ) as self.daemon:
                self._is_up.set()
                await self._stop.wait()

    def __enter__(self) -> Shared:
        self._thread.start()
        assert self._is_up.wait(30)
        return self

    def __exit__(self, *error: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self.loop.close()

    def ask(self, message: bytes) -> FilterAnswer:
        assert self.daemon is not None
        changes: dict[str, object] = {"message": message, "size_octets": len(message)}
        if len(message) > IN_MEMORY:
            path = self.folder / "message"
            path.write_bytes(message)
            changes |= {"message": None, "path": str(path)}
        recipient = FilterRecipient(1, 1, "bob@home.test", "bob@home.test")
        asking = self.daemon.ask(recipients=(recipient,), **changes)
        return asyncio.run_coroutine_threadsafe(asking, self.loop).result(120)

    @property
    def pid(self) -> int:
        assert self.daemon is not None
        (worker,) = self.daemon.server.pool.workers
        return worker.pid


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    with Shared(tmp_path_factory.mktemp("hostile")) as made:
        yield made


@pytest.mark.parametrize("name", [*MESSAGES, *CONTENTS])
def test_a_hostile_message_gets_its_verdict_and_costs_no_worker(shared: Shared, name: str) -> None:
    # M1 to M18, M21
    message = MESSAGES[name] if name in MESSAGES else CONTENTS[name]()
    before = shared.pid
    answer = shared.ask(message)
    assert answer.verdict.unfiltered == ""
    assert answer.verdict.action in ("accept", "junk", "reject")
    assert answer.accounts[0].actions, "an account's copy ends nowhere"
    assert shared.pid == before
    assert resident_octets(before) < MOST_RESIDENT


def test_and_then_an_honest_one_is_read_as_ever(shared: Shared) -> None:
    assert shared.daemon is not None
    answer = asyncio.run_coroutine_threadsafe(shared.daemon.ask(), shared.loop).result(30)
    assert answer.verdict.authentication.dmarc.result == "pass"
    assert answer.accounts[0].actions == (Keep(implicit=True),)
    assert resident_octets(shared.pid) < MOST_RESIDENT
