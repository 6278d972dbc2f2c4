"""`mailstack filter aside`: what killed a worker, seen and removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.app.filter_aside import AsideFolder
from mailstack.model.verdict import FilterRecipient, FilterRequest
from tests.kit.instance import Instance, new_instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = new_instance(tmp_path / "instance")
    folder = AsideFolder(made.config.paths.filter_aside, messages=5, octets=10_000)
    for name in ("first", "second"):
        request = FilterRequest(
            name,
            "192.0.2.1",
            "h.test",
            "a@example.net",
            (FilterRecipient(1, 1, "bob@example.test", "bob@example.test"),),
            0.0,
            f"Subject: {name} \x1b[2J\r\n\r\nsecret".encode(),
        )
        folder.keep(request, "filter crashed", shape=name, at=1_800_000_000.0)
    return made


def test_they_are_listed_and_shown(instance: Instance) -> None:
    rows = instance.cli("filter", "aside", "list", "--json").json
    assert [row["id"] for row in rows] == ["first", "second"]
    assert rows[0]["why"] == "filter crashed"
    assert rows[0]["at"] == "2027-01-15T08:00:00Z"
    shown = instance.cli("filter", "aside", "show", "first")
    assert r"Subject: first \x1b[2J" in shown.out and "secret" not in shown.out
    found = instance.cli("filter", "aside", "show", "first", "--json").json
    assert Path(found["file"]).read_bytes().endswith(b"secret")


def test_they_are_removed(instance: Instance) -> None:
    assert instance.cli("filter", "aside", "remove", "first", "--json").json == {"removed": ["first"]}
    assert instance.cli("filter", "aside", "remove", "first").code == 65
    assert instance.cli("filter", "aside", "remove").code == 64
    assert instance.cli("filter", "aside", "remove", "second", "--all").code == 64
    assert instance.cli("filter", "aside", "remove", "--all", "--json").json == {"removed": ["second"]}
    assert instance.cli("filter", "aside", "list", "--json").json == []
    assert "no message" in instance.cli("filter", "aside", "list").err
