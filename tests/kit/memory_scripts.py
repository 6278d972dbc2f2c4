"""An account's Sieve scripts in memory, with the directory's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mailstack.directory.names import script_name
from mailstack.directory.scripts import check_room
from mailstack.directory.values import ScriptEntry
from mailstack.model.directory import Account
from mailstack.model.scripts import ScriptCode, ScriptRefused


class MemoryScripts:
    """Implements `model.scripts.ScriptStore`.

    Attributes:
        sources: by name.
        active: name of the active one; "" for none.
        trouble: raised by whatever is asked next, when not None.
    """

    def __init__(self, account: Account, sources: dict[str, bytes] | None = None) -> None:
        self.account = account
        self.sources = dict(sources or {})
        self.active = ""
        self.trouble: Exception | None = None

    def listed(self) -> Sequence[ScriptEntry]:
        self._check()
        return [
            ScriptEntry(name, len(source), name == self.active, 0.0)
            for name, source in sorted(self.sources.items())
        ]

    def source(self, name: str) -> bytes | None:
        self._check()
        return self.sources.get(name)

    def check_room(self, name: str, octets: int) -> None:
        self._check()
        check_room(set(self.sources), self.account, script_name(name), octets)

    def put(self, name: str, source: bytes) -> None:
        self.check_room(name, len(source))
        self.sources[name] = source

    def activate(self, name: str) -> None:
        self._check()
        if name:
            self._expect(name)
        self.active = name

    def rename(self, old: str, new: str) -> None:
        self._check()
        new = script_name(new)
        if new != old and new in self.sources:
            raise self._refused(f"there is a script {new!r} already", "ALREADYEXISTS")
        check_room(set(self.sources) - {old}, replace(self.account, plan="normal"), new, 0)
        self._expect(old)
        self.sources[new] = self.sources.pop(old)
        if self.active == old:
            self.active = new

    def remove(self, name: str) -> None:
        self._check()
        self._expect(name)
        if name == self.active:
            raise self._refused(f"the script {name!r} is active", "ACTIVE")
        del self.sources[name]

    def _expect(self, name: str) -> None:
        if name not in self.sources:
            raise self._refused(f"there is no script {name!r}", "NONEXISTENT")

    def _refused(self, why: str, code: ScriptCode) -> ScriptRefused:
        return ScriptRefused(why, code=code)

    def _check(self) -> None:
        if self.trouble is not None:
            raise self.trouble
