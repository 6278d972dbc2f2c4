"""Domains, accounts, persons, credentials, aliases: repositories with plain SQL.  Blocking.

`Directory` reads, `DirectoryWriter` changes.  Both are loaded on first use, because the
options of this package are imported by every command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailstack.directory.reader import Directory as Directory
    from mailstack.directory.writer import DirectoryWriter as DirectoryWriter


def __getattr__(name: str) -> object:
    if name == "Directory":
        from mailstack.directory.reader import Directory

        return Directory
    if name == "DirectoryWriter":
        from mailstack.directory.writer import DirectoryWriter

        return DirectoryWriter
    raise AttributeError(name)
