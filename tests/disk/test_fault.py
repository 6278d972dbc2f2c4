"""Fault points do nothing unless one is armed."""

from __future__ import annotations

import errno

import pytest

from mailstack.disk import fault


def test_without_the_variable_nothing_happens() -> None:
    fault.fault_point("mailbox.synced")
    assert not fault.is_armed("mailbox.synced")


@pytest.mark.parametrize(("action", "number"), [("enospc", errno.ENOSPC), ("eio", errno.EIO)])
def test_an_armed_point_fails_at_its_occurrence(action: str, number: int) -> None:
    point = fault._armed(f"here:{action}:2")
    point("here")
    point("elsewhere")
    with pytest.raises(OSError) as caught:
        point("here")
    assert caught.value.errno == number
    point("here")


@pytest.mark.parametrize("setting", ["here", "here:explode", "a:exit:1:2"])
def test_a_wrong_setting_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="MAILSTACK_FAULT"):
        fault._armed(setting)
