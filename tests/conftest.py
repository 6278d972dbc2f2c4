"""Fixtures for every test, and which ones cannot run here."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.kit.demo import demo as demo


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.root` and `@pytest.mark.debian("swaks", ...)` skip in words."""
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        pytest.skip("needs root")
    for marker in item.iter_markers("debian"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
