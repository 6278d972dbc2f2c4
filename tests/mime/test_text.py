"""Text for the classifier."""

from __future__ import annotations

import pytest

from mailstack.mime import lines, text
from mailstack.mime.scanner import scan
from tests.kit import corpus

MIXED = (
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    b"\r\ncaf=E9\r\n"
    b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n"
    b"--b\r\nContent-Type: text/plain\r\nContent-Disposition: ATTACHMENT; filename=x\r\n\r\nattached\r\n"
    b"--b\r\nContent-Type: image/png\r\n\r\nbinary\r\n--b--\r\n"
)


def test_plain_and_html_parts_are_decoded_in_order() -> None:
    assert [(p.kind, p.text) for p in text.texts(MIXED)] == [("plain", "café"), ("html", "<b>hi</b>")]
    assert [p.text for p in text.texts(MIXED, attachments=True)][-1] == "attached"


def test_text_in_an_enclosed_message_counts_too() -> None:
    data = b"Content-Type: message/rfc822\r\n\r\nContent-Type: text/plain\r\n\r\ninner"
    assert [p.text for p in text.texts(data)] == ["inner"]


@pytest.mark.parametrize("encoding", [b"7bit", b"base64", b"quoted-printable"])
def test_half_a_megabyte_of_text_is_given_and_not_one_octet_more(encoding: bytes) -> None:
    body = {b"base64": b"eHh4" * 1_000_000, b"7bit": b"x" * 2_000_000, b"quoted-printable": b"=78" * 800_000}[
        encoding
    ]
    part = b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body
    data = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + part
        + b"\r\n--b\r\n"
        + part
        + b"\r\n--b--"
    )
    assert [len(p.text) for p in text.texts(data)] == [text.MAX_TEXT_OCTETS]


def test_every_message_of_the_corpus_has_text() -> None:
    for name, raw in corpus.messages(every=20):
        data = lines.normalise(raw)
        message = scan(data)
        assert all(isinstance(part.text, str) for part in text.texts(data, message)), name
