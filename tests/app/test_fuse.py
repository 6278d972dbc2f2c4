"""Who asks a database that does not answer: one at a time, and not for a moment after."""

from __future__ import annotations

import pytest

from mailstack.app.fuse import REST_S, Aside, Fuse
from mailstack.model.errors import TemporaryFailure


def _locked() -> int:
    raise TemporaryFailure("locked")


def test_after_a_failure_nobody_asks_for_a_moment() -> None:
    now = [100.0]
    asked: list[int] = []
    fuse = Fuse(clock=lambda: now[0])
    assert fuse.call(lambda: 7) == 7
    with pytest.raises(TemporaryFailure, match="locked"):
        fuse.call(_locked)
    with pytest.raises(TemporaryFailure, match="locked"):
        fuse.call(lambda: asked.append(1))
    assert not asked
    now[0] += REST_S
    assert fuse.call(lambda: 8) == 8


async def test_a_mistake_of_ours_is_no_reason_to_rest() -> None:
    aside = Aside("x")
    with pytest.raises(ZeroDivisionError):
        await aside.run(lambda: 1 // 0)
    assert await aside.run(lambda: 1) == 1
    aside.close()
