"""Slots: so many for each account, over all processes, given back whatever happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mailstack.net.login_slots import LoginSlots

_OTHER = """
import sys
from pathlib import Path
from mailstack.net.login_slots import LoginSlots
slots = LoginSlots(Path(sys.argv[1]), 3)
print(sum(slots.take("alice@example.test") is not None for _ in range(int(sys.argv[2]))), flush=True)
sys.stdin.read()
"""


def test_an_account_has_so_many_and_no_more(tmp_path: Path) -> None:
    slots = LoginSlots(tmp_path / "slots", 3)
    taken = [slots.take("alice@example.test") for _ in range(3)]
    assert None not in taken and len(set(taken)) == 3
    assert slots.take("alice@example.test") is None
    assert slots.take("bob@example.test") is not None
    assert taken[1] is not None
    slots.release(taken[1])
    assert slots.take("alice@example.test") == taken[1]
    slots.close()


def test_every_account_has_room_for_as_many_as_can_be_configured(tmp_path: Path) -> None:
    slots = LoginSlots(tmp_path / "slots", 1_000_000)
    assert all(slots.take(f"user{number}@example.test") is not None for number in range(200))
    slots.close()


def test_they_are_counted_over_all_processes_and_a_killed_one_gives_its_back(tmp_path: Path) -> None:
    slots = LoginSlots(tmp_path / "slots", 3)
    command = [sys.executable, "-c", _OTHER, str(tmp_path / "slots"), "2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "2\n"
        assert slots.take("alice@example.test") is not None
        assert slots.take("alice@example.test") is None
        other.kill()
        other.wait()
    assert slots.take("alice@example.test") is not None
    slots.close()
