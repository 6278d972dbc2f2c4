"""The readers of mime beside the standard library's, where that is right; every difference is explained."""

from __future__ import annotations

import email
import email.header
import email.message
import email.utils
from collections.abc import Iterator
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import addresses, date, lines
from mailstack.mime.encoding import decode_charset, decode_words
from mailstack.mime.header import Headers
from mailstack.mime.scanner import Part, scan
from mailstack.mime.text import content, parts
from tests.kit import corpus
from tests.kit.fuzzing import FUZZ

TEXTS = st.text(st.sampled_from("abc -=.?_\n\tüß漢字€"), max_size=60)
NAMES = st.text(st.sampled_from("ab.é漢'\"; %()"), min_size=1, max_size=30).map(str.strip).filter(bool)


def text_part(text: str, charset: str) -> MIMEBase:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        charset = "utf-8"
    return MIMEText(text, "plain", charset)


def attachment(data: bytes, name: str) -> MIMEBase:
    part = MIMEApplication(data)
    part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", name))
    return part


def multipart(children: list[MIMEBase], subtype: str) -> MIMEBase:
    part = MIMEMultipart(subtype)
    for child in children:
        part.attach(child)
    return part


def enclosed(inner: MIMEBase, subject: str) -> MIMEBase:
    inner["Subject"] = email.header.Header(subject, "utf-8").encode()
    return MIMEMessage(inner)  # type: ignore[arg-type]


LEAVES = st.builds(
    text_part, TEXTS, st.sampled_from(["us-ascii", "utf-8", "iso-8859-1", "gb18030"])
) | st.builds(attachment, st.binary(max_size=200), NAMES)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(
            multipart,
            st.lists(inner, min_size=1, max_size=4),
            st.sampled_from(["mixed", "alternative", "related", "digest"]),
        )
        | st.builds(enclosed, inner, NAMES)
    ),
    max_leaves=8,
)


def leaves(message: email.message.Message) -> Iterator[email.message.Message]:
    return (part for part in message.walk() if not part.is_multipart())


def our_leaves(data: bytes) -> list[Part]:
    return [part for part in parts(scan(data)) if not part.is_multipart and not part.is_message]


@FUZZ
@given(TREES)
def test_what_the_standard_library_writes_is_read(tree: Any) -> None:
    data = lines.normalise(tree.as_bytes())
    theirs = list(leaves(email.message_from_bytes(data)))
    ours = our_leaves(data)
    assert [part.content_type for part in ours] == [part.get_content_type() for part in theirs]
    for part, other in zip(ours, theirs, strict=True):
        decoded = other.get_payload(decode=True)
        assert content(data, part) == decoded
        assert part.filename == (other.get_filename() or "")
        charset = other.get_content_charset()
        assert isinstance(decoded, bytes)
        if charset:
            assert decode_charset(decoded, charset) == decoded.decode(charset)


@FUZZ
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=80))
def test_encoded_words_that_the_standard_library_writes_are_read(text: str) -> None:
    text = " ".join(text.split())
    written = email.header.Header(text, "utf-8").encode(linesep="\r\n")
    assert decode_words(written.encode()) == text


def sample(every: int = 8) -> Iterator[tuple[str, bytes]]:
    for name, raw in corpus.messages(every=every):
        yield name, lines.normalise(raw)


def test_addresses_of_the_corpus() -> None:
    different = []
    total = 0
    for name, data in sample():
        headers = Headers.parse(data)
        for value in map(headers.first, ("from", "to", "cc", "reply-to")):
            if not value or not value.isascii():
                continue
            total += 1
            ours = [entry.spec for entry in addresses.parse(value) if entry.is_mailbox]
            theirs = [spec for _, spec in email.utils.getaddresses([value.decode()]) if spec]
            if ours != theirs:
                different.append((name, value, ours, theirs))
    # Left: "<>" and words that are no addresses, and quotes inside local parts, which we undo.
    assert total > 400
    assert len(different) <= total // 100, different


def test_dates_of_the_corpus() -> None:
    total = 0
    for name, data in sample():
        value = Headers.parse(data).first("date")
        found = date.parse(value) if value else None
        if value is None or found is None:
            continue  # years such as 0102, which are no dates to us
        total += 1
        theirs = email.utils.parsedate_to_datetime(value.decode("latin-1"))
        assert found.at == int(theirs.timestamp()), name
    assert total > 400


def test_encoded_subjects_of_the_corpus() -> None:
    for name, data in sample(every=4):
        value = Headers.parse(data).first("subject")
        if value and value.isascii() and b"=?" in value:
            pieces = email.header.decode_header(value.decode())
            theirs = "".join(
                piece if isinstance(piece, str) else piece.decode(charset or "ascii", "replace")
                for piece, charset in pieces
            )
            assert decode_words(value) == theirs, name


def test_decoded_bodies_of_the_corpus() -> None:
    different = []
    total = 0
    for name, data in sample():
        ours, theirs = our_leaves(data), list(leaves(email.message_from_bytes(data)))
        if len(ours) != len(theirs):
            continue  # compared in test_scanner
        for part, other in zip(ours, theirs, strict=True):
            total += 1
            if content(data, part) != other.get_payload(decode=True):
                different.append((name, part.encoding))
    # Left: base64 with junk in it, which the standard library gives back undecoded.
    assert total > 400
    assert len(different) <= total // 100, different
