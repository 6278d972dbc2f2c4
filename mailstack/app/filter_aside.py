"""Messages that killed a filter worker, kept for the operator: a copy, and what happened.

Each is two files in one folder, `ID.eml` and `ID.json`.  What is new takes the place of what
is oldest, so the folder stays as small as the options say; the queue's upkeep removes what
is old.  They are copies: the mail itself was delivered, unfiltered and marked (M19).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mailstack.disk import durable
from mailstack.model.errors import TemporaryFailure
from mailstack.model.verdict import FilterRequest

#: What may be part of a file's name.
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_CHUNK_OCTETS = 1_048_576


class Aside(msgspec.Struct, frozen=True):
    """One message.

    Attributes:
        id: its accept id; of one that is only learned from, made of its hash.
        at, last_at: when it first and last happened; Unix seconds.
        why: as in the mark of the delivered copies.
        script: the account's rule a worker died in; "": none was running.
        shape: hash by which it is known again.
        deaths: workers that ended over it or its like.
    """

    id: str
    at: float
    why: str
    shape: str
    size_octets: int
    sender: str = ""
    recipients: tuple[str, ...] = ()
    ip: str = ""
    helo: str = ""
    script: str = ""
    deaths: int = 1
    last_at: float = 0.0


class AsideFolder:
    """The folder."""

    def __init__(self, path: Path, *, messages: int, octets: int) -> None:
        """`messages`, `octets`: more than so many are not kept; 0: nothing is."""
        self._path = path
        self._messages = messages
        self._octets = octets

    def keep(self, request: FilterRequest, why: str, *, shape: str, at: float, script: str = "") -> str:
        """Keeps a copy; gives its id, or that of its like which is there already.

        Returns:
            "" when nothing may be kept, or the message is too large or no longer there.

        Raises:
            TemporaryFailure: the disk is in trouble.
        """
        for known in self.entries():
            if known.shape == shape:
                self._write(msgspec.structs.replace(known, deaths=known.deaths + 1, last_at=at, why=why))
                return known.id
        size = request.size_octets if request.message is None else len(request.message)
        if not self._messages or size > self._octets:
            return ""
        entry = Aside(
            request.accept_id if _ID.fullmatch(request.accept_id) else f"message-{shape[:16]}",
            at,
            why,
            shape,
            size,
            request.sender,
            tuple(recipient.address for recipient in request.recipients),
            request.ip,
            request.helo,
            script,
            last_at=at,
        )
        self._make_room(size)
        with durable.guarded(f"setting a message aside in {self._path}"):
            try:
                _copy(request, self.path_of(entry.id))
            except FileNotFoundError:
                return ""
        try:
            self._write(entry)
        except TemporaryFailure:
            # A copy nobody knows of would count as nothing, and stay.
            with contextlib.suppress(OSError):
                self.path_of(entry.id).unlink(missing_ok=True)
            raise
        return entry.id

    def entries(self) -> list[Aside]:
        """All of them, oldest first; what cannot be read is left out."""
        found = []
        for path in self._paths("json"):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                found.append(msgspec.json.decode(path.read_bytes(), type=Aside))
        return sorted(found, key=lambda entry: (entry.at, entry.id))

    def find(self, id_: str) -> Aside | None:
        """The one with an id."""
        return next((entry for entry in self.entries() if entry.id == id_), None)

    def message(self, id_: str) -> bytes:
        """Its octets; b"" when they are gone.  `id_`: of an entry."""
        try:
            return self.path_of(id_).read_bytes()
        except FileNotFoundError:
            return b""

    def remove(self, id_: str) -> None:
        """Removes one that is there."""
        with durable.guarded(f"removing {id_} from {self._path}"):
            self.path_of(id_).unlink(missing_ok=True)
            (self._path / f"{id_}.json").unlink(missing_ok=True)

    def path_of(self, id_: str) -> Path:
        """Where the copy of an entry lies."""
        return self._path / f"{id_}.eml"

    def _paths(self, extension: str) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            yield from self._path.glob(f"*.{extension}")

    def _write(self, entry: Aside) -> None:
        with durable.guarded(f"setting a message aside in {self._path}"):
            durable.replace_text(self._path / f"{entry.id}.json", msgspec.json.encode(entry).decode() + "\n")

    def _make_room(self, octets: int) -> None:
        """Removes the oldest until one more of this size fits."""
        held = self.entries()
        total = sum(entry.size_octets for entry in held)
        while held and (len(held) >= self._messages or total + octets > self._octets):
            oldest = held.pop(0)
            total -= oldest.size_octets
            self.remove(oldest.id)


def open_folder(path: Path, *, messages: int, octets: int) -> AsideFolder | None:
    """The folder, made when it is missing; None when that fails: mail flows without it."""
    try:
        with durable.guarded(f"making {path}"):
            if not path.is_dir():
                durable.make_folder(path)
    except TemporaryFailure:
        return None
    return AsideFolder(path, messages=messages, octets=octets)


def _copy(request: FilterRequest, target: Path) -> None:
    target.unlink(missing_ok=True)
    if request.message is not None:
        durable.write_synced(target, [request.message])
        return
    try:
        # The spool lies on the same file system, unless the unit shows it read-only.
        os.link(request.path, target)
    except FileNotFoundError:
        raise
    except OSError:
        with Path(request.path).open("rb") as source:
            durable.write_synced(target, iter(lambda: source.read(_CHUNK_OCTETS), b""))
