"""What may not stand in any file of the tree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Written in pieces, so that this file does not find itself.
FORBIDDEN = {
    "a registry's address": re.compile(
        r"(py"
        r"pi\.org|python"
        r"hosted|index-"
        r"url|find-"
        r"links\s*=|trusted-"
        r"host\s*=|regis"
        r"try\.npm)"
    ),
    "a path of one machine": re.compile(r"(?<![\w.~-])/(ro" r"ot/\.|wo" r"rk/|ho" r"me/[a-z]+/)"),
    "a merge that was not finished": re.compile(r"^(<{7}|>{7}) ", re.MULTILINE),
    "work left without a number": re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b(?! #\d)"),
}
#: Octets above which a file is data, not text somebody reads.
MAX_OCTETS = 2_000_000


def tracked() -> list[Path]:
    """Every file git knows."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("this tree is not a git clone")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    """Those that are text."""
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data[:4096]:
            found.append((path.relative_to(ROOT), data.decode("utf-8", "replace")))
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = FORBIDDEN[what]
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()!r}"
        for path, text in texts()
        if path.parts[0] != "LICENSE" and path.suffix not in (".eml", ".msg")
        for match in pattern.finditer(text)
        if not _is_allowed(path, what)
    ]
    assert not found, "\n".join(found)


def _is_allowed(path: Path, what: str) -> bool:
    # pip-compile's switches that leave the addresses out.
    return what == "a registry's address" and path == Path("tools/lock.sh")


def test_no_file_is_huge_or_generated_by_accident() -> None:
    for path in tracked():
        assert path.stat().st_size <= MAX_OCTETS, path
        assert path.suffix not in (".pyc", ".db", ".log"), path


def test_requirements_are_exact_and_hashed() -> None:
    for name in ("runtime", "dev"):
        lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
        for number, line in enumerate(lines):
            if line.startswith((" ", "#")) or not line:
                continue
            assert "==" in line and line.endswith("\\"), line
            assert lines[number + 1].lstrip().startswith("--hash=sha256:"), line


def test_what_the_product_needs_the_developer_has_too() -> None:
    def pinned(name: str) -> set[str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return {line.split(" ")[0] for line in text.splitlines() if re.match(r"[a-z]", line)}

    assert pinned("runtime") <= pinned("dev")


def test_scripts_can_be_run() -> None:
    for path in tracked():
        if path.read_bytes().startswith(b"#!"):
            assert path.stat().st_mode & 0o111, f"{path} has a #! line and no x bit"
