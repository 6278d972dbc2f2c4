"""An account for each test."""

from __future__ import annotations

import pytest

from tests.kit.demo import Demo, new_account


@pytest.fixture
def account(demo: Demo, request: pytest.FixtureRequest) -> str:
    return new_account(demo, request)
