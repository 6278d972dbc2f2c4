"""Section [managesieve]."""

from __future__ import annotations

import pytest

from mailstack.managesieve.options import ManageSieveOptions
from mailstack.model.errors import ConfigError


@pytest.mark.parametrize(
    "wrong",
    [
        {"idle_time_s": 0},
        {"login_time_s": 0},
        {"max_per_account": 0},
        {"checks_per_minute": 0},
        {"check_s_per_hour": 0},
    ],
)
def test_what_would_stop_everything_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="managesieve"):
        ManageSieveOptions(**wrong)  # type: ignore[arg-type]
