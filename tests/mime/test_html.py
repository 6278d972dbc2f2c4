"""HTML as text."""

from __future__ import annotations

import time

import pytest

from mailstack.mime.html import to_text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("plain", "plain"),
        ("W<b>o</b>rd", "Word"),
        ("one<br>two<p>three</p>four<td>five", "one two three four five"),
        ("a &amp; b &lt;c&gt; &eacute;&#233;&nosuch;", "a & b <c> éé&nosuch;"),
        ("<!-- no --><!DOCTYPE x><?php no ?>yes", "yes"),
        ("<style>p{}</style><script>if (a < b) {}</SCRIPT >x<title>t</title>", "x"),
        ("<head><meta x></head>body", "body"),
        ('<a title="x > y" href=\'"\'>link</a>', "link"),
        ("1 < 2 <3 and 4<", "1 < 2 <3 and 4<"),
        ("<p class=it's>ok</p> it's > that", "ok it's > that"),
        ("<img src=x alt=\"a picture\">, <IMG ALT='two'>", "a picture , two"),
        ("unclosed <b", "unclosed"),
        ("unclosed <!-- comment", "unclosed"),
        ("unclosed <script> x", "unclosed"),
        ("<o:p>word</o:p>", "word"),
        ("<script/>x", "x"),
        ("</3 x>love", "love"),
        ("a\0b", "a b"),
        ("", ""),
    ],
)
def test_html_is_read(source: str, words: str) -> None:
    assert " ".join(to_text(source).split()) == words


def test_reading_stops_when_there_is_enough() -> None:
    assert len(to_text("<p>word</p>" * 1_000, enough=40).split()) == 10
    assert to_text("x" * 100, enough=10) == "x" * 10


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<!--",
        "<style>",
        "<script",
        "</",
        "&",
        "&amp;",
        "<a<",
        '<a "',
        "<a ' >",
        '<a ">"',
        "<a x='\">",
        '<a x=">"',
        '="',
        "<img alt='",
    ],
)
def test_hostile_html_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    to_text(piece * 100_000)
    to_text(piece * 100_000 + ">")
    assert time.process_time() - started < 5
