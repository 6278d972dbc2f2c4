"""What mailstack says to people, in every language it writes: one TOML file each, beside this one.

A text is named by its path, "report.opening.failed", and may hold values, `{host}`.  All
files have the same texts with the same values; where one lacks a text, the English is said.

Imports: model.  Reads its own files only, each once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

from mailstack.model.language import LANGUAGES, Language


def say(language: Language, key: str, /, **values: str) -> str:
    """A text with its values.

    Raises:
        KeyError: no such text, or a value is missing; a mistake of ours.
    """
    return text(language, key).format_map(values)


def text(language: Language, key: str) -> str:
    """A text with places for its values.

    Raises:
        KeyError: no such text; a mistake of ours.
    """
    found = table(language).get(key)
    return found if found is not None else table("en")[key]


def load() -> None:
    """Reads every language now: a daemon that runs on while it is upgraded keeps its own texts."""
    for language in LANGUAGES:
        table(language)


@cache
def table(language: Language) -> Mapping[str, str]:
    """Every text of a language by its path."""
    if language not in LANGUAGES:
        raise ValueError(language)
    source = (resources.files("mailstack.delivery.texts") / f"{language}.toml").read_text("utf-8")
    return dict(_flat(tomllib.loads(source), ""))


def _flat(part: Mapping[str, object], path: str) -> Iterator[tuple[str, str]]:
    for key, value in part.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", str(value).strip("\n")
