"""The systemd units: valid, locked down, and the same names as the code."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.app.daemon import LISTENERS, ROLES
from mailstack.app.workers import KILL_GRACE_S, SILENT_S

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"


@pytest.fixture
def rendered(tmp_path: Path) -> Iterator[Path]:
    """The units with a program that exists."""
    program = tmp_path / "prefix" / ".venv" / "bin" / "mailstack"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    folder = tmp_path / "units"
    subprocess.run([ROOT / "tools" / "render-units", "--prefix", tmp_path / "prefix", folder], check=True)
    yield folder


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def unit(name: str) -> str:
    return (UNITS / name).read_text()


def test_nothing_is_left_to_fill_in(rendered: Path) -> None:
    names = {path.name for path in rendered.iterdir()}
    assert {f"mailstack-{role}.service" for role in ROLES} <= names
    for path in rendered.iterdir():
        assert not re.search(r"@[A-Z]+@", path.read_text()), path.name


def test_systemd_takes_the_units(rendered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEMD_UNIT_PATH", f"{rendered}:")
    done = analyze("verify", "--man=no", *sorted(rendered.iterdir()))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.glob("*.service")))
def test_services_are_exposed_by_two_at_most(
    rendered: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEMD_UNIT_PATH", f"{rendered}:")
    done = analyze("security", "--offline=true", "--threshold=20", "--no-pager", rendered / name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_sockets_have_the_names_the_daemon_looks_for(role: str) -> None:
    for name in LISTENERS[role]:
        socket_unit = unit(f"mailstack-{name}.socket")
        assert f"FileDescriptorName={name}\n" in socket_unit
        assert f"Service=mailstack-{role}.service\n" in socket_unit
        assert f"mailstack-{name}.socket" in unit(f"mailstack-{role}.service")


@pytest.mark.parametrize("role", ROLES)
def test_a_hanging_worker_is_gone_before_systemd_would_act(role: str) -> None:
    wanted = re.search(r"^WatchdogSec=(\d+)$", unit(f"mailstack-{role}.service"), re.MULTILINE)
    assert wanted is not None
    assert int(wanted.group(1)) > SILENT_S + KILL_GRACE_S


@pytest.mark.parametrize("role", ROLES)
def test_every_daemon_is_told_to_run_as_nobody_special(role: str) -> None:
    text = unit(f"mailstack-{role}.service")
    for line in (
        f"ExecStart=@PREFIX@/.venv/bin/mailstack run {role}",
        "User=@USER@",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "UMask=0077",
        "LimitCORE=0",
        "Restart=on-failure",
        "StartLimitIntervalSec=0",
    ):
        assert f"\n{line}\n" in text, line


def test_services_differ_only_where_they_have_to() -> None:
    shared = {
        path.name: path.read_text().split("# -- the same in every")[1].split("[Install]")[0].strip()
        for path in UNITS.glob("*.service")
    }
    assert len(set(shared.values())) == 1, "the common part of the units differs"
