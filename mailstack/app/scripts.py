"""Sieve scripts of accounts for ManageSieve: read, checked, changed, and every change in the mail log.

Changes open the directory for writing each time: they are rare, and then no lock and no
connection is held between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

from mailstack.app.daemon import Context
from mailstack.app.uploads import AccountUploads
from mailstack.directory import Directory, DirectoryWriter
from mailstack.directory.names import script_name
from mailstack.directory.scripts import check_room
from mailstack.directory.values import ScriptEntry
from mailstack.model.directory import Account
from mailstack.net.login_slots import LoginSlots
from mailstack.net.managesieve_server import ManageSieveHub, ScriptServices
from mailstack.net.session_hub import SessionServices


class AccountScripts:
    """The scripts of one account; thread-safe.  Implements `model.scripts.ScriptStore`."""

    def __init__(self, context: Context, directory: Directory, account: Account, peer: str) -> None:
        self._context = context
        self._directory = directory
        self._account = account
        self._address = str(account.address)
        self._peer = peer

    def listed(self) -> Sequence[ScriptEntry]:
        """See ScriptStore."""
        return self._directory.scripts(self._account.id)

    def source(self, name: str) -> bytes | None:
        """See ScriptStore."""
        found = self._directory.script(self._account.id, name)
        return None if found is None else found.source

    def check_room(self, name: str, octets: int) -> None:
        """See ScriptStore."""
        check_room({one.name for one in self.listed()}, self._account, script_name(name), octets)

    def put(self, name: str, source: bytes) -> None:
        """See ScriptStore."""
        with self._writer() as directory:
            stored = directory.scripts.put(self._address, name, source)
        self._say("stored", stored.name, sha256=stored.sha256[:16])

    def activate(self, name: str) -> None:
        """See ScriptStore."""
        with self._writer() as directory:
            directory.scripts.activate(self._address, name)
        self._say("activated" if name else "deactivated", name)

    def rename(self, old: str, new: str) -> None:
        """See ScriptStore."""
        with self._writer() as directory:
            directory.scripts.rename(self._address, old, new)
        self._say("renamed", new, before=old)

    def remove(self, name: str) -> None:
        """See ScriptStore."""
        with self._writer() as directory:
            directory.scripts.remove(self._address, name)
        self._say("removed", name)

    def _writer(self) -> DirectoryWriter:
        return DirectoryWriter(self._context.paths, options=self._context.config.auth)

    def _say(self, change: str, script: str, *, before: str = "", sha256: str = "") -> None:
        self._context.maillog.write(
            "script",
            received_by=[self._address],
            account=self._address,
            change=change,
            script=script,
            before=before,
            sha256=sha256,
            peer=self._peer,
        )


def make_hub(
    context: Context,
    directory: Directory,
    services: SessionServices,
    slots: LoginSlots,
    checker: Executor,
) -> ManageSieveHub:
    """The ManageSieve side of a worker.

    Args:
        checker: one thread, which compiles scripts.
    """
    uploads = AccountUploads(directory, context.config.sieve)
    scripts = ScriptServices(
        scripts=partial(AccountScripts, context, directory),
        terms=uploads.terms,
        check=uploads.check,
        checker=checker,
    )
    return ManageSieveHub(services, scripts, context.config.managesieve, slots)
