"""Files that survive a power cut, and fsyncs that are shared."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from mailstack.disk import durable
from mailstack.disk.durable import GroupSync
from mailstack.model.errors import TemporaryFailure
from tests.kit.process import eventually


def test_a_stored_file_is_whole_and_the_temporary_one_gone(tmp_path: Path) -> None:
    final, temporary = tmp_path / "final", tmp_path / "tmp"
    assert durable.store(final, [b"one ", b"two"], temporary=temporary) == 7
    assert final.read_bytes() == b"one two"
    assert not temporary.exists()
    assert final.stat().st_mode & 0o777 == 0o600


def test_a_taken_name_and_a_symlink_are_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("taken", "link"):
        with pytest.raises(FileExistsError):
            durable.write_synced(tmp_path / name, [b"x"])
    assert (tmp_path / "taken").read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere").exists()


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def chunks():  # type: ignore[no-untyped-def]
        yield b"half"
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        durable.store(tmp_path / "final", chunks(), temporary=tmp_path / "tmp")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_rename_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    with pytest.raises(OSError):
        durable.store(tmp_path / "final", [b"x"], temporary=tmp_path / "tmp")
    assert not (tmp_path / "tmp").exists()


def test_a_short_write_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # F22
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    durable.store(tmp_path / "final", [b"0123456789"], temporary=tmp_path / "tmp")
    assert (tmp_path / "final").read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    ("number", "status", "fatal"),
    [
        (errno.ENOSPC, "3.1", False),
        (errno.EDQUOT, "3.1", False),
        (errno.EIO, "3.0", True),
        (errno.EROFS, "3.0", False),
        (errno.EACCES, "3.0", False),
    ],
)
def test_the_fault_of_the_world_is_named(number: int, status: str, fatal: bool) -> None:
    # P7, P8
    with pytest.raises(TemporaryFailure) as caught, durable.guarded("writing"):
        raise OSError(number, os.strerror(number))
    assert (caught.value.status, caught.value.fatal) == (status, fatal)
    assert caught.value.why.startswith("writing: ")


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    durable.make_folder(tmp_path / "a" / "b" / "c")
    durable.make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_a_small_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for text in ("one", "two"):
        durable.replace_text(tmp_path / "file", text)
        assert (tmp_path / "file").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def waiting(group: GroupSync, folder: Path) -> int:
    """Threads that wait for the next round."""
    state = group._folders.get(str(folder))
    return 0 if state is None else len(state._turn._waiters)  # type: ignore[attr-defined]


def test_concurrent_syncs_share_and_each_began_after_its_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rounds: list[tuple[float, float]] = []
    go_on = threading.Event()

    def slow(folder: Path | str) -> None:
        begun = time.monotonic()
        go_on.wait(60)
        rounds.append((begun, time.monotonic()))

    monkeypatch.setattr(durable, "sync_folder", slow)
    group = GroupSync()
    calls: list[tuple[float, float]] = []

    def work() -> None:
        called = time.monotonic()
        group.sync(tmp_path)
        calls.append((called, time.monotonic()))

    threads = [threading.Thread(target=work) for _ in range(9)]
    for thread in threads:
        thread.start()
    eventually(lambda: waiting(group, tmp_path) == 8)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(calls) == 9
    assert len(rounds) == 2  # 9 without sharing
    for called, returned in calls:
        assert any(called <= begun and ended <= returned for begun, ended in rounds)


def test_every_waiter_of_a_failed_round_sees_the_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # P8: a later round that succeeds does not heal it.
    begun = threading.Event()
    go_on = threading.Event()
    calls = 0

    def failing(folder: Path | str) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            begun.set()
            go_on.wait()
        elif calls == 2:
            raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(durable, "sync_folder", failing)
    group = GroupSync()
    results: list[object] = []

    def work() -> None:
        try:
            group.sync(tmp_path)
            results.append(None)
        except OSError as error:
            results.append(error.errno)

    first = threading.Thread(target=work)
    first.start()
    begun.wait()
    waiters = [threading.Thread(target=work) for _ in range(3)]
    for thread in waiters:
        thread.start()
    eventually(lambda: waiting(group, tmp_path) == 3)
    go_on.set()
    for thread in [first, *waiters]:
        thread.join()
    assert results.count(None) == 1
    assert results.count(errno.EIO) == 3
    group.sync(tmp_path)  # the next caller starts afresh


def test_different_folders_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=60)
    monkeypatch.setattr(durable, "sync_folder", lambda folder: both.wait())
    group = GroupSync()
    threads = [threading.Thread(target=group.sync, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken
