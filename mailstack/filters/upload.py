"""Whether a script somebody uploads may be stored, with the product's extensions and limits.

A script is checked as it is compiled to run, but for what it includes: a script that is
not there yet, or includes this one, is no mistake now (RFC 6609 section 3.2).  A missing
one is a warning.

Standards: RFC 5804 section 2.6, RFC 6609 section 3.2.
Imports: sieve, model.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable

from mailstack import sieve
from mailstack.model.directory import Plan
from mailstack.model.scripts import Checked, Terms

#: URI schemes `notify` takes.
NOTIFY_METHODS = ("mailto",)

#: Whether there is a script of this name; the place is "personal" or "global".
Exists = Callable[[str, str], bool]


class Uploads:
    """Checks sources; thread-safe."""

    def __init__(self) -> None:
        self._registry = sieve.Registry.standard()
        self._limits: dict[Plan, sieve.Limits] = {"normal": sieve.NORMAL, "free": sieve.FREE}

    def terms(self, plan: Plan) -> Terms:
        """What scripts of such an account may use."""
        extensions, limits = self._registry.capabilities(), self._limits[plan]
        has_notifications = "enotify" in extensions and limits.max_notifications > 0
        return Terms(
            tuple(extensions),
            limits.max_script_octets,
            limits.max_redirects,
            NOTIFY_METHODS if has_notifications else (),
        )

    def check(self, source: bytes, plan: Plan, exists: Exists) -> Checked:
        """What is wrong with a source; never raises because of it."""
        included = _Included(exists)
        result = sieve.compile(source, registry=self._registry, storage=included, limits=self._limits[plan])
        errors = sieve.check_upload(source, result)
        warnings = [*map(_sentence, result.warnings), *included.missing]
        return Checked(tuple(map(_sentence, errors)), tuple(warnings))


class _Included:
    """Every script that may be included, without what stands in it."""

    def __init__(self, exists: Exists) -> None:
        self._exists = exists
        self.missing: list[str] = []

    def get_script(self, name: str, location: str) -> bytes | None:
        """See sieve.Storage."""
        if not self._exists(name, location):
            self.missing.append(f"include: there is no {location} script {name!r} yet")
        return b""


def _sentence(one: sieve.Diagnostic) -> str:
    return f"line {one.line}, column {one.column}: {one.message}"
