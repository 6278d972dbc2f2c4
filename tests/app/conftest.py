"""What the tests of the daemons' insides have in common."""

from __future__ import annotations

import pytest

from mailstack.app import accept
from tests.kit.transaction_world import instance, world

__all__ = ["instance", "world"]


@pytest.fixture(autouse=True)
def directory_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests change the directory and look in the same moment; a command line takes longer to end."""
    monkeypatch.setattr(accept, "TRUSTED_S", 0.0)
