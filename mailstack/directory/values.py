"""What the directory says beyond the words of `model.directory`: frozen values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.secret import Keys


class DirectoryPaths(Protocol):
    """Where the directory lies; `app.paths.Paths` is one."""

    @property
    def directory_db(self) -> Path: ...

    @property
    def master_key(self) -> Path: ...


def locate(paths: Path | DirectoryPaths) -> tuple[Path, Path]:
    """The database and the master key, of a database's path or of an instance's paths."""
    if isinstance(paths, Path):
        return paths, paths.parent / "secrets" / "master.key"
    return paths.directory_db, paths.master_key


@dataclass(frozen=True, slots=True)
class Script:
    """A Sieve script with its source."""

    name: str
    source: bytes = field(repr=False)
    sha256: str
    active: bool = False


@dataclass(frozen=True, slots=True)
class ScriptEntry:
    """A line of a script list.  `changed_at`: Unix seconds."""

    name: str
    size_octets: int
    active: bool
    changed_at: float


@dataclass(frozen=True, slots=True)
class ListedSender:
    """A change of a list.  `pattern`: as stored; `moved_from`: the list it was in before, or ""."""

    pattern: str
    moved_from: str


@dataclass(frozen=True, slots=True)
class SenderLists:
    """Whom an account blocks and allows: address keys and whole domains (A-labels)."""

    blocked: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, listed: Iterable[tuple[str, str]]) -> SenderLists:
        """Of pairs of a pattern and its list, "block" or "allow"."""
        pairs = list(listed)
        return cls(
            frozenset(pattern for pattern, kind in pairs if kind == "block"),
            frozenset(pattern for pattern, kind in pairs if kind == "allow"),
        )


@dataclass(frozen=True, slots=True)
class AppPassword:
    """A password for one program or device.

    Attributes:
        scopes: protocols it is good for, of "imap", "pop3", "smtp", "sieve".
        created_at: Unix seconds.
        mac: what tells it from others; worth nothing without the master key.
        keys: what SCRAM needs; None when it was made while SCRAM was off.
    """

    id: int
    name: str
    scopes: tuple[str, ...]
    created_at: float
    mac: bytes = field(repr=False)
    keys: Keys | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Entered:
    """A good login.  `app_password`: what it was made with; None: the address's own password."""

    account: Account
    app_password: AppPassword | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """A login that is refused; the client never hears why, the log does.

    Attributes:
        why: a sentence.
        check: the word for the rule (state/explanations.py).
    """

    why: str
    check: str


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """What a device may do without a login: from these networks, to these domains (A-labels)."""

    networks: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovedAccount:
    """An address that was removed and is remembered.  `removed_at`: Unix seconds."""

    id: int
    address: Address
    removed_at: float
