"""Reading a message as a person would see it: bounded, and never failing."""

# ruff: noqa: E501

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.document import Document, attachments, read
from mailstack.filters.reading.links import MAX_URL_CHARACTERS, MAX_URLS, find_urls, is_ip_host
from mailstack.filters.fields import Header


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


@pytest.mark.parametrize(
    "source",
    ["<div>" * 200_000, "<a href='http://x.test'>" * 50_000, "<" * 500_000, "<!--" * 200_000, "<b " + "a=1 " * 200_000,
     "\x00<p>", "<svg><style><script>", "&" * 500_000, "<p>x" * 200_000],
)  # fmt: skip
def test_monstrous_html_takes_little_time(source: str) -> None:
    # M13
    began = time.process_time()
    doc = html(source)
    assert time.process_time() - began < 5
    assert len(doc.urls) <= MAX_URLS


def test_links_are_bounded_in_number_and_length() -> None:
    # M14
    doc = of(b"\r\n" + b"http://x.test/y " * 10_240 + b"http://" + b"z" * 1_000_000)
    assert len(doc.urls) == MAX_URLS
    assert max(map(len, doc.urls)) <= MAX_URL_CHARACTERS


@given(st.lists(st.sampled_from(["http", "HttpS", "://", ":", "/", "s", "a", " ", ">", "\u017f", "h"])))
def test_web_addresses_are_found_as_by_one_pattern(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert find_urls(text) == re.findall(r"https?://[^\s<>\"')\]]{1,2048}", text, re.IGNORECASE)


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "3221226219", "0xc0000201"])
def test_addresses_in_disguise_are_addresses(host: str) -> None:
    assert is_ip_host(host)
    assert not is_ip_host("1.example")


def test_file_names_are_found() -> None:
    doc = of(
        b'Content-Type: application/pdf; name="A.PDF"\r\nContent-Disposition: attachment; filename="B.Exe"\r\n\r\nx'
    )
    assert list(attachments(doc)) == ["b.exe"]


@pytest.mark.parametrize("subject", ["Re: x", "AW: x", "SV: x", "Re[2]: x", "RE : x", "\u56de\u590d\uff1ax"])
def test_replies_are_known_by_subject_and_reference(subject: str) -> None:
    head = f"Subject: {subject}\r\n".encode()
    assert of(head + b"References: <a@b>\r\n\r\n").is_reply
    assert not of(head + b"\r\n").is_reply
    assert not of(b"Subject: Fwd: x\r\nReferences: <a@b>\r\n\r\n").is_reply
