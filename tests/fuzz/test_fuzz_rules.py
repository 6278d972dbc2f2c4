"""Conditions and actions in words: read as what they say, or refused with a sentence."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.model.errors import PermanentFailure
from mailstack.model.rules import DEEDS, HOWS, action, condition

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))
HOW = ["is", "contains", "begins", "ends", "over", "under", "exists"]
WORDS = st.one_of(
    st.sampled_from(
        [*HOWS, *DEEDS, *HOW, "not", "5M", "X-A:", "a@b.example", "@b.example", "spam", "  ", "\n"]
    ),
    st.text(max_size=12),
)


@settings(derandomize=True, max_examples=EXAMPLES, deadline=None)
@given(st.lists(WORDS, max_size=6).map(" ".join))
def test_words_are_read_or_refused(text: str) -> None:
    for read in (condition, action):
        try:
            found = read(text)
        except PermanentFailure as error:
            assert error.why.isprintable()
            continue
        assert read(str(found)) == found
