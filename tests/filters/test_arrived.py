"""Mail as it arrives today, never trained on: what the whole score makes of it.

The sets `final` and `last` only measure: a sign is never fitted to a message of them.
"""

from __future__ import annotations

import pytest

from mailstack.app.filter_worker import load_model
from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.signs import find as signs
from mailstack.filters.signs.knowledge import shipped
from mailstack.filters.spam import score
from tests.kit.arrived import SETS, arrived

#: Of each set so many are spam, and as many wanted; so much of the spam may be missed at most.
SIZES = {"tuning": 65, "final": 65, "second": 40, "last": 40}
MISSED = {"tuning": 0.1, "final": 0.3, "second": 0.15, "last": 0.35}
#: From here on it is filed as spam, unless an account has other wishes.
SPAM = 0.9


@pytest.mark.parametrize("which", SETS)
def test_most_fraud_of_our_years_is_found_and_no_wanted_mail_is_taken_for_it(which: str) -> None:
    prior = load_model("")
    scores: dict[bool, dict[str, float]] = {True: {}, False: {}}
    for one in arrived(which):
        header = Header(one.message)
        found = score.score(read(one.message, header), one.found, find_author(header), prior)
        scores[one.is_spam][one.name] = found.probability
    assert len(scores[True]) == len(scores[False]) == SIZES[which]
    assert {name: got for name, got in scores[False].items() if got >= SPAM} == {}
    missed = {name: got for name, got in scores[True].items() if got < SPAM}
    assert len(missed) <= SIZES[which] * MISSED[which], missed


def test_reasons_are_words_for_a_person() -> None:
    keys = {f" {name} " for name in shipped().signs if "_" in name}
    whys = []
    for one in arrived("tuning"):
        header = Header(one.message)
        found = signs.find(read(one.message, header), one.found, find_author(header))
        whys += [f" {reason.why} " for reason in (*found.reasons, *found.for_strangers)]
    assert len(whys) > 500
    assert [why for why in whys if any(key in why for key in keys)] == []
