"""Fixtures for every test, and which ones cannot run here."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.kit.demo import demo as demo

# Nothing of what is collected goes away again; looking for what does takes as long as all the rest.
gc.disable()


# The same examples in every run, however long one takes: a machine that stands still is no bug.
# Others are tried with MAILSTACK_FUZZ_EXAMPLES=2000.
settings.register_profile(
    "mailstack",
    max_examples=int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "100")),
    derandomize="MAILSTACK_FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mailstack")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """When it is over there is garbage; who only hands the work out collects nothing, and gets here too."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    """Beside others a process gets a folder of a short name: paths of sockets hold 107 octets."""
    if hasattr(config, "workerinput"):
        name = f"mst{os.getppid()}{config.workerinput['workerid']}"
        config.option.basetemp = str(Path(tempfile.gettempdir()) / name)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Nobody counts those folders, as pytest counts its own."""
    if hasattr(session.config, "workerinput") and exitstatus == 0:
        shutil.rmtree(session.config.option.basetemp, ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.root` and `@pytest.mark.debian("swaks", ...)` skip in words."""
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        pytest.skip("needs root")
    for marker in item.iter_markers("debian"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
