"""`mailstack user grant|revoke|limits`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import NewMessage
from mailstack.model.sending import Caps
from mailstack.state.sending import Sending
from tests.kit.instance import PASSWORD, Instance, new_instance

ALICE = "alice@example.test"


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = new_instance(tmp_path)
    assert instance.cli("user", "add", ALICE, "--password", PASSWORD).code == 0
    return instance


def test_grants_are_given_shown_and_taken_back(instance: Instance) -> None:
    given = instance.cli("user", "grant", ALICE, "identity", "Sales@Example.test", "--json")
    assert given.json["may_send_as"] == ["sales@example.test"]
    assert instance.cli("user", "grant", ALICE, "domain", "brand.example").code == 0
    found = instance.cli("user", "grant", ALICE, "list", "--json").json
    assert found["may_send_as"] == ["brand.example", "sales@example.test"]
    assert found["list"] is True
    shown = instance.cli("user", "show", ALICE, "--json").json
    assert (shown["may_send_as"], shown["posts_for_lists"]) == (found["may_send_as"], True)
    assert instance.cli("user", "revoke", ALICE, "identity", "sales@example.test").code == 0
    left = instance.cli("user", "revoke", ALICE, "list", "--json").json
    assert (left["may_send_as"], left["list"]) == (["brand.example"], False)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("grant", ALICE, "identity", "brand.example"), 65, "a whole domain, not one address"),
        (("grant", ALICE, "domain", "x@brand.example"), 65, "an address, not a domain"),
        (("grant", ALICE, "identity", "*@*"), 65, "wildcards"),
        (("grant", ALICE, "identity"), 64, "which address"),
        (("grant", ALICE, "list", "x@brand.example"), 64, "names no sender"),
        (("grant", "nobody@example.test", "list"), 67, "no address"),
        (("revoke", ALICE, "list"), 65, "had no list grant"),
        (("revoke", ALICE, "domain", "brand.example"), 65, "was not allowed"),
        (("limits", ALICE, "--recipients", "none"), 65, "give a number"),
        (("limits", ALICE, "--recipients", "10001"), 65, "10000"),
        (("limits", ALICE, "--messages-per-day", "many"), 65, "not a number"),
        (("limits", ALICE, "--messages-per-day", "-1"), 65, "not a number"),
        (("limits", "nobody@example.test"), 67, "no address"),
    ],
)
def test_what_cannot_be_meant_is_said_in_words(
    instance: Instance, words: tuple[str, ...], code: int, text: str
) -> None:
    result = instance.cli("user", *words)
    assert (result.code, text in result.err) == (code, True), result.err


def test_limits_are_the_plans_until_they_are_the_accounts_own(instance: Instance) -> None:
    found = instance.cli("user", "limits", ALICE, "--json").json
    assert found["limits_of"] == "normal"
    assert (found["recipients_per_message"], found["message_octets"]) == (100, 52_428_800)
    assert found["messages_per_day"] == {"sent": 0, "limit": 1000, "own": False}
    assert found["counts_new_recipients"] is False
    words = ("--messages-per-day", "5000", "--recipients-per-day", "none", "--recipients", "7")
    found = instance.cli("user", "limits", ALICE, *words, "--message-size", "1M", "--json").json
    assert (found["recipients_per_message"], found["message_octets"]) == (7, 1_048_576)
    assert found["messages_per_day"] == {"sent": 0, "limit": 5000, "own": True}
    assert found["recipients_per_day"] == {"sent": 0, "limit": None, "own": True}
    back = instance.cli("user", "limits", ALICE, "--messages-per-day", "default", "--json").json
    assert back["messages_per_day"] == {"sent": 0, "limit": 1000, "own": False}
    assert instance.cli("user", "set", ALICE, "--plan", "free").code == 0
    assert instance.cli("user", "limits", ALICE, "--json").json["messages_per_day"]["limit"] == 50


def test_correspondents_are_learned_from_sent_mail(instance: Instance) -> None:
    letters = [
        b"To: Bob <Bob@far.test>, =?x?= <c@far.test>\r\nCc: d@far.test, not an address\r\n\r\nx\r\n",
        b"To: bob@far.test\r\nBcc: secret@far.test\r\nFrom: me@example.test\r\n\r\nx\r\n",
        b"X: " + b"y" * 20_000 + b"\r\nTo: " + b"long@far.test, " * 2_000 + b"\r\n\r\nx\r\n",
    ]
    store = MailStore(instance.config.paths.mail, now=time.time, random_bytes=os.urandom)
    store.account(Address.parse(ALICE)).append("Sent", [NewMessage(one) for one in letters])
    store.account(Address.parse(ALICE)).create("Old")
    store.close()
    found = instance.cli("user", "learn", ALICE, "--json").json
    assert (found["folder"], found["correspondents"]) == ("Sent", 5)
    table = Sending(instance.config.paths.state_db)
    wanted = ("bob", "c", "d", "secret", "long")
    assert all(table.knows(1, f"{name}@far.test") for name in wanted)
    assert not table.knows(1, "me@example.test")
    table.close()
    assert instance.cli("user", "learn", ALICE, "--folder", "Old", "--json").json["correspondents"] == 0
    nowhere = instance.cli("user", "learn", ALICE, "--folder", "Nowhere")
    assert (nowhere.code, "no folder Nowhere" in nowhere.err) == (65, True)
    assert instance.cli("user", "learn", "nobody@example.test").code == 67


def test_what_was_sent_is_shown(instance: Instance) -> None:
    table = Sending(instance.config.paths.state_db)
    table.take(1, ["x@far.example"], Caps(), strangers=[], counts_new=True, now=time.time())
    table.close()
    assert instance.cli("user", "limits", ALICE, "--json").json["recipients_per_hour"]["sent"] == 1
    assert "messages_per_hour" in instance.cli("user", "limits", ALICE).out
