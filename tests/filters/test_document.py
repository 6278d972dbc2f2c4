"""Reading a message as a person would see it: bounded, and never failing."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from mailstack.filters.document import Document, read
from mailstack.filters.fields import Header
from mailstack.filters.reading.links import MAX_URL_CHARACTERS, MAX_URLS


def of(message: bytes) -> Document:
    return read(message, Header(message))


def html(source: str) -> Document:
    return of(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + source.encode())


def test_both_bodies_are_read_and_encoded_words_decoded() -> None:
    doc = of(
        b"From: =?utf-8?q?J=C3=BCrgen?= <J@Example.TEST>\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n"
        b"--b\r\n\r\nplain http://a.test/x\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>rich</p><a href='http://B.test'>b</a>\r\n--b--\r\n"
    )
    assert (doc.subject, doc.author_name, doc.author_address) == (
        "Gr\u00fc\u00dfe",
        "J\u00fcrgen",
        "j@example.test",
    )
    assert doc.hosts == ["a.test", "b.test"]
    assert "plain" in doc.text and "rich" in doc.text
    assert doc.types == ["multipart/alternative", "text/plain", "text/html"]
    assert doc.has_plain


def test_html_is_counted_and_its_hidden_parts_left_out() -> None:
    doc = html(
        "<html><head><title>t</title><style>x</style></head><body><script>evil()</script><p>seen</p>"
        "<span style='display:none'>h</span><img src=x width=1 height=1><img src=y><form></form>"
        "<a href='http://real.test/'>http://bank.test</a><a href='mailto:x@y.test'>m</a></body></html>"
    )
    assert "seen" in doc.text
    assert "evil" not in doc.text
    counts = doc.html
    assert (counts.images, counts.tiny_images, counts.forms, counts.scripts, counts.hidden) == (2, 1, 1, 1, 1)
    assert (counts.links, counts.mismatched_links) == (1, 1)


def test_links_are_bounded_in_number_and_length() -> None:
    # M14
    doc = of(b"\r\n" + b"http://x.test/y " * 10_240 + b"http://" + b"z" * 1_000_000)
    assert len(doc.urls) == MAX_URLS
    assert max(map(len, doc.urls)) <= MAX_URL_CHARACTERS


@pytest.mark.parametrize("subject", ["Re: x", "AW: x", "SV: x", "Re[2]: x", "RE : x", "\u56de\u590d\uff1ax"])
def test_replies_are_known_by_subject_and_reference(subject: str) -> None:
    head = f"Subject: {subject}\r\n".encode()
    assert of(head + b"References: <a@b>\r\n\r\n").is_reply
    assert not of(head + b"\r\n").is_reply
    assert not of(b"Subject: Fwd: x\r\nReferences: <a@b>\r\n\r\n").is_reply


def test_subject_author_and_text_are_read_without_disguise() -> None:
    doc = of(
        "From: =?utf-8?q?P=D0=B0yPal?= <x@y.test>\r\nSubject: Ver\u200bify\r\n"
        "Content-Type: text/html; charset=utf-8\r\n\r\n<p>y\u043eur <b>acc\u043eunt</b>".encode()
    )
    assert (doc.author_name, doc.subject, doc.text) == ("PayPal", "Verify", "your account")
    assert (doc.disguise.mixed_words, doc.disguise.invisible) == (3, 1)
    assert set(doc.disguise.words) == {"paypal", "verify", "your", "account"}


def test_what_is_seen_stands_apart_from_what_is_not() -> None:
    doc = of(
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        b"<title>t</title>rich<p style='display:none'>ghost</p><img src=x alt=logo><a href='mailto:A@b.test'>m</a>\r\n--b--\r\n"
    )
    assert (doc.text, doc.hidden_text, doc.alt_text) == ("plain\nrich\nm", "ghost", "logo")
    assert (doc.title, doc.mail_addresses) == ("t", ["a@b.test"])


def test_all_html_parts_together_are_bounded() -> None:
    # M13: 1 MiB is looked at, not 1 MiB of each part.
    part = b"--b\r\nContent-Type: text/html\r\n\r\n<!--" + b"x" * 100_000 + b"-->\r\n"
    doc = of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 30 + b"--b--\r\n")
    assert doc.html.characters <= 1_048_576
