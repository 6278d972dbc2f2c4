"""mailstack list."""

from __future__ import annotations

import pytest

from tests.kit.instance import Instance


@pytest.fixture(autouse=True)
def alice(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")


def test_senders_are_blocked_allowed_shown_and_removed(instance: Instance) -> None:
    instance.cli("list", "block", "alice@example.test", "@Spam.example")
    instance.cli("list", "block", "alice@example.test", "bad@shop.example")
    instance.cli("list", "allow", "alice@example.test", "good.example")
    assert instance.cli("list", "show", "alice@example.test", "--json").json == {
        "address": "alice@example.test",
        "block": ["bad@shop.example", "spam.example"],
        "allow": ["good.example"],
    }
    assert "block  spam.example" in instance.cli("list", "show", "alice@example.test").out
    assert instance.cli("list", "remove", "alice@example.test", "spam.example").code == 0
    assert instance.cli("list", "remove", "alice@example.test", "spam.example").code == 65


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["block", "alice@example.test", "*.example"], 65),
        (["block", "nobody@example.test", "x.example"], 67),
        (["show", "nobody@example.test"], 67),
        (["block", "alice@example.test"], 64),
    ],
)
def test_wrong_lists_have_their_codes(instance: Instance, words: list[str], code: int) -> None:
    assert instance.cli("list", *words).code == code
