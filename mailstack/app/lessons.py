"""The files in which what was taught is kept: lessons, and the corrections made of them.

`lessons` are the examples, `learned` what the filter reads for each message.  Both lie in an
account's home and go with it; those of a domain lie in a folder of its own below `model`.
What cannot be read has not been learned, and the mail flows (M20).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from mailstack.app.paths import Paths
from mailstack.disk import durable
from mailstack.disk.lock import lock_within
from mailstack.mailbox import maildir
from mailstack.model.address import Address
from mailstack.model.lessons import Lesson

LESSONS, LEARNED = "lessons", "learned"
#: Whoever writes lessons asks the filter meanwhile.
LOCK_WAIT_S = 30.0
_NAP_S = 0.05
#: Larger files are not ours: the largest come to a fifth of it.
MAX_FILE_OCTETS = 33_554_432

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode


class _File(msgspec.Struct, frozen=True, array_like=True):
    """What stands in the file.  `version`: of this format."""

    version: int
    lessons: list[Lesson]


_VERSION = 1
#: As in filters/study.py, which imap does not load: it reads no mail.
_VERSION_OCTETS = 2
_decode = msgspec.msgpack.Decoder(_File).decode


def home_of(mail: Path, address: Address) -> Path:
    """Where an account's lessons lie; `mail`: root of the account homes."""
    return maildir.account_home(mail, address)


def domain_folder(paths: Paths, domain: str) -> Path:
    """Where a domain's lessons lie.  `domain`: lower case, A-labels."""
    return paths.model / quote(domain.lower(), safe="")


def sweep(paths: Paths, exists: Callable[[str], bool]) -> list[str]:
    """Removes what domains were taught that are gone; gives their names.

    Raises:
        TemporaryFailure: the disk is in trouble.
    """
    gone = []
    with durable.guarded("removing lessons of domains"):
        for folder in sorted(paths.model.iterdir()) if paths.model.is_dir() else ():
            name = unquote(folder.name)
            if (folder / LESSONS).exists() and not exists(name):
                shutil.rmtree(folder)
                gone.append(name)
    return gone


class LessonBook:
    """The lessons of one account or domain."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes them meanwhile; the folder is there afterwards.

        Raises:
            TemporaryFailure: somebody else does, for long; or the disk is in trouble.
        """
        with durable.guarded("opening lessons"):
            durable.make_folder(self._folder)
            fd = os.open(self._folder / f"{LESSONS}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock_within(fd, LOCK_WAIT_S, f"{self._folder}: the lessons are being changed", nap_s=_NAP_S)
            yield
        finally:
            os.close(fd)

    def read(self) -> list[Lesson]:
        """The lessons, oldest first; none when there are none, or they are damaged.

        Raises:
            TemporaryFailure: the disk is in trouble.
        """
        path = self._folder / LESSONS
        with durable.guarded(f"reading {path}"):
            try:
                with path.open("rb") as file:
                    octets = file.read(MAX_FILE_OCTETS)
            except FileNotFoundError:
                return []
        try:
            found = _decode(octets)
        except msgspec.MsgspecError as error:
            _log.error("%s: %s: begins anew; 'mailstack train rebuild' makes it again", path, error)
            return []
        return found.lessons if found.version == _VERSION else []

    def features(self) -> int:
        """The version of the features the corrections are made of; 0: there are none."""
        with contextlib.suppress(OSError), (self._folder / LEARNED).open("rb") as file:
            return int.from_bytes(file.read(_VERSION_OCTETS), "big")
        return 0

    def write(self, lessons: Sequence[Lesson], corrections: bytes) -> None:
        """Replaces lessons and corrections; without lessons there are no files.

        Raises:
            TemporaryFailure: the disk is in trouble.
        """
        with durable.guarded(f"writing lessons below {self._folder}"):
            if not lessons:
                for name in (LEARNED, LESSONS):
                    (self._folder / name).unlink(missing_ok=True)
                durable.sync_folder(self._folder)
                return
            # In this order: what the lessons show counts already.
            self._store(LEARNED, corrections)
            self._store(LESSONS, _encode(_File(_VERSION, list(lessons))))

    def _store(self, name: str, octets: bytes) -> None:
        temporary = self._folder / f".{name}.tmp"
        temporary.unlink(missing_ok=True)
        durable.store(self._folder / name, [octets], temporary=temporary)
