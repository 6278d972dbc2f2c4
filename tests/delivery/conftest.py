"""Fixtures for the queue's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.queues import QueueKit


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[QueueKit]:
    made = QueueKit(tmp_path)
    yield made
    made.queue.close()
