"""Takes one kind of sync out of a Python process: what tests of durability must notice.

Python imports it at its start when its folder is on PYTHONPATH; `MAILSTACK_LOSE` says what
goes: `file` (fsync of files), `folder` (fsync of folders), `normal` (SQLite commits with
`synchronous=NORMAL`).
"""

import os
import sqlite3
import stat

_lose = os.environ.get("MAILSTACK_LOSE", "")
_fsync, _connect = os.fsync, sqlite3.connect


def _without_fsync(fd):
    is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
    if is_folder != (_lose == "folder"):
        _fsync(fd)


class _Normal(sqlite3.Connection):
    def execute(self, sql, *values):
        return super().execute(sql.replace("synchronous=FULL", "synchronous=NORMAL"), *values)


def _connect_normal(*arguments, **options):
    return _connect(*arguments, factory=_Normal, **options)


if _lose in ("file", "folder"):
    os.fsync = _without_fsync
elif _lose == "normal":
    sqlite3.connect = _connect_normal
elif _lose:
    raise ValueError(f"MAILSTACK_LOSE={_lose}: want file, folder or normal")
