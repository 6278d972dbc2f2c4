"""Programs from Debian that tests drive: found, or the test is skipped in words."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest


def need(program: str) -> str:
    """Its path; skips the test and names what is missing."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; 'make test' as root installs it")
    return found


def need_unpacked(name: str, program: str) -> Path:
    """A program of a package that is unpacked in `.tools`; skips the test when it is not there."""
    found = Path(__file__).resolve().parents[2] / ".tools" / name / program
    if not found.exists():
        pytest.skip(f"{name} is not unpacked; 'make test' does it")
    return found


def run(
    command: Sequence[str | Path],
    *,
    stdin: str = "",
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end; stdout and stderr together in `stdout`."""
    return subprocess.run(
        [str(word) for word in command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        env=dict(environ) if environ is not None else None,
        cwd=cwd,
        check=False,
    )
