"""The only functions that make a file crash-proof.

A file counts as stored when its bytes and the folder that names it are on the disk:
write under a temporary name, fsync the file, rename, fsync the folder.  After EIO
from an fsync the page may be gone although a second fsync would succeed, so the
failure is `fatal` and the process must stop (promise P8); nothing is retried.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mailstack.disk.fault import fault_point
from mailstack.model.errors import TemporaryFailure

_FULL = {errno.ENOSPC, errno.EDQUOT}


def failure(error: OSError, doing: str) -> TemporaryFailure:
    """The world's fault behind an OSError, in words; never retried blindly.

    Args:
        doing: what was being done, e.g. "writing the message".
    """
    if error.errno in _FULL:
        return TemporaryFailure(f"{doing}: the disk is full", status="3.1")
    if error.errno == errno.EIO:
        return TemporaryFailure(f"{doing}: the disk reports an error", fatal=True)
    if error.errno == errno.EROFS:
        return TemporaryFailure(f"{doing}: the disk is read-only", status="3.0")
    return TemporaryFailure(f"{doing}: {error.strerror or error}")


@contextlib.contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Turns OSError into TemporaryFailure."""
    try:
        yield
    except OSError as error:
        raise failure(error, doing) from error


class GroupSync:
    """Lets concurrent deliveries into one folder share its fsync.

    A caller whose rename happened before an fsync *started* is covered by it; one that
    came later waits for the next.  Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[str, _FolderSync] = {}

    def sync(self, folder: Path | str) -> None:
        """Returns when an fsync of `folder` that began after this call has ended.

        Raises:
            OSError: the fsync failed; every waiter of that round sees it.
        """
        key = str(folder)
        with self._lock:
            state = self._folders.get(key)
            if state is None:
                state = self._folders[key] = _FolderSync()
            state.users += 1
        try:
            state.sync(key)
        finally:
            with self._lock:
                state.users -= 1
                if not state.users:
                    self._folders.pop(key, None)


class _FolderSync:
    def __init__(self) -> None:
        self.users = 0
        self._turn = threading.Condition()
        self._started = 0
        self._ended = 0
        self._errors: dict[int, OSError] = {}

    def sync(self, folder: str) -> None:
        with self._turn:
            needed = self._started + 1
            while self._ended < needed:
                if self._started == self._ended:
                    self._started += 1
                    break
                self._turn.wait()
            else:
                self._raise(needed)
                return
            mine = self._started
        error = None
        try:
            sync_folder(folder)
        except OSError as caught:
            error = caught
        with self._turn:
            self._ended = mine
            if error is not None:
                self._errors[mine] = error
            self._turn.notify_all()
        if error is not None:
            raise error

    def _raise(self, needed: int) -> None:
        # A later round that succeeded does not heal an earlier one that failed.
        for number, error in self._errors.items():
            if number >= needed:
                raise OSError(error.errno, error.strerror)


def sync_folder(folder: Path | str) -> None:
    """fsync of a directory."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Writes all of it: a short write goes on where it stopped."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_synced(path: Path | str, chunks: Iterable[bytes], *, mode: int = 0o600) -> int:
    """Creates a file that must not exist, writes, fsyncs; gives its size in octets.

    On any failure the file is removed.

    Raises:
        OSError: as the system gave it; FileExistsError when the name is taken.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    size = 0
    try:
        try:
            for chunk in chunks:
                write_all(fd, chunk)
                size += len(chunk)
            fault_point("durable.written")
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    fault_point("durable.synced")
    return size


def store(
    final: Path,
    chunks: Iterable[bytes],
    *,
    temporary: Path,
    sync_parent: Callable[[Path], None] = sync_folder,
    mode: int = 0o600,
) -> int:
    """Makes `final` appear whole and durable, or not at all.

    Args:
        final: the name under which it counts as stored; replaced when it exists.
        temporary: a free name on the same file system, swept at start.
        sync_parent: how the folder is synced; GroupSync.sync shares syncs.

    Returns:
        Octets written.

    Raises:
        OSError: nothing is stored and the temporary file is gone; only when the folder's
            fsync failed, `final` may be there, and nobody may rely on it.
    """
    size = write_synced(temporary, chunks, mode=mode)
    try:
        os.rename(temporary, final)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    fault_point("durable.renamed")
    sync_parent(final.parent)
    fault_point("durable.folder_synced")
    return size


def make_folder(path: Path, *, mode: int = 0o700) -> None:
    """Creates a folder and its missing parents, each durable in its parent."""
    if path.is_dir():
        return
    make_folder(path.parent, mode=mode)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=mode)
    sync_folder(path.parent)


def replace_text(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Writes a small file atomically and durably (settings, demo.json, keys)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    store(path, [text.encode()], temporary=temporary, mode=mode)
