"""Writes conf/mailstack.toml and docs/configuration.md from the option structs.

`python -m mailstack.app.document` writes both; a test compares.  The texts are the `#:`
comments above the fields, so a key cannot be without one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping


def toml_value(value: object) -> str:
    """A value as TOML would write it.

    Raises:
        ValueError: a kind of value no option has.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        pairs = [f"{json.dumps(str(key))} = {toml_value(item)}" for key, item in value.items()]
        return "{" + ", ".join(pairs) + "}"
    if value is None:
        return '""'
    raise ValueError(f"no TOML for {type(value).__name__}")
