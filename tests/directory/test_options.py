"""Section [auth]."""

from __future__ import annotations

import pytest

from mailstack.directory.options import AuthOptions
from mailstack.model.errors import ConfigError


@pytest.mark.parametrize(
    "change",
    [
        {"hash_memory_kib": 1023},
        {"hash_memory_kib": 131_073},
        {"hash_passes": 0},
        {"hash_passes": 11},
        {"password_min_chars": 0},
        {"success_cache_s": 3_601},
        {"restore_days": 3_651},
    ],
)
def test_values_that_cannot_work_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        AuthOptions(**change)
    assert caught.value.key == f"auth.{next(iter(change))}"


def test_default_hash_is_the_owasp_minimum() -> None:
    assert (AuthOptions().hash_memory_kib, AuthOptions().hash_passes) == (19_456, 2)
