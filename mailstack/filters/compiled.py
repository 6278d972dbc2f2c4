"""Compiled scripts of all accounts, kept by their source and by what they include.

A script that includes others is another one when these change, so what it was made of is
looked at again each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mailstack import sieve

#: Gives the source of a script: name, and "personal" or "global".
Find = Callable[[str, str], bytes | None]
#: Scripts that are kept; the oldest goes.
SIZE = 256


class _Recorder:
    """Notes which scripts were asked for, and what they were."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self.found: dict[tuple[str, str], bytes | None] = {}

    def get_script(self, name: str, location: str) -> bytes | None:
        source = self._find(name, location)
        self.found[name, location] = _hash(source)
        return source


@dataclass(frozen=True, slots=True)
class _Known:
    result: sieve.CompileResult
    made_of: Mapping[tuple[str, str], bytes | None]


class CompiledScripts:
    """For one registry and one set of settings; not for several threads."""

    def __init__(self, registry: sieve.Registry, settings: Mapping[str, object]) -> None:
        self._registry = registry
        self._settings = settings
        self._known: dict[tuple[bytes, sieve.Limits], _Known] = {}

    def compile(self, source: bytes, limits: sieve.Limits, find: Find) -> sieve.CompileResult:
        """The compiled script, or what is wrong with it.

        Args:
            find: where the account's `include` finds scripts.
        """
        key = (version_of(source), limits)
        known = self._known.get(key)
        if known is not None and all(_hash(find(*one)) == was for one, was in known.made_of.items()):
            return known.result
        recorder = _Recorder(find)
        result = sieve.compile(
            source, registry=self._registry, storage=recorder, settings=self._settings, limits=limits
        )
        self._known.pop(key, None)
        self._known[key] = _Known(result, recorder.found)
        while len(self._known) > SIZE:
            del self._known[next(iter(self._known))]
        return result


def version_of(source: bytes) -> bytes:
    """What tells one version of a script from others."""
    return hashlib.sha256(source).digest()


def _hash(source: bytes | None) -> bytes | None:
    return None if source is None else version_of(source)
