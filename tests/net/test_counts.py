"""Counts that several processes share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailstack.net import counts
from mailstack.net.counts import LocalCounts, SharedCounts
from mailstack.net.listener import Admission, ConnectionCaps

#: Reads "key change" lines and answers with the count; holds its row until it is killed or closed.
HELPER = """
import sys
from pathlib import Path
from mailstack.net.counts import SharedCounts
counts = SharedCounts(Path(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    key, change = line.split()
    print(counts.add(key, int(change)), flush=True)
counts.close()
"""


class Other:
    """Another process over the same file."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HELPER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def add(self, key: str, change: int) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{key} {change}\n")
        self.process.stdin.flush()
        return int(self._read())

    def end(self, *, kill: bool = False) -> None:
        if kill:
            self.process.kill()
        elif self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()


@contextmanager
def another(path: Path) -> Iterator[Other]:
    other = Other(path)
    try:
        yield other
    finally:
        if other.process.poll() is None:
            other.end(kill=True)


def test_processes_see_the_sum(tmp_path: Path) -> None:
    ours = SharedCounts(tmp_path / "counts")
    with another(tmp_path / "counts") as one, another(tmp_path / "counts") as two:
        assert [ours.add("a", 1), one.add("a", 1), two.add("a", 2), ours.add("a", 1)] == [1, 2, 4, 5]
        assert one.add("b", 1) == 1
        assert [two.add("a", -2), one.add("a", -1), ours.add("a", -2)] == [3, 2, 0]
        one.end()
        two.end()
    ours.close()


def test_what_a_killed_process_held_is_given_back(tmp_path: Path) -> None:
    # S50
    ours = SharedCounts(tmp_path / "counts")
    with another(tmp_path / "counts") as other:
        assert other.add("a", 19) == 19
        assert ours.add("a", 1) == 20
        other.end(kill=True)
    ours.reap()
    assert ours.add("a", 1) == 2
    with another(tmp_path / "counts") as later:
        assert later.add("a", 1) == 3
        later.end()
    ours.close()


def test_the_21st_connection_of_an_address_is_refused_whatever_worker_has_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # S42
    ours = SharedCounts(tmp_path / "counts")
    admission = Admission(ConnectionCaps(per_ip=20, per_network=60), counts=ours)
    with another(tmp_path / "counts") as other:
        other.add("192.0.2.1", 15)
        assert [admission.admit("192.0.2.1") for _ in range(5)] == [""] * 5
        assert "from your address" in admission.admit("192.0.2.1")
        assert admission.total == 5
        assert admission.admit("192.0.2.2") == ""
        admission.release("192.0.2.1")
        assert admission.admit("192.0.2.1") == ""
        other.end(kill=True)
    monkeypatch.setattr(counts, "REAP_S", 0.0)
    # Its connections ended with it.
    assert [admission.admit("192.0.2.1") for _ in range(16)] == [""] * 15 + [
        "too many connections from your address"
    ]
    ours.close()


def test_trusted_relays_are_only_counted_in_all() -> None:
    admission = Admission(ConnectionCaps(total=3, per_ip=1, per_minute=1, burst=1), exempt={"192.0.2.25"})
    assert [admission.admit("192.0.2.25") for _ in range(4)] == ["", "", "", "too many connections"]
    for _ in range(3):
        admission.release("192.0.2.25")
    assert [admission.admit("192.0.2.1")] == [""]
    assert admission.admit("192.0.2.1") != ""


@pytest.mark.parametrize("shared", [True, False])
def test_many_keys_do_not_disturb_each_other(tmp_path: Path, shared: bool) -> None:
    table = SharedCounts(tmp_path / "counts") if shared else LocalCounts()
    for n in range(500):
        table.add(f"192.0.2.{n}", 1)
    # Of 500 connections from 500 addresses hardly one looks like two, and none like twenty.
    seen = [table.add(f"198.51.100.{n}", 1) for n in range(200)]
    assert max(seen) <= 3
    assert sum(seen) <= 210
    if isinstance(table, SharedCounts):
        table.close()


def test_a_file_of_another_size_is_made_right(tmp_path: Path) -> None:
    (tmp_path / "counts").write_bytes(b"\xff" * 100_000)
    table = SharedCounts(tmp_path / "counts")
    assert table.add("a", 1) == 1
    table.close()


def test_a_flood_above_its_limit_costs_little(tmp_path: Path) -> None:
    # S43
    import time

    table = SharedCounts(tmp_path / "counts")
    admission = Admission(ConnectionCaps(per_ip=20, per_network=60, per_minute=60, burst=100), counts=table)
    began = time.process_time()
    for _ in range(20_000):
        admission.admit("192.0.2.1")
    assert time.process_time() - began < 5
    table.close()
