"""Says which files and functions have grown long, and which modules have no tests of their own.

For people: docs/style.md aims at 200 lines and 500 at most, at 15 lines and 60 at most.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60


def main() -> None:
    """Prints one line per thing, and one with the sums."""
    files = sorted((ROOT / "mailstack").rglob("*.py"))
    lines = {file: len(file.read_text().splitlines()) for file in files}
    findings = [f"{name(file)}: {count} lines" for file, count in lines.items() if count > MAX_FILE_LINES]
    for file in files:
        findings += long_functions(file)
    untested = [name(file).removeprefix("mailstack/") for file in files if not has_tests(file)]
    if "--all" in sys.argv:
        findings += [f"{module}: tested only through others" for module in untested]
    for finding in findings:
        sys.stdout.write(f"  {finding}\n")
    tests = sum(len(file.read_text().splitlines()) for file in (ROOT / "tests").rglob("*.py"))
    sums = f"{len(files)} modules, {sum(lines.values())} lines; {tests} lines of tests"
    sums += f"; {len(untested)} modules tested only through others (--all names them)"
    sys.stdout.write(f"{sums}; {len(findings)} remarks\n")


def name(file: Path) -> str:
    """Path in the tree."""
    return str(file.relative_to(ROOT))


def long_functions(file: Path) -> list[str]:
    """Functions of the file that are too long, docstring counted."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                found.append(f"{name(file)}:{node.lineno}: {node.name}: {length} lines")
    return found


def has_tests(file: Path) -> bool:
    """mailstack/smtp/data.py belongs to tests/smtp/test_data.py."""
    inside = file.relative_to(ROOT / "mailstack")
    if file.stem in ("__init__", "options") or len(inside.parts) == 1:
        return True
    return (ROOT / "tests" / inside.parent / f"test_{file.stem.strip('_')}.py").exists()


if __name__ == "__main__":
    sys.exit(main())
