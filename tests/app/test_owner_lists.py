from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from mailstack.app import owner_lists
from mailstack.app.owner_lists import keep_telling
from mailstack.model.errors import TemporaryFailure


async def test_lists_wake_the_queue_and_trouble_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(owner_lists, "EVERY_S", 0.001)
    woken: list[str] = []
    fatal: list[str] = []
    bus = SimpleNamespace(publish=lambda daemon, message: woken.append(daemon))
    context = SimpleNamespace(bus=bus, fatal=fatal.append)
    outcomes: list[int | TemporaryFailure] = [
        0,
        TemporaryFailure("locked"),
        TemporaryFailure("EIO", fatal=True),
        2,
    ]
    is_over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell() -> int:
        if not outcomes:
            loop.call_soon_threadsafe(is_over.set)
            return 0
        outcome = outcomes.pop(0)
        if isinstance(outcome, TemporaryFailure):
            raise outcome
        return outcome

    task = asyncio.create_task(keep_telling(context, tell, what="spam"))  # type: ignore[arg-type]
    await asyncio.wait_for(is_over.wait(), 30)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (woken, fatal) == (["queue"], ["EIO"])
    assert "lists of spam: locked" in caplog.text
