from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.instance import Instance, new_instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return new_instance(tmp_path)
