"""Section [pop3]: what it refuses."""

from __future__ import annotations

import pytest

from mailstack.model.errors import ConfigError
from mailstack.pop3.options import Pop3Options


@pytest.mark.parametrize(
    "wrong", [{"idle_time_s": 0}, {"login_time_s": 0}, {"max_per_account": 0}, {"max_bad": 0}]
)
def test_values_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="want"):
        Pop3Options(**wrong)  # type: ignore[arg-type]
