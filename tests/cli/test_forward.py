"""mailstack forward."""

from __future__ import annotations

import email
import time
from email.message import EmailMessage
from email.policy import default

import pytest

from mailstack.model.address import Address
from mailstack.state.forward_options import ForwardOptions
from mailstack.state.forward_targets import ForwardTargets
from mailstack.state.maillog import MailLog
from tests.kit.dns_server import DnsServer
from tests.kit.instance import Instance, Result

ALICE, FRIEND = "alice@example.test", "friend@outside.test"


@pytest.fixture
def alice(instance: Instance) -> Instance:
    assert instance.cli("user", "add", ALICE).code == 0
    return instance


def set_(instance: Instance, *words: str) -> Result:
    return instance.cli("forward", "set", "--no-check", *words)


def letters(instance: Instance) -> dict[str, EmailMessage]:
    """What waits in the queue, by the address it is for."""
    found = {}
    for row in instance.cli("queue", "list", "--json").json:
        (recipient,) = row["recipients"]
        octets = (instance.config.paths.queue_messages / row["id"]).read_bytes()
        found[recipient["address"]] = email.message_from_bytes(octets, policy=default)
    return found  # type: ignore[return-value]


def refuse(instance: Instance, owner: str = ALICE) -> None:
    table = ForwardTargets(instance.config.paths.state_db)
    for _ in range(3):
        table.failed(
            Address.parse(owner),
            Address.parse(FRIEND),
            why="550 5.1.1 no such user",
            is_unknown=True,
            options=ForwardOptions(),
            now=1_767_225_600.0,
        )
    table.close()


def test_redirection_is_set_shown_and_cleared(alice: Instance) -> None:
    shown = alice.cli("forward", "show", ALICE, "--json").json
    assert (shown["targets"], shown["keep"], shown["states"]) == ([], None, [])
    set_(alice, ALICE, "a@outside.test", "b@outside.test")
    shown = alice.cli("forward", "show", ALICE, "--json").json
    assert (shown["targets"], shown["keep"]) == (["a@outside.test", "b@outside.test"], False)
    assert [one["state"] for one in shown["states"]] == ["open", "open"]
    set_(alice, ALICE, "a@outside.test", "--keep")
    assert alice.cli("forward", "show", ALICE, "--json").json["keep"] is True
    assert alice.cli("forward", "clear", ALICE, "--json").json["cleared"] is True
    assert "does not forward" in alice.cli("forward", "show", ALICE).out


def test_the_owner_is_told_in_the_mailbox_and_at_the_recovery_address(alice: Instance) -> None:
    alice.cli("user", "set", ALICE, "--recovery", "me@home.test", "--language", "de")
    set_(alice, ALICE, FRIEND, "other@outside.test", "--keep")
    told = letters(alice)
    assert sorted(told) == [ALICE, "me@home.test"]
    text = told["me@home.test"].get_content()
    assert FRIEND in text
    assert "other@outside.test" in text
    assert "Eine Kopie bleibt im Postfach." in text
    assert told["me@home.test"]["From"].addresses[0].addr_spec == "postmaster@example.test"


def test_nobody_is_told_when_nobody_shall_be(alice: Instance) -> None:
    set_(alice, ALICE, FRIEND, "--no-notice")
    assert letters(alice) == {}


def test_a_target_that_is_asked_gets_nothing_until_its_word_comes_back(alice: Instance) -> None:
    asked = set_(alice, ALICE, FRIEND, "--ask", "--no-notice")
    assert "asked by mail: friend@outside.test" in asked.out
    assert "was asked" in alice.cli("forward", "show", ALICE).out
    letter = letters(alice)[FRIEND]
    assert "d=example.test" in str(letter["DKIM-Signature"])
    (word,) = [line.strip() for line in letter.get_content().splitlines() if line.startswith("    ")]
    assert alice.cli("forward", "confirm", "WRONG").code == 65
    assert alice.cli("forward", "confirm", *word.split()).code == 0
    assert alice.cli("forward", "show", ALICE, "--json").json["states"][0]["state"] == "open"


def test_setting_it_without_asking_confirms_it(alice: Instance) -> None:
    set_(alice, ALICE, FRIEND, "--ask")
    set_(alice, ALICE, FRIEND)
    assert alice.cli("forward", "show", ALICE, "--json").json["states"][0]["state"] == "open"


def test_a_paused_target_is_shown_listed_and_resumed(alice: Instance) -> None:
    assert alice.cli("forward", "list").out == "no target is paused\n"
    set_(alice, ALICE, FRIEND)
    refuse(alice)
    text = alice.cli("forward", "show", ALICE).out
    assert "paused since 2026-01-01T00:00:00Z: 550 5.1.1 no such user; next test 2026-01-02" in text
    (row,) = alice.cli("forward", "list", "--json").json
    assert (row["address"], row["target"], row["refusals"]) == (ALICE, FRIEND, 3)
    assert alice.cli("forward", "resume", ALICE, FRIEND, "--json").json["resumed"] is True
    assert alice.cli("forward", "resume", ALICE, FRIEND, "--json").json["resumed"] is False
    assert alice.cli("forward", "list", "--json").json == []


def test_an_operator_pauses_a_target_of_an_alias(alice: Instance) -> None:
    alice.cli("alias", "add", "out@example.test", FRIEND)
    assert alice.cli("forward", "pause", "out@example.test", FRIEND, "--why", "they asked").code == 0
    (one,) = alice.cli("forward", "show", "out@example.test", "--json").json["states"]
    assert (one["state"], one["answer"], one["next_test"]) == ("paused", "they asked", None)
    assert alice.cli("forward", "pause", "nobody@example.test", FRIEND).code == 67
    alice.cli("alias", "remove", "out@example.test")
    assert alice.cli("forward", "list", "--json").json == [], "a name that is gone has no targets"


def test_what_refused_is_forgotten_with_the_redirection(alice: Instance) -> None:
    set_(alice, ALICE, FRIEND)
    refuse(alice)
    alice.cli("forward", "clear", ALICE)
    set_(alice, ALICE, FRIEND)
    assert alice.cli("forward", "show", ALICE, "--json").json["states"][0]["state"] == "open"


def test_a_target_that_was_left_out_starts_anew(alice: Instance) -> None:
    set_(alice, ALICE, FRIEND)
    refuse(alice)
    set_(alice, ALICE, FRIEND, "--keep")
    assert alice.cli("forward", "show", ALICE, "--json").json["states"][0]["state"] == "paused"
    set_(alice, ALICE, "other@outside.test")
    set_(alice, ALICE, FRIEND)
    assert alice.cli("forward", "show", ALICE, "--json").json["states"][0]["state"] == "open"


def test_targets_of_rules_are_shown_when_they_refuse(alice: Instance) -> None:
    refuse(alice)
    assert "paused since" in alice.cli("forward", "show", ALICE).out


def test_messages_that_were_warned_about_are_counted(alice: Instance) -> None:
    log = MailLog(alice.config.paths.maillog_db, daemon="smtp", now=time.time)
    for warning in ("far.test wants reject", ""):
        log.forwarded(
            "id", owner=ALICE, to=FRIEND, sender="SRS0=x@example.test", queue_id="q", warning=warning
        )
    log.close()
    assert "1 of 2 messages sent on in 20 days" in alice.cli("forward", "show", ALICE).out


# -- what the DNS says ----------------------------------------------------------------------

TABLE = {
    "good.test": {"MX": [[10, "mx.good.test"]]},
    "plain.test": {"A": ["192.0.2.1"]},
    "null.test": {"MX": [[0, "."]]},
    "web.test": {"TXT": ["hello"]},
    "silent.test": {"MX": "SERVFAIL"},
}


def warned(instance: Instance, table: dict[str, dict[str, object]], *targets: str) -> str:
    with DnsServer(table) as server, instance.file.open("a") as file:
        file.write(f'[dns]\nservers = ["{server.address}"]\n')
        file.flush()
        return instance.cli("forward", "set", ALICE, *targets).err


def test_targets_that_can_never_get_it_are_warned_about(alice: Instance) -> None:
    table = TABLE | {"example.test": {"TXT": ["v=spf1 mx -all"]}}
    said = warned(alice, table, *(f"a@{name}" for name in [*TABLE, "missing.test"]))
    assert said.splitlines() == [
        "warning: null.test takes no mail at all (null MX): what is sent on there will fail",
        "warning: web.test has no mail server: what is sent on there will fail",
        "warning: missing.test does not exist: what is sent on there will fail",
    ]


def test_a_domain_without_spf_is_warned_about(alice: Instance) -> None:
    assert "example.test has no SPF record" in warned(alice, TABLE, "a@good.test")


def test_targets_here_are_not_looked_up(alice: Instance) -> None:
    alice.cli("user", "add", "bob@example.test")
    with DnsServer({}) as server, alice.file.open("a") as file:
        file.write(f'[dns]\nservers = ["{server.address}"]\n')
        file.flush()
        assert alice.cli("forward", "set", ALICE, "bob@example.test").err == ""
        assert server.asked == []


def test_catch_all_that_leaves_the_house_warns(alice: Instance) -> None:
    alice.cli("user", "add", "rest@example.test", "--kind", "catchall")
    assert set_(alice, "rest@example.test", ALICE).err == ""
    assert "passes spam on" in set_(alice, "rest@example.test", "x@outside.test").err


def test_unknown_address_exits_67_and_a_loop_65(alice: Instance) -> None:
    assert set_(alice, "nobody@example.test", "x@outside.test").code == 67
    assert alice.cli("forward", "show", "nobody@example.test").code == 67
    assert set_(alice, ALICE, ALICE).code == 65


def test_what_becomes_of_the_copy_is_said(alice: Instance) -> None:
    assert "and keeps a copy" in set_(alice, ALICE, FRIEND, "--keep").out
    assert "\na copy stays in the mailbox" in alice.cli("forward", "show", ALICE).out
    assert "keeps" not in set_(alice, ALICE, FRIEND).out
    assert "\nno copy stays in the mailbox" in alice.cli("forward", "show", ALICE).out


def test_a_circle_is_warned_about(alice: Instance) -> None:
    alice.cli("user", "add", "bob@example.test")
    alice.cli("alias", "add", "sales@example.test", ALICE)
    assert "circle" not in set_(alice, ALICE, "bob@example.test").err
    round_ = set_(alice, "bob@example.test", "sales@example.test")
    assert f"warning: {ALICE} sends it back here" in round_.err


@pytest.mark.parametrize("words", [("forward", "set", ALICE), ("alias", "add", "team@example.test")])
def test_targets_with_commas_between_them_are_understood(alice: Instance, words: tuple[str, ...]) -> None:
    refused = alice.cli(*words, f"{FRIEND},b@outside.test")
    assert (refused.code, "with spaces between them" in refused.err) == (64, True)


def test_a_pause_of_what_is_no_target_says_when_it_counts(alice: Instance) -> None:
    set_(alice, ALICE, FRIEND)
    assert alice.cli("forward", "pause", ALICE, FRIEND).err == ""
    assert "rules (Sieve)" in alice.cli("forward", "pause", ALICE, "other@outside.test").err
