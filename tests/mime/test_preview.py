"""Previews: what an author wrote, on one short line."""

from __future__ import annotations

import time

import pytest

from mailstack.mime import lines
from mailstack.mime.preview import CHARACTERS, preview
from mailstack.mime.scanner import scan
from tests.kit import corpus


def of(body: str, kind: str = "plain") -> str:
    data = f"Content-Type: text/{kind}; charset=utf-8\r\n\r\n{body}".encode()
    return preview(data, scan(data))


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("\r\n\r\nHello\r\n  there,  you\r\n", "Hello there, you"),
        ("", ""),
        ("x" * 300, "x" * 200),
        ("a\x00b\x1b[31mc", "ab[31mc"),
        ("Yes.\r\n\r\nOn Monday, Bob wrote:\r\n> is it?\r\n> really?\r\n", "Yes."),
        ("On Monday, 3 May\r\nBob <bob@b.example> wrote:\r\n\r\n> is it?\r\n\r\nYes, it is.", "Yes, it is."),
        ("> question one\r\nanswer one\r\n>> deeper\r\nanswer two\r\n", "answer one answer two"),
        ("My list:\r\n- one\r\n", "My list: - one"),
        ("Hi\r\n-- \r\nBob\r\nCEO\r\n", "Hi"),
        ("Hi\r\n\r\n-----Original Message-----\r\nFrom: x\r\n", "Hi"),
        ("Hi\r\n________________________________\r\nFrom: x\r\n", "Hi"),
        ("> only a quote\r\n", "> only a quote"),
        ("-- \r\nonly a signature", "-- only a signature"),
        ("--- Forwarded message ---\r\nFrom: x", "--- Forwarded message --- From: x"),
        ("=-=-=-=\r\nNews\r\n=-=-=-=\r\n", "News"),
    ],
)  # fmt: skip
def test_a_preview_is_what_the_author_wrote(body: str, wanted: str) -> None:
    assert of(body) == wanted


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (
            "<html><head><title>T</title><style>p{}</style></head><body><!-- no -->"
            "<p>Tom &amp; <b>Jerry</b></p>"
            + "\u200c\u034f" * 50
            + "<script>x()</script> 1 < 2</body></html>",
            "Tom & Jerry 1 < 2",
        ),
        ("<p>Yes</p><blockquote>a<blockquote>b</blockquote>c</blockquote><p>No</p>", "Yes No"),
        ("Yes<div class='gmail_quote'><div class=gmail_attr>On Monday Bob wrote:</div>x</div>", "Yes"),
        ("<blockquote>only a quote</blockquote>", "only a quote"),
        ("<p>Hi</p><blockquote>open", "Hi"),
        ("<p>Hi</p></blockquote>there", "Hi there"),
    ],
)
def test_a_preview_of_html_has_no_markup_and_no_quotes(body: str, wanted: str) -> None:
    assert of(body, "html") == wanted


def test_plain_text_is_preferred_to_html() -> None:
    data = (
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: text/html\r\n\r\n<p>html\r\n"
        b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n"
        b"\r\ncaf=E9\r\n--b--\r\n"
    )
    assert preview(data, scan(data)) == "café"


@pytest.mark.parametrize(
    "piece", ["<blockquote>", "</blockquote>", "<div ", "<div gmail_quot", "<", "> ", "\n:"]
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    of(piece * 100_000, "html")
    of(piece * 100_000)
    assert time.process_time() - started < 5


def test_every_message_of_the_corpus_has_a_preview() -> None:
    for name, raw in corpus.messages(every=20):
        data = lines.normalise(raw)
        found = preview(data, scan(data))
        assert len(found) <= CHARACTERS, name
        assert found.isprintable(), name
