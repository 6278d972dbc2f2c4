"""Any octets decode to the one name that encodes to them, or are refused."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.mime import utf7

FUZZ = settings(
    derandomize=True, max_examples=int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200")), deadline=None
)
OCTETS = st.lists(
    st.sampled_from([b"&", b"-", b"AOk", b"2D3eAA", b"a", b",", b"/", b"="]) | st.binary(max_size=3)
)


@FUZZ
@given(OCTETS.map(b"".join))
def test_what_decodes_encodes_to_the_same_octets(data: bytes) -> None:
    try:
        name = utf7.decode(data)
    except utf7.Utf7Error:
        return
    assert utf7.encode(name) == data
    name.encode("utf-8")


@FUZZ
@given(st.text(alphabet=st.characters()))
def test_every_name_encodes_to_printable_ascii(name: str) -> None:
    try:
        octets = utf7.encode(name)
    except utf7.Utf7Error:
        assert any("\ud800" <= c <= "\udfff" for c in name)
        return
    assert all(0x20 <= octet <= 0x7E for octet in octets)
    assert utf7.decode(octets) == name
