"""What tests against the demo share: an account of their own, a word of their own, a client of port 25."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.demo import Demo, new_account
from tests.kit.smtp_probe import Probe


@pytest.fixture
def account(demo: Demo, request: pytest.FixtureRequest) -> str:
    return new_account(demo, request)


@pytest.fixture
def mark(request: pytest.FixtureRequest) -> str:
    """A word that stands in no other test's mail."""
    return f"probe-{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def probe(demo: Demo) -> Iterator[Probe]:
    """On port 25, after EHLO."""
    with Probe((demo.host, demo.port("mx"))) as probe:
        yield probe.open()
