"""Which extensions a script may require.

A registry is an ordinary object; two with different extensions live side by side.
"""

from __future__ import annotations

from collections.abc import Iterator

from mailstack.sieve.definition import Extension

#: Name of the base language; always in force, never required.
BASE = ""


class Registry:
    """Extensions by capability string; mutable until it is shared."""

    def __init__(self) -> None:
        self._extensions: dict[str, Extension] = {}
        self._version = 0

    @classmethod
    def standard(cls) -> Registry:
        """A fresh registry with everything mailstack knows."""
        from mailstack.sieve.commands import EXTENSIONS

        registry = cls()
        for extension in EXTENSIONS:
            registry.register(extension)
        return registry

    @classmethod
    def for_imap_events(cls) -> Registry:
        """A fresh registry for an operator's scripts that run when stored messages change."""
        from mailstack.sieve.commands.imapsieve import EVENT_EXTENSIONS

        registry = cls.standard()
        for extension in EVENT_EXTENSIONS:
            registry.register(extension)
        return registry

    def register(self, extension: Extension) -> None:
        """Adds an extension; one of the same name is replaced."""
        self._extensions[extension.name] = extension
        self._version += 1

    def find(self, name: str) -> Extension | None:
        """The extension of that capability string, which is case-sensitive."""
        return self._extensions.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._extensions

    def __iter__(self) -> Iterator[Extension]:
        return iter(self._extensions.values())

    def capabilities(self) -> list[str]:
        """What a script may require, sorted; also what ManageSieve announces."""
        return sorted(name for name in self._extensions if name != BASE)

    @property
    def version(self) -> int:
        """Grows with each change; for caches."""
        return self._version
