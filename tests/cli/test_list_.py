"""mailstack list."""

from __future__ import annotations

import time

import pytest

from mailstack.state.sender_history import SenderHistory
from mailstack.state.sending import Sending
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


def test_every_way_to_write_a_domain_is_that_domain(instance: Instance) -> None:
    for pattern in ("*@evil.test", "@evil.test", "evil.test"):
        assert instance.cli("list", "block", "alice@example.test", pattern).out == "block: evil.test\n"
    found = instance.cli("list", "block", "alice@example.test", "ad*@evil.test")
    assert (found.code, "there are no wildcards such as '*'" in found.err) == (65, True)


def test_a_sender_that_changes_lists_is_said_to(instance: Instance) -> None:
    instance.cli("list", "block", "alice@example.test", "x.example")
    found = instance.cli("list", "allow", "alice@example.test", "x.example")
    assert found.out == "allow: x.example (no longer in the block list)\n"
    again = instance.cli("list", "allow", "alice@example.test", "x.example", "--json")
    assert again.json["moved_from"] is None


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


def test_a_domain_has_lists_of_its_own(instance: Instance) -> None:
    assert (
        instance.cli("list", "block", "--domain", "example.test", "Spam.example").out
        == "block: spam.example\n"
    )
    instance.cli("list", "allow", "--domain", "example.test", "boss@spam.example")
    moved = instance.cli("list", "block", "--domain", "example.test", "boss@spam.example", "--json").json
    assert (moved["domain"], moved["moved_from"]) == ("example.test", "allow")
    assert instance.cli("list", "show", "--domain", "example.test", "--json").json == {
        "domain": "example.test",
        "block": ["boss@spam.example", "spam.example"],
        "allow": [],
    }
    assert instance.cli("list", "show", "alice@example.test", "--json").json["block"] == []
    assert instance.cli("list", "remove", "--domain", "example.test", "spam.example").code == 0
    assert instance.cli("list", "remove", "--domain", "example.test", "spam.example").code == 65
    assert instance.cli("list", "block", "--domain", "other.test", "x.example").code == 67
    assert instance.cli("list", "show", "--domain", "other.test").code == 67


@pytest.mark.parametrize(
    ("words", "warns"),
    [
        (["allow", "alice@example.test", "alice@example.test"], True),
        (["allow", "alice@example.test", "second@example.test"], True),
        (["allow", "alice@example.test", "example.test"], True),
        (["block", "alice@example.test", "example.test"], True),
        (["allow", "alice@example.test", "bob@example.test"], False),
        (["allow", "alice@example.test", "far.example"], False),
        (["allow", "--domain", "example.test", "example.test"], True),
        (["allow", "--domain", "example.test", "boss@example.test"], True),
        (["allow", "--domain", "example.test", "far.example"], False),
    ],
)
def test_whoever_lists_himself_is_warned(instance: Instance, words: list[str], warns: bool) -> None:
    # product page, section 2.5
    instance.cli("alias", "add", "second@example.test", "alice@example.test")
    found = instance.cli("list", *words, "--json")
    assert (found.code, found.json["warning"] is not None) == (0, warns)
    assert ("covers your own address" in found.err) == warns


def test_what_an_address_thinks_of_a_sender(instance: Instance) -> None:
    instance.cli("list", "block", "--domain", "example.test", "far.example")
    unknown = instance.cli("list", "check", "alice@example.test", "Ann@Far.example", "--json").json
    assert unknown == {
        "address": "alice@example.test",
        "sender": "ann@far.example",
        "list": "blocked",
        "because": "far.example is on the blocked list of the domain",
        "written_to": False,
        "wanted_days": 0,
        "wanted_days_here": 0,
    }
    instance.cli("list", "allow", "alice@example.test", "ann@far.example")
    state, account_id = instance.config.paths.state_db, 1
    sending, history = Sending(state), SenderHistory(state)
    sending.learn(account_id, ["ann@far.example"], now=time.time())
    history.note([(0, "ann@far.example"), (account_id, "ann@far.example")], now=time.time())
    sending.close()
    history.close()
    known = instance.cli("list", "check", "alice@example.test", "ann@far.example", "--json").json
    assert (known["list"], known["because"]) == ("allowed", "ann@far.example is on the allowed list")
    assert (known["written_to"], known["wanted_days"], known["wanted_days_here"]) == (True, 1, 1)
    assert instance.cli("list", "check", "nobody@example.test", "x@y.test").code == 67
    assert instance.cli("list", "check", "alice@example.test", "far.example").code == 65


def test_an_empty_list_is_said(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")
    shown = instance.cli("list", "show", "alice@example.test")
    assert (shown.code, shown.out) == (0, "")
    assert shown.err == "alice@example.test neither blocks nor allows anybody\n"


def test_an_address_is_no_domain(instance: Instance) -> None:
    shown = instance.cli("list", "show", "--domain", "alice@example.test")
    assert shown.code == 65 and "cannot be a domain: it is an address" in shown.err
