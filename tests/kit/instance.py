"""An instance on disk without daemons, and the command line run inside this process.

instance = new_instance(tmp_path)          # domain example.test, cheap password hashes
instance.cli("user", "add", "alice@example.test")
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailstack.app.config import Config, load_config
from mailstack.app.instance import prepare
from mailstack.cli import context
from mailstack.cli.main import run
from mailstack.directory import Directory, DirectoryWriter

#: Long enough for every rule, with what shells and protocols trip over.
PASSWORD = "pa$$ w\"ör\\d;' 7"


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as the one JSON document it must be."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Instance:
    """A prepared state directory with its configuration file."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "mailstack.toml"

    @property
    def config(self) -> Config:
        return load_config(self.file)

    def reader(self, **options: Any) -> Directory:
        return Directory(self.config.paths, options=self.config.auth, **options)

    def writer(self, **options: Any) -> DirectoryWriter:
        return DirectoryWriter(self.config.paths, options=self.config.auth, **options)

    def cli(self, *words: str, stdin: bytes = b"") -> Result:
        return command(*words, "--config", str(self.file), stdin=stdin)


def command(*words: str, stdin: bytes = b"") -> Result:
    """`mailstack WORDS`, in this process."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(list(words))
    finally:
        sys.stdin = before
        context.options = context.Options()
    return Result(code, out.getvalue(), err.getvalue())


def new_instance(folder: Path) -> Instance:
    """A fresh instance with the domain example.test (its keys are made once per process)."""
    shutil.copytree(_template(), folder, dirs_exist_ok=True)
    _configure(folder)
    return Instance(folder)


def _configure(folder: Path) -> None:
    (folder / "mailstack.toml").write_text(
        f'[server]\nhostname = "mx.example.test"\nstate_dir = "{folder}/state"\n'
        "[auth]\nhash_memory_kib = 1024\nhash_passes = 1\n"
    )


@functools.cache
def _template() -> Path:
    holder = tempfile.TemporaryDirectory(prefix="mailstack-template-")
    _KEPT.append(holder)
    folder = Path(holder.name)
    _configure(folder)
    prepare(load_config(folder / "mailstack.toml"))
    with Instance(folder).writer() as writer:
        writer.domains.add("example.test")
    return folder


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
