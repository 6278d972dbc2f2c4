"""How results look."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.app.options import ListenOptions
from mailstack.cli import context
from mailstack.model.directory import FilterSettings


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "options", context.Options(json=True))


def test_hostile_values_cannot_move_the_cursor_or_forge_lines() -> None:
    shown = context.render({"name": "a\x1b[2Jb\nname: c\u202e"})
    assert shown == "name: a\\x1b[2Jb\\nname: c\\u202e"


def test_rows_stand_under_their_names() -> None:
    assert context.render([{"a": 1, "long": None}, {"a": "xyz", "long": True}]).splitlines() == [
        "a    long",
        "1    -",
        "xyz  yes",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], ""),
        (["a", 1], "a\n1"),
        ({"x": ["a", "b"], "longer": {"k": 1}}, "x:      a, b\nlonger: k=1"),
        ("text", "text"),
        (FilterSettings(spam=False), "spam:              no\n"),
        (frozenset({"a"}), "a"),
    ],
)
def test_values_are_made_readable(value: object, text: str) -> None:
    assert context.render(value).startswith(text)


def test_json_is_one_document(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    context.show(
        {"path": Path("/x"), "options": ListenOptions(), "filters": FilterSettings(), "bytes": "é"}, "text"
    )
    out = capsys.readouterr().out
    assert '"path": "/x"' in out
    assert '"spam_folder": "Spam"' in out
    assert "é" in out
    assert "text" not in out


def test_text_is_printed_instead_of_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    context.show({"a": 1}, "said")
    context.show({"a": 1}, "")
    context.talk("to the person")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("said\n", "to the person\n")


def test_no_text_touches_the_terminal_unless_it_is_wanted_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\tb\n\x1b[2J\x9b1m\u202eexe\rz"
    context.show({}, hostile)
    context.show({}, hostile, exact=True)
    context.talk(hostile)
    said = capsys.readouterr()
    escaped = "a\tb\n\\x1b[2J\\x9b1m\\u202eexe\\rz\n"
    assert (said.out, said.err) == (escaped + hostile + "\n", escaped)
