"""What a search looks at: charsets, encodings, HTML, attachments, enclosed messages."""

from __future__ import annotations

import base64
import quopri
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import lines, searchable
from mailstack.mime.searchable import SEPARATOR, SearchText, fold, read
from tests.kit import corpus
from tests.kit.fuzzing import FUZZ


def message(text: str, charset: str, encoding: str = "8bit", kind: str = "plain") -> bytes:
    octets = text.encode(charset)
    if encoding == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        octets = quopri.encodestring(octets).replace(b"\n", b"\r\n")
    head = (
        f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"
        f"Subject: =?{charset}?b?{base64.b64encode(text.encode(charset)).decode()}?=\r\n\r\n"
    )
    return head.encode() + octets


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("STRASSE", "Straße"),
        ("müller", "MÜLLER"),
        ("mu\u0308ller", "MÜLLER"),
        ("istanbul", "İSTANBUL"),
        ("ısparta", "ISPARTA"),
        ("ΟΔΟΣ", "οδοσ"),
        ("ｶﾞ", "ガ"),
        ("ﬁne", "FINE"),
        ("a \t\r\n b", "A\u00a0b"),
        ("привет", "ПРИВЕТ"),
    ],
)
def test_texts_that_a_searcher_takes_for_the_same_fold_to_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("needle", "text"), [("u", "ü"), ("한", "한국"), ("京", "東京都"), ("b\na", "b a")])
def test_a_part_of_a_text_is_found_in_it(needle: str, text: str) -> None:
    assert fold(needle) in fold(text)


def test_what_cannot_be_told_apart_in_a_database_is_replaced() -> None:
    assert fold("\0") == fold("\ud800") == fold("é\uffff")[-1] == "\ufffd"


@FUZZ
@given(st.text(st.characters() | st.sampled_from("İıi̇ß ﷺ\n\t\0\ud800가"), max_size=40))
def test_folding_twice_is_folding_once(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    assert SEPARATOR not in folded
    folded.encode()


@FUZZ
@given(st.text("aBß ü\n", max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_a_piece_of_a_text_is_a_piece_of_its_folded_form(text: str, start: int, length: int) -> None:
    assert fold(text[start : start + length]) in fold(text)


@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
@pytest.mark.parametrize(
    ("text", "charset", "needle"),
    [
        ("Grüße aus Köln", "iso-8859-1", "GRÜSSE AUS KÖ"),
        ("İstanbul'a hoş geldiniz", "iso-8859-9", "ISTANBUL'A HOŞ"),
        ("Привет, мир", "koi8-r", "привет, МИР"),
        ("你好，世界。再见", "gb18030", "世界。再"),
        ("你好，世界。再见", "gb2312", "世界。再"),
        ("日本語のメールです", "iso-2022-jp", "メール"),
        ("日本語のメールです", "shift_jis", "メール"),
        ("안녕하세요 여러분", "euc-kr", "하세요 여"),
        ("שלום עולם", "windows-1255", "לום עו"),
        ("żółć", "utf-8", "ŻÓŁ"),
    ],
)
def test_every_charset_and_encoding_is_found(text: str, charset: str, needle: str, encoding: str) -> None:
    found = read(message(text, charset, encoding))
    assert found.holds("body", fold(needle))
    assert found.holds("subject", fold(needle))
    assert found.holds("header", fold(needle))
    assert found.holds("text", fold(needle))
    assert not found.holds("from", fold(needle))
    assert found.complete


def test_html_is_searched_as_a_person_reads_it() -> None:
    found = read(
        message("<p>W<b>o</b>rd &amp; <a href='http://x'>link</a></p><style>no</style>", "utf-8", kind="html")
    )
    assert found.body.split() == ["word", "&", "link"]


MIXED = (
    b"From: Jos\xc3\xa9 <jose@a.example>\r\nTo: b@b.example\r\nTo: c@c.example\r\n"
    b"Bcc: =?utf-8?q?=C3=A9?= <d@d>\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\npreamble\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nfirst part\r\n"
    b"--b\r\nContent-Type: application/pdf; name*=utf-8''r%C3%A9sum%C3%A9.pdf\r\n"
    b"Content-Description: =?utf-8?q?my_r=C3=A9sum=C3=A9?=\r\n\r\nnothing of this\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: =?koi8-r?b?8NLJ18XU?=\r\nX-Inner: yes\r\n\r\ninner text\r\n"
    b"--b--\r\nepilogue\r\n"
)


def test_attachments_have_names_and_enclosed_messages_headers() -> None:
    found = read(MIXED)
    for needle in ("first part", "RÉSUMÉ.pdf", "my résumé", "subject: Привет", "x-inner: yes", "inner text"):
        assert found.holds("body", fold(needle)), needle
    for needle in ("preamble", "nothing of this", "epilogue", "text/plain", "josé"):
        assert not found.holds("body", fold(needle)), needle
    assert found.holds("from", fold("JOSÉ"))
    assert found.to.split(SEPARATOR) == ["b@b.example", "c@c.example"]
    assert found.holds("bcc", fold("É <D@"))
    assert not found.holds("text", fold("first part résumé"))


def test_text_behind_the_limit_is_said_to_be_missing() -> None:
    data = b"Content-Type: text/plain\r\n\r\n" + b"x" * 3_000
    assert read(data, limit=3_001).complete
    found = read(data, limit=1_000)
    assert len(found.body) == 1_000
    assert not found.complete


@pytest.mark.parametrize("piece", [b"<a '", b'<b ">', b"&#x41;", b"--b\r\n", b"\xff", b"=?utf-8?q?=C3?= "])
def test_hostile_messages_take_linear_time(piece: bytes) -> None:
    head = b"Subject: " + piece[:900] + b"\r\nContent-Type: text/html\r\n\r\n"
    started = time.process_time()
    assert isinstance(read(head + piece * 200_000), SearchText)
    assert time.process_time() - started < 5


def test_every_message_of_the_corpus_can_be_searched() -> None:
    for name, raw in corpus.messages(every=20):
        found = searchable.read(lines.normalise(raw))
        assert found.header, name
        assert fold(found.header.split(SEPARATOR)[0]) in found.header, name
