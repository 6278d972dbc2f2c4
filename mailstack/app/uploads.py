"""Scripts somebody uploads for an account, checked with what it may include."""

from __future__ import annotations

from functools import partial

from mailstack.app.account_view import OperatorScripts
from mailstack.directory import Directory
from mailstack.filters.sieve_options import SieveOptions
from mailstack.filters.upload import Uploads
from mailstack.model.directory import Account
from mailstack.model.scripts import Checked, Terms
from mailstack.sieve import Diagnostic


class AccountUploads:
    """Thread-safe; blocking: a large script takes up to a second."""

    def __init__(self, directory: Directory, options: SieveOptions) -> None:
        self._directory = directory
        self._uploads = Uploads(options)
        self._operators = OperatorScripts(options)

    def terms(self, account: Account | None) -> Terms:
        """What scripts of an account may use; of None: of nobody in particular."""
        return self._uploads.terms("normal" if account is None else account.plan)

    def check(self, account: Account, source: bytes) -> Checked:
        """What is wrong with a source, in sentences."""
        return self._uploads.check(source, account.plan, partial(self._find, account))

    def compile(
        self, account: Account, source: bytes, *, path: str
    ) -> tuple[list[Diagnostic], list[Diagnostic]]:
        """Errors and warnings; `path`: the name of the file, for messages."""
        return self._uploads.compile(source, account.plan, partial(self._find, account), path=path)

    def _find(self, account: Account, name: str, place: str) -> bytes | None:
        if place == "global":
            return self._operators.shared(name)
        found = self._directory.script(account.id, name)
        return None if found is None else found.source
