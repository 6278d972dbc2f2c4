"""Modified UTF-7: one name, one encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import utf7
from mailstack.mime.utf7 import Utf7Error


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("INBOX", b"INBOX"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 section 5.1.3
        ("a&b", b"a&-b"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("\U0001f600", b"&2D3eAA-"),
        ("", b""),
    ],
)
def test_names_of_the_rfc(name: str, octets: bytes) -> None:
    assert utf7.encode(name) == octets
    assert utf7.decode(octets) == name


@pytest.mark.parametrize(
    "octets",
    [
        b"&AAA",  # unfinished
        b"&",
        b"&-&",
        b"&AGE-",  # encoded ASCII
        b"&AC4-",  # an encoded dot is for file names only
        b"&ACY-",  # an encoded ampersand
        b"&U,BTFw-&ZeVnLIqe-",  # two shifts in a row
        b"&U,BT-",  # half a character
        b"&2D0-",  # a lone surrogate
        b"&3gDYPQ-",
        b"&AOk=-",
        b"&AO k-",
        b"&APx-",  # bits behind the end
        b"caf\xc3\xa9",
        b"a\x00",
        b"a\r\n",
        b"&//8-",
    ],
    ids=repr,
)
def test_another_encoding_of_a_name_is_refused(octets: bytes) -> None:
    # T66, I15
    with pytest.raises(Utf7Error):
        utf7.decode(octets)


def test_a_lone_surrogate_cannot_be_encoded() -> None:
    with pytest.raises(Utf7Error):
        utf7.encode("a\ud800")


@given(st.text())
def test_every_name_survives(name: str) -> None:
    assert utf7.decode(utf7.encode(name)) == name
