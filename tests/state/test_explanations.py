"""Every word a refusal is logged with can be explained, and every explanation is true."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from mailstack.app.config import known_keys
from mailstack.cli.main import GROUPS
from mailstack.state.explanations import EXPLANATIONS

ROOT = Path(__file__).resolve().parents[2]
#: Packages that answer a client; what a client of ours hears is not a refusal of ours.
ANSWERING = ("app", "delivery", "filters", "model", "net", "routing", "sasl", "smtp", "state")
#: Calls that carry a word, and at which place: `Refusal(at, word)`, `Reply(code, status, text, word)`.
PLACES = {
    "Refusal": 1,
    "Refuse": 1,
    "Reply": 3,
    "_error": 2,
    "_refuse": 1,
    "_refusal": 1,
    "_mail_refused": 1,
}
WORD = re.compile(r"[a-z][a-z0-9_]*\Z")


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _texts(node: ast.expr) -> Iterator[str]:
    """The words an expression may give: `"a"`, `"a" if x else "b"`, `reply.check or "a"`."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts(body)
            yield from _texts(orelse)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _texts(value)
        case _:
            return


def _words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        place = PLACES.get(_name(call))
        given = [keyword.value for keyword in call.keywords if keyword.arg == "check"]
        if place is not None and len(call.args) > place:
            given.append(call.args[place])
        for node in given:
            for text in _texts(node):
                if WORD.match(text):
                    yield call.lineno, text


def _used() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in ANSWERING:
        for file in sorted((ROOT / "mailstack" / package).rglob("*.py")):
            for line, word in _words(ast.parse(file.read_text())):
                found.setdefault(word, f"{file.relative_to(ROOT)}:{line}")
    return found


def test_the_words_are_found() -> None:
    # Proof that the search below sees each way a word is given.
    used = _used()
    assert {"unknown_user", "size", "too_slow", "local_error", "connections", "policy"} <= used.keys()


def test_every_word_used_in_the_code_is_explained() -> None:
    missing = {word: where for word, where in _used().items() if word not in EXPLANATIONS}
    assert not missing, "add to mailstack/state/explanations.py:\n" + "\n".join(
        f"{word}  ({where})" for word, where in missing.items()
    )


@pytest.mark.parametrize("word", EXPLANATIONS)
def test_an_explanation_names_keys_that_exist_and_says_what_to_do(word: str) -> None:
    said = EXPLANATIONS[word]
    assert WORD.match(word)
    assert set(said.keys) <= set(known_keys()), "no such configuration key"
    assert said.rule.endswith((".", "?"))
    assert said.advice.endswith(".")


def _commands() -> set[str]:
    found = set(GROUPS)
    for name, group in GROUPS.items():
        module = importlib.import_module(f"mailstack.cli.{group.module}")
        if hasattr(module, "app"):
            inner = getattr(typer.main.get_group(module.app), "commands", {})
            found.update(f"{name} {command}" for command in inner)
    return found


def test_the_commands_of_the_advice_exist() -> None:
    commands = _commands()
    for word, said in EXPLANATIONS.items():
        for quoted in re.findall(r"'mailstack ([a-z-]+(?: [a-z-]+)?)", said.advice):
            assert quoted in commands, f"{word}: there is no 'mailstack {quoted}'"
