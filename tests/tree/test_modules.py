"""Every module says what it is for, and every public thing what it does."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "mailstack").rglob("*.py"))


def test_public_names_have_a_docstring() -> None:
    missing: list[str] = []
    for file in MODULES:
        tree = ast.parse(file.read_text())
        if tree.body and not ast.get_docstring(tree):
            missing.append(str(file.relative_to(ROOT)))
        for node in tree.body:
            missing += [f"{file.relative_to(ROOT)}: {name}" for name in _missing(node, "")]
    assert not missing, "no docstring:\n" + "\n".join(missing)


def _missing(node: ast.stmt, within: str) -> list[str]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return []
    if node.name.startswith("_") or any(_is_documented_elsewhere(d) for d in node.decorator_list):
        return []
    name = f"{within}{node.name}"
    found = [] if ast.get_docstring(node) else [name]
    # What overrides or implements something is documented there.
    if isinstance(node, ast.ClassDef) and not node.bases:
        for inner in node.body:
            found += _missing(inner, f"{name}.")
    return found


def _is_documented_elsewhere(decorator: ast.expr) -> bool:
    if isinstance(decorator, ast.Attribute):
        return decorator.attr == "setter"
    return isinstance(decorator, ast.Name) and decorator.id == "overload"


def test_a_catch_all_for_exceptions_says_why() -> None:
    # style: `except Exception` once per daemon and in named adapters; each says what for.
    bare = []
    for file in MODULES:
        lines = file.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            if line.strip().startswith("except:"):
                bare.append(f"{file.relative_to(ROOT)}:{number}")
    assert not bare, "bare except:\n" + "\n".join(bare)


def test_nothing_in_the_product_sleeps_without_a_name_for_the_time() -> None:
    # A number in a call of sleep is a limit nobody finds.
    found = []
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "sleep"
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and float(node.args[0].value) > 0.5
            ):
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert not found, "\n".join(found)
