"""When the autoresponder answers, and what the engine makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack import sieve
from mailstack.filters import autoresponder
from mailstack.model.autoresponse import Autoresponse

ZURICH = ZoneInfo("Europe/Zurich")
AWAY = Autoresponse("away", "I am away.")


def _at(text: str, zone: tzinfo = ZURICH, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def _answers(response: Autoresponse, now: float, *senders: str, zone: tzinfo = ZURICH) -> bool:
    return not autoresponder.silence(response, now=now, zone=zone, senders=senders)


@pytest.mark.parametrize(
    ("at", "answers"),
    [
        ("2026-12-24T08:59:59", False),
        ("2026-12-24T09:00:00", True),
        ("2027-01-03T17:00:59", True),
        ("2027-01-03T17:01:00", False),
    ],
)
def test_start_and_end_are_included_to_the_minute(at: str, answers: bool) -> None:
    response = replace(AWAY, starts="2026-12-24T09:00", ends="2027-01-03T17:00")
    assert _answers(response, _at(at)) is answers


@pytest.mark.parametrize(
    ("at", "answers"),
    [
        ("2026-12-23T23:59:59", False),
        ("2026-12-24T00:00:00", True),
        ("2027-01-03T23:59:59", True),
        ("2027-01-04T00:00:00", False),
    ],
)
def test_a_day_is_included_whole(at: str, answers: bool) -> None:
    assert _answers(replace(AWAY, starts="2026-12-24", ends="2027-01-03"), _at(at)) is answers


def test_times_are_those_of_the_owners_clock() -> None:
    response = replace(AWAY, starts="2026-07-01T09:00")
    at = _at("2026-07-01T08:00", UTC)  # 10:00 in Zurich, 17:00 in Tokyo, 04:00 in New York
    assert _answers(response, at, zone=ZURICH)
    assert _answers(response, at, zone=ZoneInfo("Asia/Tokyo"))
    assert not _answers(response, at, zone=ZoneInfo("America/New_York"))


def test_the_hour_that_comes_twice_is_within_from_its_first_to_its_last_minute() -> None:
    # 25 October 2026: 03:00 becomes 02:00.
    assert _answers(replace(AWAY, starts="2026-10-25T02:30"), _at("2026-10-25T02:30", fold=0))
    until = replace(AWAY, ends="2026-10-25T02:30")
    assert _answers(until, _at("2026-10-25T02:45", fold=0))
    assert _answers(until, _at("2026-10-25T02:30:59", fold=1))
    assert not _answers(until, _at("2026-10-25T02:31", fold=1))


def test_an_hour_that_does_not_exist_ends_no_answer_too_early() -> None:
    # 29 March 2026: 02:00 becomes 03:00.
    until = replace(AWAY, ends="2026-03-29T02:30")
    assert _answers(until, _at("2026-03-29T01:59:59"))
    assert not _answers(until, _at("2026-03-29T04:00"))


def test_only_on_its_weekdays_of_the_owners_calendar() -> None:
    weekend = replace(AWAY, weekdays=0b1100000)
    friday_night = _at("2026-07-03T23:30")
    assert autoresponder.silence(weekend, now=friday_night, zone=ZURICH) == "it does not answer on Fridays"
    assert _answers(weekend, friday_night + 3600)
    # In New York it is still Friday then.
    assert not _answers(weekend, friday_night + 3600, zone=ZoneInfo("America/New_York"))


@pytest.mark.parametrize(
    ("sender", "author", "answers"),
    [
        ("boss@work.test", "boss@work.test", True),
        ("ex@other.test", "ex@other.test", False),
        ("bounce@mailer.test", "ex@other.test", False),
        ("a@shop.test", "a@shop.test", False),
        ("a@news.shop.test", "", False),
        ("a@workshop.test", "", True),
    ],
)
def test_excluded_addresses_and_domains_get_no_answer(sender: str, author: str, answers: bool) -> None:
    response = replace(AWAY, excluded=frozenset({"ex@other.test", "shop.test"}))
    assert _answers(response, 0.0, sender, author) is answers


def _result(script: str) -> sieve.Result:
    compiled = sieve.compile(script)
    assert compiled.script is not None
    context = sieve.Context(
        sieve.Message.from_bytes(b"To: me@home.test\r\n\r\n"), sieve.Envelope("a@b.test", "me@home.test")
    )
    assert sieve.run(compiled.script, context).ok
    return context.result


_TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from('\n\t"\\${}.*/#'), max_size=200
)


@given(_TEXTS, st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=80))
def test_the_engine_answers_what_was_written(text: str, subject: str) -> None:
    [action] = _result(autoresponder.source(replace(AWAY, text=text, subject=subject)).decode()).actions
    assert isinstance(action, sieve.Vacation)
    assert action.reason.replace("\r\n", "\n") == text
    assert (action.subject or "") == subject
    assert action.handle == autoresponder.NAME


def test_from_is_taken_with_its_name() -> None:
    source = autoresponder.source(replace(AWAY, sender='"Zoë \\"Z\\" Müller" <zoe@home.test>'))
    [action] = _result(source.decode()).actions
    assert isinstance(action, sieve.Vacation)
    assert action.from_ == '"Zoë \\"Z\\" Müller" <zoe@home.test>'
