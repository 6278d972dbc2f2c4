"""mailstack forward."""

from __future__ import annotations

from tests.kit.instance import Instance


def test_redirection_is_set_shown_and_cleared(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")
    assert instance.cli("forward", "show", "alice@example.test", "--json").json == {
        "address": "alice@example.test",
        "targets": [],
        "keep": None,
    }
    instance.cli("forward", "set", "alice@example.test", "a@outside.test", "b@outside.test")
    shown = instance.cli("forward", "show", "alice@example.test", "--json").json
    assert (shown["targets"], shown["keep"]) == (["a@outside.test", "b@outside.test"], False)
    instance.cli("forward", "set", "alice@example.test", "a@outside.test", "--keep")
    assert instance.cli("forward", "show", "alice@example.test", "--json").json["keep"] is True
    assert instance.cli("forward", "clear", "alice@example.test", "--json").json["cleared"] is True
    assert "does not forward" in instance.cli("forward", "show", "alice@example.test").out


def test_catch_all_that_leaves_the_house_warns(instance: Instance) -> None:
    instance.cli("user", "add", "rest@example.test", "--kind", "catchall")
    instance.cli("user", "add", "alice@example.test")
    assert instance.cli("forward", "set", "rest@example.test", "alice@example.test").err == ""
    assert "passes spam on" in instance.cli("forward", "set", "rest@example.test", "x@outside.test").err


def test_unknown_address_exits_67_and_a_loop_65(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")
    assert instance.cli("forward", "set", "nobody@example.test", "x@outside.test").code == 67
    assert instance.cli("forward", "show", "nobody@example.test").code == 67
    assert instance.cli("forward", "set", "alice@example.test", "alice@example.test").code == 65
