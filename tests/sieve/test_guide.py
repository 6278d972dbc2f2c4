"""The examples in docs/sieve.md run as they stand."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from mailstack import sieve

GUIDE = (Path(__file__).parents[2] / "docs" / "sieve.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


class Place:
    def deliver(self, mailbox: str, message: bytes, flags: tuple[str, ...], create: bool) -> None: ...

    def send(self, envelope_from: str, recipients: list[str], message: bytes) -> None: ...


def test_every_example_runs() -> None:
    names: dict[str, Any] = {
        "source": b'require "copy"; redirect :copy "a@b.example";',
        "octets": b"Subject: two words\r\n\r\n",
        "time": time,
        "store": Place(),
        "sender": Place(),
        "ControlFlow": sieve.ControlFlow,
    }
    for example in EXAMPLES:
        exec(example, names)
    assert names["ctx"].result.actions == [sieve.Redirect("a@b.example", copy=True)]
    registry = names["registry"]
    assert sieve.compile('require "vacation"; vacation :days 1 "x";', registry=registry).ok
    assert not sieve.compile('require "vacation"; vacation :days 0 "x";', registry=registry).ok


def test_the_names_in_the_guide_exist() -> None:
    for name in re.findall(r"`([A-Z][A-Za-z_]+)\(", GUIDE):
        assert hasattr(sieve, name), name
