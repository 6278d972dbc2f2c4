"""The homes of accounts that were removed: kept where they are, gone in time.

A removed address is never given to anybody else, so its home can stay in its place;
`mailstack user restore` finds it there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mailstack.disk import durable
from mailstack.mailbox import maildir
from mailstack.model.address import Address

#: No address has a home of such a name.
_DOOMED = ".purged-"


def homes(root: Path) -> list[Path]:
    """The account homes below a root, sorted."""
    found = []
    for domain in sorted(root.iterdir()) if root.is_dir() else []:
        if maildir.is_directory(domain):
            found += [
                home
                for home in sorted(domain.iterdir())
                if maildir.is_directory(home) and not home.name.startswith(_DOOMED)
            ]
    return found


def remove(root: Path, address: Address, *, is_removed: Callable[[], bool]) -> bool:
    """Removes the home of an account; False when it has none, or the account was restored.

    Args:
        is_removed: asked at the last moment, when nobody finds the home any more.

    Raises:
        TemporaryFailure: disk in trouble; what is left goes next time (`sweep`).
    """
    home = maildir.account_home(root, address)
    doomed = home.with_name(f"{_DOOMED}{home.name}")
    with durable.guarded(f"removing the mailbox of {address}"):
        if not is_removed():
            return False
        _remove_tree(doomed)
        try:
            os.rename(home, doomed)
        except FileNotFoundError:
            return False
        if not is_removed():
            os.rename(doomed, home)
            return False
        durable.sync_folder(home.parent)
        _remove_tree(doomed)
    return True


def sweep(root: Path) -> None:
    """Finishes removals that were cut short.

    Raises:
        TemporaryFailure: disk in trouble.
    """
    with durable.guarded("removing mailboxes"):
        for domain in root.iterdir() if root.is_dir() else ():
            if maildir.is_directory(domain):
                for path in domain.glob(f"{_DOOMED}*"):
                    _remove_tree(path)


def _remove_tree(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)
