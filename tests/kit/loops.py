"""Runs an async test under stock asyncio and under uvloop; waits in one."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

Factory = Callable[[], asyncio.AbstractEventLoop]


#: Nothing takes so long but on a machine that has much else to do.
WAIT_S = 60.0

_LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def until(
    holds: Callable[[], bool], explain: Callable[[], object] = lambda: "", *, timeout_s: float = WAIT_S
) -> None:
    """Waits until `holds()`; fails with `explain()` after the time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not holds():
        assert loop.time() < deadline, f"not within {timeout_s} s: {explain()}"
        await asyncio.sleep(0.01)


def both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes an async test two plain ones; its other fixtures must be plain too."""
    return _in_loops(test, ["asyncio", "uvloop"])


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an async test under uvloop only, as the daemons do."""
    return _in_loops(test, ["uvloop"])


def _in_loops(test: Callable[..., Coroutine[Any, Any, None]], names: list[str]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: object, loop_factory: Factory, **values: object) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(test(*args, **values))

    signature = inspect.signature(test)
    more = inspect.Parameter("loop_factory", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), more])  # type: ignore[attr-defined]
    return pytest.mark.parametrize("loop_factory", [_LOOPS[name] for name in names], ids=names)(run)
