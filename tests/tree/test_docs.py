"""The documents speak of this tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
STATUS = ("yes", "partial", "no")
_CITED = re.compile(r"\bRFC (\d{3,5})\b")


def index() -> dict[str, tuple[str, str, str]]:
    """docs/rfc.tsv: number to title, status, note."""
    file = ROOT / "docs" / "rfc.tsv"
    if not file.exists():
        pytest.skip("docs/rfc.tsv is not written yet")
    rows = {}
    for line in file.read_text().splitlines():
        if line and not line.startswith(("#", "number")):
            number, title, status, note = line.split("\t")
            rows[number] = (title, status, note)
    return rows


def test_the_index_of_standards_is_well_formed() -> None:
    for number, (title, status, _) in index().items():
        assert number.isdigit() and title and status in STATUS, number


def test_every_standard_the_code_cites_is_in_the_index() -> None:
    known = index()
    missing: dict[str, str] = {}
    for file in (ROOT / "mailstack").rglob("*.py"):
        for number in _CITED.findall(file.read_text()):
            if number not in known:
                missing.setdefault(number, str(file.relative_to(ROOT)))
    assert not missing, f"not in docs/rfc.tsv: {missing}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_that_are_named_exist(document: Path) -> None:
    for name in re.findall(
        r"`((?:mailstack|tests|tools|systemd|conf|docs|bench)/[\w./-]+)`", document.read_text()
    ):
        path = ROOT / name.rstrip("/")
        assert path.exists() or path.with_suffix(".py").exists() or list(ROOT.glob(f"{name}*")), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_commands_that_are_named_exist(document: Path) -> None:
    from mailstack.cli.main import GROUPS

    for name in re.findall(r"`(?:sudo )?mailstack ([a-z]+)", document.read_text()):
        assert name in GROUPS, f"mailstack {name}"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in re.findall(r"`make ([a-z-]+)", document.read_text()):
        assert name in targets, f"make {name}"
