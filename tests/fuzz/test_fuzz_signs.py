"""Signs: any message has some or none, each in words; files of operators fail in words."""

from __future__ import annotations

import contextlib
import math

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.phrases import Phrases
from mailstack.filters.signs import strange
from mailstack.filters.signs.find import find
from mailstack.filters.signs.knowledge import BadKnowledge, shipped
from mailstack.filters.signs.knowledge import read as read_files
from mailstack.filters.words import prepare
from mailstack.model.verdict import Authentication
from tests.kit.fuzzing import FUZZ

#: Files with hardly anything in them, which are quickly read.
BARE = dict.fromkeys(("brands", "hosts", "phrases", "intents", "weights"), "")

FIELDS = st.sampled_from(
    [
        b"From: PayPal <a@paypa1.com>",
        b"From: P\xc3\xa4ypal \xd0\xb0 <@>",
        b"From: <x@xn--\xff.xn--a.top>",
        b"From: N e t f l i x Support <x@..>",
        b"From: a@b, c@d",
        b"Reply-To: <x@gmail.com>",
        b"Reply-To: @",
        b"To: undisclosed-recipients:;",
        b"To: a@b.test, \xff@x",
        b"Subject: =?utf-8?q?=F0=9F=8E=81?= a@b.test",
        b"Subject: Re: RE: 1234567 #A12345",
        b"Message-ID: <@>",
        b"Message-ID: x@mx.google.com",
        b"Content-Type: text/html",
        b"In-Reply-To: x",
    ]
)
BODY = st.lists(
    st.sampled_from(
        [
            b"<a href='https://a@b.web.app:1/#a@b.test'>https://bank.test</a>",
            b"<a href='//xn--a.xn--\xc3/%40%'>",
            b"<a href='javascript:x'>",
            b"<a href='mailto:x@gmail.com'>",
            b"https://[::1]/wp-content/ ",
            b"your account is suspended verify now ",
            b"\xe3\x82\xa2\xe3\x82\xab\xe3\x82\xa6\xe3\x83\xb3\xe3\x83\x88\xe5\x81\x9c\xe6\xad\xa2\xe7\xa2\xba\xe8\xaa\x8d",
            b"bitcoin webcam porn virus 1BoatSLRHtKNngkdXEeobR76b53LETtpyT ",
            b"$1,000,000 million beneficiary barrister ",
            b"call charged +1 (888) 555-0100 ",
            b"\xd0\xb0ccount p\xd0\xb0ypal \xe2\x80\x8b",
            b"\r\n",
        ]
    )
    | st.binary(max_size=20),
    max_size=30,
).map(b"".join)


@FUZZ
@given(st.lists(FIELDS, max_size=8), BODY)
def test_any_message_has_signs_in_words(fields: list[bytes], body: bytes) -> None:
    message = b"\r\n".join([*fields, b"", body])
    header = Header(message)
    found = find(read(message, header), Authentication(), find_author(header))
    for reason in (*found.reasons, *found.for_strangers):
        assert math.isfinite(reason.weight)
        assert reason.why


@FUZZ
@given(st.text(max_size=60), st.text(max_size=20))
def test_a_phrase_is_found_where_it_stands(before: str, phrase: str) -> None:
    with contextlib.suppress(ValueError):
        known = Phrases([(phrase, 1)])
        assert known.find(prepare(f"{before} {phrase.rstrip('*')} x")) in ([1], []) or phrase.endswith("*")


@FUZZ
@given(st.text(max_size=80))
def test_any_name_is_chosen_or_not(name: str) -> None:
    assert strange.is_random(name) in (True, False)
    shipped().owners(name)
    shipped().shared_kind(name, name)
    shipped().registered(name)


@FUZZ
@given(
    st.text(max_size=200)
    | st.dictionaries(st.sampled_from(["a", "shared", "names"]), st.text(max_size=40)).map(
        lambda d: "".join(f'[{table}]\n"x" = {text!r}\n' for table, text in d.items())
    )
)
def test_files_of_operators_fail_in_words(text: str) -> None:
    for name in ("brands", "hosts"):
        with contextlib.suppress(BadKnowledge):
            read_files(BARE, [(name, text)])
