"""Who stands behind an envelope sender that is another one every day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.senders import person, remembered


@pytest.mark.parametrize(
    ("sender", "behind"),
    [
        ("bob@far.test", "bob@far.test"),
        ("", ""),
        ("nobody", "nobody"),
        ("prvs=2345abcdef=bob@far.test", "bob@far.test"),
        ("PRVS=2345ABCDEF=Bob@far.test", "Bob@far.test"),
        ("btv1==123==bob@far.test", "bob@far.test"),
        ("prvs=bob@far.test", "prvs=bob@far.test"),
        ("SRS0=44TX=JL=far.test=bob@relay.test", "bob@far.test"),
        ("srs0+44TX=JL=far.test=bob@relay.test", "bob@far.test"),
        ("SRS1=ABCD=first.test==44TX=JL=far.test=bob@relay.test", "bob@far.test"),
        ("SRS0=44TX=JL=far.test=prvs=2345abcdef=bob@relay.test", "bob@far.test"),
        ("SRS0=44TX=JL=..=bob@relay.test", "SRS0=44TX=JL=..=bob@relay.test"),
        ("SRS0=44TX@relay.test", "SRS0=44TX@relay.test"),
    ],
)
def test_the_address_that_stays(sender: str, behind: str) -> None:
    assert person(sender) == behind


def test_a_forwarder_speaks_for_its_own_only() -> None:
    assert remembered("prvs=2345abcdef=bob@far.test") == remembered("bob@far.test") == "bob@far.test"
    by_relay = remembered("SRS0=44TX=JL=far.test=bob@relay.test")
    assert by_relay == remembered("SRS0=77UV=JM=far.test=bob@relay.test") != "bob@far.test"
    assert by_relay != remembered("SRS0=44TX=JL=far.test=bob@evil.test")


@given(
    st.from_regex(r"(SRS[01][-+=]|prvs=|btv1==)?[a-z0-9=+-]{0,40}(@[a-z.]{1,20})?", fullmatch=True)
    | st.text()
)
def test_whatever_comes_is_read(sender: str) -> None:
    assert isinstance(person(sender), str)
    assert isinstance(remembered(sender), str)
