"""The limits in force for an account, and what it is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailstack.app.config import known_keys
from mailstack.model.directory import NO_LIMIT
from mailstack.model.errors import ConfigError
from mailstack.model.sending import LIMITS, Caps, Over, SendingRules
from mailstack.smtp.policy.sending import caps_of, counts_new, key_of, plan_of, refusal, strangers
from mailstack.smtp.sending_options import SendingOptions
from mailstack.state.explanations import EXPLANATIONS
from tests.kit.accounts import ALICE, CAROL, PRINTER

OPTIONS = SendingOptions()
LIST = replace(ALICE, sending=SendingRules(is_list=True))
DAY_S = 86_400
NOW = 1_790_000_000.0


def test_each_plan_has_its_limits() -> None:
    # limits, section 2
    assert caps_of(ALICE, OPTIONS) == Caps(200, 1000, 400, 2000, 100, 200)
    assert caps_of(CAROL, OPTIONS) == Caps(10, 50, 20, 100, 10, 20)
    assert caps_of(PRINTER, OPTIONS) == Caps(100, 200, 200, 400, None, None)
    assert caps_of(LIST, OPTIONS) == Caps(5_000, 20_000, 20_000, 100_000, None, None)
    assert [plan_of(one) for one in (ALICE, CAROL, PRINTER, LIST)] == ["normal", "free", "device", "list"]


def test_an_account_may_differ_from_its_plan() -> None:
    own = SendingRules(messages_per_day=7, recipients_per_hour=0, new_recipients_per_day=NO_LIMIT)
    assert caps_of(replace(ALICE, sending=own), OPTIONS) == Caps(200, 7, 0, 2000, 100, None)


def test_the_log_says_which_of_the_four_it_was() -> None:
    assert key_of(CAROL, "messages_per_day") == "sending.free_messages_per_day"
    own = replace(CAROL, sending=SendingRules(messages_per_day=7))
    assert "own" in key_of(own, "messages_per_day")
    known = set(known_keys())
    for account in (ALICE, CAROL, PRINTER, LIST):
        assert {key_of(account, name) for name in LIMITS} <= known


def test_limits_can_be_off() -> None:
    assert caps_of(ALICE, SendingOptions(normal_messages_per_hour="off")).messages_per_hour is None


def test_an_hour_never_allows_more_than_a_day() -> None:
    with pytest.raises(ConfigError, match=r"sending\.free_messages_per_hour"):
        SendingOptions(free_messages_per_hour=51)


def test_first_time_recipients_are_limited_after_two_weeks() -> None:
    young = replace(ALICE, created_at=NOW - 14 * DAY_S + 1)
    assert not counts_new(young, 0.0, OPTIONS, NOW)
    assert counts_new(young, 0.0, OPTIONS, NOW + 1)
    # Nor is anybody limited who was here before anything was learned.
    assert not counts_new(ALICE, NOW - DAY_S, OPTIONS, NOW)


def test_colleagues_and_subscribers_are_no_first_time_recipients() -> None:
    to = ["bob@example.test", "x@far.example"]
    assert strangers(ALICE, to) == ["x@far.example"]
    assert strangers(LIST, to) == []


def test_every_limit_has_a_sentence_and_an_explanation_of_its_own() -> None:
    # Q24
    found = [refusal(ALICE, Over(name, 100, 100, 1, 300.0)) for name in LIMITS]
    assert all(str(reply).startswith("450 4.7.1 alice@example.test ") for reply in found)
    assert all("100" in reply.text and reply.text.endswith("try again in 5 minutes") for reply in found)
    assert len({reply.text for reply in found}) == len({reply.check for reply in found}) == 6
    assert all(reply.check in EXPLANATIONS for reply in found)


@pytest.mark.parametrize(
    ("wait_s", "words"),
    [(0.0, "1 minute"), (60.0, "1 minute"), (61.0, "2 minutes"), (7_200.0, "2 hours"), (7_201.0, "3 hours")],
)
def test_the_wait_is_rounded_up(wait_s: float, words: str) -> None:
    text = refusal(ALICE, Over("messages_per_day", 1000, 1000, 1, wait_s)).text
    assert text.endswith(f"try again in {words}")


def test_what_can_never_go_and_what_a_device_sends_is_refused_for_good() -> None:
    # Devices have no queue: product, section 6.
    assert refusal(ALICE, Over("recipients_per_day", 5, 0, 6, None)).code == 550
    assert refusal(PRINTER, Over("messages_per_day", 200, 200, 1, 60.0)).code == 550
    assert "may not send" in refusal(ALICE, Over("messages_per_day", 0, 0, 1, None)).text
