"""Who holds a claim, and whether that process lives."""

import os
import subprocess
import sys
from pathlib import Path

from mailstack.delivery import lease
from mailstack.delivery.lease import Lease, is_alive, sweep
from tests.kit.queues import QueueFolders

HOLD = """
import sys, pathlib, os
from mailstack.delivery.lease import Lease
from tests.kit.queues import QueueFolders
print(Lease(QueueFolders(pathlib.Path(sys.argv[1])), random_bytes=os.urandom).owner, flush=True)
sys.stdin.read()
"""


def test_a_holder_is_alive_until_it_is_killed(tmp_path: Path) -> None:
    paths = QueueFolders(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert owner.startswith(f"{process.pid}-")
        assert is_alive(paths, owner) is True
        process.kill()
        process.wait()
    assert is_alive(paths, owner) is False


def test_a_holder_that_left_properly_is_unknown(tmp_path: Path) -> None:
    paths = QueueFolders(tmp_path)
    held = Lease(paths, random_bytes=os.urandom)
    assert is_alive(paths, held.owner) is True
    held.close()
    assert is_alive(paths, held.owner) is None
    assert is_alive(paths, "4711-of-another-machine") is None


def test_two_leases_of_one_process_are_two(tmp_path: Path) -> None:
    paths = QueueFolders(tmp_path)
    first, second = Lease(paths, random_bytes=os.urandom), Lease(paths, random_bytes=os.urandom)
    assert first.owner != second.owner
    first.close()
    assert is_alive(paths, second.owner) is True
    second.close()


def test_the_files_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    paths = QueueFolders(tmp_path)
    living = Lease(paths, random_bytes=os.urandom)
    (lease.folder_of(paths) / "1-dead-0").touch()
    sweep(paths)
    assert [path.name for path in lease.folder_of(paths).iterdir()] == [living.owner]
    living.close()


def test_a_lock_file_that_is_just_being_made_stays(tmp_path: Path) -> None:
    # Processes that start together sweep beside each other; one that lost its file would not start.
    paths = QueueFolders(tmp_path)
    Lease(paths, random_bytes=os.urandom).close()
    young, old = (lease.folder_of(paths) / name for name in (".1-young", ".2-old"))
    for path in (young, old):
        path.touch()
    os.utime(old, (1, 1))
    sweep(paths)
    assert (young.exists(), old.exists()) == (True, False)
