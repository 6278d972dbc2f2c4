"""inotify: which directories changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.disk.inotify import Inotify


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    """One instance."""
    found = Inotify()
    yield found
    found.close()


def test_new_renamed_and_removed_files_are_seen_by_the_watch_of_their_directory(
    inotify: Inotify, tmp_path: Path
) -> None:
    watched, other = tmp_path / "cur", tmp_path / "tmp"
    watched.mkdir()
    other.mkdir()
    watch = inotify.add(str(watched))
    assert inotify.read().changed == frozenset()
    (watched / "a").touch()
    assert inotify.read().changed == {watch}
    os.rename(watched / "a", watched / "a:2,S")
    assert inotify.read().changed == {watch}
    os.rename(watched / "a:2,S", other / "a")
    assert inotify.read().changed == {watch}
    os.rename(other / "a", watched / "a")
    assert inotify.read().changed == {watch}
    (watched / "a").unlink()
    assert inotify.read().changed == {watch}
    (other / "b").touch()
    assert inotify.read() == (frozenset(), frozenset(), False)


def test_the_same_directory_is_watched_once_and_no_longer_when_removed(
    inotify: Inotify, tmp_path: Path
) -> None:
    watch = inotify.add(str(tmp_path))
    assert inotify.add(str(tmp_path)) == watch
    inotify.remove(watch)
    assert inotify.read().gone == {watch}
    (tmp_path / "a").touch()
    assert inotify.read().changed == frozenset()
    inotify.remove(watch)


def test_a_directory_that_goes_away_ends_its_watch(inotify: Inotify, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    watch = inotify.add(str(folder))
    folder.rmdir()
    assert watch in inotify.read().gone


def test_what_is_missing_no_directory_or_a_link_is_refused(inotify: Inotify, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for name in ("missing", "file", "link"):
        with pytest.raises(OSError, match=name):
            inotify.add(str(tmp_path / name))
