from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.directory import Directory, DirectoryWriter
from tests.kit.instance import Instance, new_instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return new_instance(tmp_path)


@pytest.fixture
def writer(instance: Instance) -> Iterator[DirectoryWriter]:
    with instance.writer() as found:
        yield found


@pytest.fixture
def reader(instance: Instance) -> Iterator[Directory]:
    found = instance.reader()
    yield found
    found.close()
