"""What daemons do beside their own work goes on, whatever happens to it."""

from __future__ import annotations

import asyncio

import pytest

from mailstack.app import beside
from mailstack.app.beside import go_on


async def test_a_mistake_is_told_and_the_work_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(beside, "AGAIN_S", 0.01)
    begun: list[None] = []
    again = asyncio.Event()

    async def work() -> None:
        begun.append(None)
        if len(begun) < 3:
            raise OSError(40, "Too many levels of symbolic links")
        again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(go_on("upkeep", work))
    await asyncio.wait_for(again.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(begun) == 3
    assert caplog.text.count("upkeep breaks off") == 2
    assert "Too many levels" in caplog.text
