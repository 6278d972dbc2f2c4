"""conf/mailstack.toml and docs/configuration.md are what the option structs say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from mailstack.app import document
from mailstack.app.config import Config, known_keys, parse
from mailstack.app.option_types import type_words

ROOT = Path(__file__).parents[2]
AGAIN = "run 'python -m mailstack.app.document'"


def test_reference_file_is_up_to_date() -> None:
    assert (ROOT / "conf" / "mailstack.toml").read_text("utf-8") == document.conf(), AGAIN


def test_reference_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text("utf-8") == document.markdown(), AGAIN


def test_reference_file_as_it_is_means_the_defaults() -> None:
    assert parse(document.conf().encode())[0] == Config()


def taken_in() -> str:
    """The reference file with every key in force; examples of tables are left out."""
    text = re.sub(r"(?m)^#(\w+ = )", r"\1", document.conf())
    return re.sub(r"(?ms)^#\[\[.*?(?=^\[|\Z)", "", text)


def test_reference_file_with_every_key_taken_in_means_the_defaults() -> None:
    assert parse(taken_in().encode())[0] == Config()


def test_every_key_is_in_both_files() -> None:
    page = document.markdown()
    found = tomllib.loads(taken_in())
    tables = {
        f"{name}.{key.name}" for name, kind in document.sections() for key in document.keys(kind) if key.table
    }
    for key in known_keys():
        section, _, name = key.rpartition(".")
        assert f"| `{name}` |" in page
        if key not in tables:
            assert name in found[section], key


def test_key_without_a_comment_is_a_mistake_of_ours() -> None:
    class Silent(msgspec.Struct):
        """Says nothing."""

        key: int = 1

    with pytest.raises(ValueError, match="has no '#:' comment"):
        document.keys(Silent)


def test_comments_may_have_several_lines_and_serve_neighbours() -> None:
    class Spoken(msgspec.Struct):
        #: First line,
        #: second line.
        key: int = 1
        neighbour: int = 2

    assert [key.comment for key in document.keys(Spoken)] == ["First line, second line."] * 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        ('a"b\\c\n', '"a\\"b\\\\c\\n"'),
        (("a", "b"), '["a", "b"]'),
        ({"a": 1}, '{"a" = 1}'),
        (None, '""'),
    ],
)
def test_values_are_written_as_toml(value: object, text: str) -> None:
    assert document.toml_value(value) == text
    if value is not None:
        assert tomllib.loads(f"x = {text}")["x"] == (list(value) if isinstance(value, tuple) else value)


def test_types_have_words() -> None:
    assert type_words(tuple[float, ...]) == "list of numbers"
    assert type_words(dict[str, int]) == "table of whole numbers"
    with pytest.raises(ValueError, match="no words"):
        type_words(object)
