"""Whether a script somebody uploads may be stored, with the product's extensions and limits.

Standards: RFC 5804 section 2.6, RFC 6609 section 3.2 (what is included may come later).
Imports: sieve, model.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable

from mailstack import sieve
from mailstack.filters.rules import settings_of
from mailstack.filters.sieve_options import SieveOptions, limits_of
from mailstack.model.directory import Plan
from mailstack.model.scripts import Checked, Terms
from mailstack.sieve.limits import configured

#: URI schemes `notify` takes.
NOTIFY_METHODS = ("mailto",)


class Uploads:
    """Checks sources; thread-safe."""

    def __init__(self, options: SieveOptions | None = None) -> None:
        self._registry = sieve.Registry.standard()
        self._settings = settings_of(options or SieveOptions())

    def terms(self, plan: Plan) -> Terms:
        """What scripts of such an account may use."""
        extensions, limits = self._registry.capabilities(), configured(limits_of(plan), self._settings)
        has_notifications = "enotify" in extensions and limits.max_notifications > 0
        return Terms(
            tuple(extensions),
            limits.max_script_octets,
            limits.max_redirects,
            NOTIFY_METHODS if has_notifications else (),
        )

    def compile(
        self,
        source: bytes,
        plan: Plan,
        find: Callable[[str, str], bytes | None],
        *,
        path: str | None = None,
    ) -> tuple[list[sieve.Diagnostic], list[sieve.Diagnostic]]:
        """Errors and warnings; never raises because of the source.

        Args:
            find: where the account's `include` finds scripts: name, and "personal" or "global".
            path: of the file, for messages.
        """
        result = sieve.compile(
            source,
            registry=self._registry,
            path=path,
            storage=_Storage(find),
            settings=self._settings,
            limits=limits_of(plan),
            is_upload=True,
        )
        return sieve.check_upload(source, result), result.warnings

    def check(self, source: bytes, plan: Plan, find: Callable[[str, str], bytes | None]) -> Checked:
        """The same as sentences."""
        errors, warnings = self.compile(source, plan, find)
        return Checked(tuple(map(_sentence, errors)), tuple(map(_sentence, warnings)))


class _Storage:
    """What a function finds, as the engine wants it."""

    def __init__(self, find: Callable[[str, str], bytes | None]) -> None:
        self._find = find

    def get_script(self, name: str, location: str) -> bytes | None:
        """See sieve.Storage."""
        return self._find(name, location)


def _sentence(one: sieve.Diagnostic) -> str:
    return f"line {one.line}, column {one.column}: {one.message}"
