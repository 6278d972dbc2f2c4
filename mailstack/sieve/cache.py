"""Compiled scripts by the hash of their source: bounded, one per owner, safe for threads."""

from __future__ import annotations

import hashlib

from mailstack.sieve.compiler import CompileResult, compile  # noqa: A004
from mailstack.sieve.limits import Limits
from mailstack.sieve.registry import Registry


class ScriptCache:
    """Compiles each source once for one registry; forgets the oldest when full.

    Scripts that load others at compile time must not come here: their source alone does
    not say what they are.
    """

    def __init__(self, registry: Registry, *, size: int = 256, limits: Limits | None = None) -> None:
        self._registry = registry
        self._limits = limits
        self._size = size
        self._results: dict[tuple[bytes, str | None, int], CompileResult] = {}

    def compile(self, source: bytes, *, path: str | None = None) -> CompileResult:
        """The compiled script, or what is wrong with it."""
        key = (hashlib.sha256(source).digest(), path, self._registry.version)
        result = self._results.get(key)
        if result is None:
            result = compile(source, registry=self._registry, path=path, limits=self._limits)
            self._results[key] = result
            while len(self._results) > self._size:
                self._forget_oldest()
        return result

    def _forget_oldest(self) -> None:
        try:
            self._results.pop(next(iter(self._results)), None)
        except (StopIteration, RuntimeError):
            # Another thread is at it too: it makes the room.
            return

    def __len__(self) -> int:
        return len(self._results)
