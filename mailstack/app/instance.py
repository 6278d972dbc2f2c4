"""Makes and upgrades an instance: folders, master key, databases.

Only `mailstack migrate` (ExecStartPre of the units) and the supervisor call this, and only
one process at a time does it.  Nothing that exists is ever replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mailstack.app.config import Config
from mailstack.app.paths import Paths
from mailstack.delivery import schema as queue_schema
from mailstack.delivery.recover import check_database
from mailstack.directory import schema as directory_schema
from mailstack.directory import seal
from mailstack.directory.writer import DirectoryWriter
from mailstack.disk.durable import guarded, make_folder
from mailstack.disk.migrations import exclusive
from mailstack.model.errors import TemporaryFailure
from mailstack.state import maillog_db, statedb


def prepare(config: Config, *, random_bytes: Callable[[int], bytes] = os.urandom) -> list[str]:
    """Brings everything below the state directory to this version.

    Returns:
        What was done, a few words each; empty when there was nothing to do.

    Raises:
        TemporaryFailure: disk, permissions, a newer schema, or a lost master key.
    """
    paths = config.paths
    done: list[str] = []
    with guarded(f"preparing {paths.state}"):
        for folder in paths.folders:
            if not folder.is_dir():
                make_folder(folder)
                done.append(f"made {folder}")
        with exclusive(paths.state / "migrate.lock"):
            for path, migrate in _databases(paths):
                if migrate(path):
                    done.append(f"migrated {path.name}")
            with DirectoryWriter(paths, options=config.auth, random_bytes=random_bytes) as writer:
                done += _make_secrets(paths, writer, random_bytes)
    return done


def _databases(paths: Paths) -> list[tuple[Path, Callable[[Path], bool]]]:
    return [
        (paths.directory_db, directory_schema.migrate),
        (paths.state_db, statedb.migrate),
        (paths.maillog_db, maillog_db.migrate),
        (paths.queue_db, partial(_migrate_queue, paths)),
    ]


def _migrate_queue(paths: Paths, path: Path) -> bool:
    # A new one takes the place of a lost one: its rows are made again from the files.
    if path.exists():
        check_database(paths)
    return queue_schema.migrate(path)


def _make_secrets(paths: Paths, writer: DirectoryWriter, random_bytes: Callable[[int], bytes]) -> list[str]:
    done: list[str] = []
    if not paths.master_key.exists():
        if writer.has_sealed_secrets():
            # A new key would open nothing and hide that the old one is missing.
            raise TemporaryFailure(
                f"{paths.master_key} is missing, but {paths.directory_db.name} holds secrets encrypted"
                " with it: restore it from the backup"
            )
        seal.create(paths.master_key, random_bytes)
        done.append("made the master key")
    if not writer.srs_secrets.has_one():
        writer.srs_secrets.rotate(keep_s=0)
        done.append("made an SRS secret")
    return done
