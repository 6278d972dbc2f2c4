"""Fault points do nothing unless one is armed."""

from __future__ import annotations

import errno
from pathlib import Path

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


def test_several_points_may_be_armed() -> None:
    point = fault._armed("here:enospc:1,there:eio,here:eio:2")
    for name, number in (("here", errno.ENOSPC), ("there", errno.EIO), ("here", errno.EIO)):
        with pytest.raises(OSError) as caught:
            point(name)
        assert caught.value.errno == number
    point("here")
    point("there")


def test_a_fault_comes_once_for_all_processes_together(tmp_path: Path) -> None:
    first, second = (fault._armed("here:eio:2,there:eio", str(tmp_path)) for _ in range(2))
    first("here")
    with pytest.raises(OSError):
        first("here")
    for _ in range(3):
        second("here")
    with pytest.raises(OSError):
        second("there")
    first("there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.eio", "there.eio"]


@pytest.mark.parametrize("setting", ["here", "here:explode", "a:exit:1:2", "a:exit,", "a:exit:-1"])
def test_a_wrong_setting_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="MAILSTACK_FAULT"):
        fault._armed(setting)
