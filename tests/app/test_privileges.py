"""Not root: who a daemon and a command become, and whether they can go on as that."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mailstack.app import privileges
from tests.kit.instance import new_instance

NOBODY = 65_534


@pytest.mark.parametrize(("module", "name"), [(sys, "executable"), (os, "__file__")])
def test_a_python_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    assert privileges.why_no_python() == ""
    monkeypatch.setattr(module, name, str(tmp_path / "away"))
    assert "away; install mailstack" in privileges.why_no_python()


@pytest.mark.root
def test_a_command_as_somebody_who_may_not_read_python_ends_with_a_sentence() -> None:
    with tempfile.TemporaryDirectory() as name:
        instance = new_instance(Path(name))
        Path(name).chmod(0o755)
        state = instance.config.paths.state
        for path in (state, *state.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        words = ("--config", str(instance.file), "mailbox", "list", "alice@example.test")
        done = subprocess.run(
            [sys.executable, "-m", "mailstack.cli.main", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    said = {os.EX_CONFIG: "where everybody may read", os.EX_NOUSER: "there is no mailbox"}
    assert "Traceback" not in done.stderr and said[done.returncode] in done.stderr
