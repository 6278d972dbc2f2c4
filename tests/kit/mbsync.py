"""Debian's mbsync between an account of a demo and a folder of Maildirs."""

from __future__ import annotations

import os
from pathlib import Path

from tests.kit import debian
from tests.kit.demo import PASSWORD, Demo


class Mbsync:
    """One pair, kept equal whenever it is called; skips the test where there is no mbsync."""

    def __init__(
        self, demo: Demo, account: str, folder: Path, *, patterns: str = "*", remove: str = "Both"
    ) -> None:
        """`folder`: for its settings and its state; the mail lies in `near` below it."""
        self._program = debian.need("mbsync")
        self._folder = folder
        self.near = folder / "mail"
        self.near.mkdir()
        self._settings = folder / "mbsyncrc"
        self._settings.write_text(
            f"""
IMAPStore far
Host localhost
Port {demo.port("imaps")}
User {account}
Pass "{PASSWORD}"
SSLType IMAPS
CertificateFile {demo.state["ca_file"]}

MaildirStore near
Path {self.near}/
Inbox {self.near}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns {patterns}
Create Both
Remove {remove}
Expunge Both
SyncState *
"""
        )

    def __call__(self) -> None:
        environ = {**os.environ, "HOME": str(self._folder)}
        done = debian.run([self._program, "-c", self._settings, "-a"], environ=environ)
        assert done.returncode == 0, done.stdout
