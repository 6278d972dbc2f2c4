"""What an autoresponder may be told: whatever is typed is taken or refused, never more."""

from __future__ import annotations

import contextlib
from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from mailstack.directory import autoresponse_words as words
from mailstack.filters.autoresponder import end_second, first_second
from mailstack.model.autoresponse import EVERY_DAY
from mailstack.model.errors import PermanentFailure

_TIMES = st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:00)?)?", fullmatch=True)
_DAYS = st.lists(
    st.sampled_from(["mon", "tuesday", "wed", "sat", "sun", "-", ",", " ", "x", "fri-mon"]), max_size=6
)


@given(_TIMES | st.text(max_size=20))
def test_a_time_is_refused_or_can_be_reckoned_with(text: str) -> None:
    with contextlib.suppress(PermanentFailure):
        stored = words.local_time(text)
        assert words.local_time(stored) == stored
        if stored:
            zone = ZoneInfo("Europe/Zurich")
            begins, ends = first_second(stored, zone), end_second(stored, zone)
            assert 60 <= ends - begins <= 25 * 3_600
            assert datetime.fromtimestamp(begins, zone).isoformat().startswith(stored[:10])
            words.check_period(stored, stored)


@given(_DAYS.map("".join) | st.text(max_size=20))
def test_days_are_refused_or_at_least_one(text: str) -> None:
    with contextlib.suppress(PermanentFailure):
        assert 1 <= words.weekdays(text) <= EVERY_DAY


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50))
def test_what_is_filled_in_is_not_filled_in_again(text: str, name: str, address: str) -> None:
    filled = words.personal(f"{text}{{name}}{text}", name="{address}" + name, address=address)
    assert "{address}" + name in filled


@given(st.text(max_size=200))
def test_text_and_subject_hold_nothing_that_ends_a_field(text: str) -> None:  # V8
    with contextlib.suppress(PermanentFailure):
        assert not set(words.subject(text)) & set("\r\n\0")
    with contextlib.suppress(PermanentFailure):
        assert not set(words.body(text)) & set("\r\0")
