"""Hostile mail through the whole evaluation: a verdict in time, never an exception, never a refusal."""

# ruff: noqa: E501

from __future__ import annotations

import base64
import time
import zlib
from pathlib import Path

import pytest

from mailstack.filters import spam
from mailstack.filters.facts import Tools
from mailstack.filters.options import FilterOptions
from mailstack.filters.pipeline import Evaluation
from mailstack.filters.rules import Rules
from mailstack.filters.spam import model
from mailstack.model.verdict import FilterAnswer, FilterRecipient, FilterRequest
from tests.kit.hostile import zip_of
from tests.kit.lookups import resolve

PRIOR = model.load((Path(spam.__file__).parent / "prior.bin").read_bytes())
HEAD = b"From: Alice <alice@example.test>\r\nTo: bob@home.test\r\nSubject: hello\r\nMessage-ID: <1@example.test>\r\n"
HTML = HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n"
PLAIN = HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"


def evaluate(message: bytes) -> FilterAnswer:
    to = (FilterRecipient(1, 1, "bob@home.test", "bob@home.test"),)
    request = FilterRequest(
        "id",
        "192.0.2.9",
        "client.test",
        "alice@example.test",
        to,
        1_800_000_000,
        message,
        size_octets=len(message),
    )
    tools = Tools(FilterOptions(), "mx.home.test", PRIOR, Rules())
    return resolve(Evaluation(request, message, {}, tools).step, {})


def with_file(data: bytes, name: str) -> bytes:
    head = (
        f'Content-Type: application/octet-stream; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    )
    body = b"--b\r\n\r\nSee the file.\r\n--b\r\n" + head.encode() + base64.encodebytes(data) + b"--b--\r\n"
    return HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + body


def nested(depth: int) -> bytes:
    data = zip_of(("a.txt", b"x"))
    for number in range(depth):
        data = zip_of((f"{number}.zip", data))
    return data


def with_files(data: bytes, ending: str) -> bytes:
    head = "--b\r\nContent-Type: application/octet-stream; name=a%d.{}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    files = [head.format(ending).encode() % n + base64.encodebytes(data) for n in range(100)]
    return HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(files) + b"--b--\r\n"


RELATIONS = (b"<Relationship " + b'TargetMode="External"' * 45 + b" ") * 500
STREAMS = (b"/ObjStm stream\n" + zlib.compress(b"/URI" + bytes(512 * 1024)) + b"\n") * 64
MESSAGES = {
    "M4 boundary of 5000": HEAD + b"Content-Type: multipart/mixed; boundary=" + b"b" * 5_000 + b"\r\n\r\n--b\r\n\r\nx",
    "M8 padding": HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8" + b"=" * 5_000_000,
    "M9 utf-7": HEAD + b"Subject: =?utf-7?q?+2AA-?=\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n+2AA-hello",
    "M9 unknown": HEAD + b"Content-Type: text/plain; charset=base64\r\n\r\n\xff\xfe\xfd",
    "M10 uuencode": PLAIN + b"begin 644 a.exe\r\n" + b"M" * 61 + b"\r\n`\r\nend\r\n",
    "M11 bomb": with_file(zip_of(("zeros", bytes(50_000_000))), "42.zip"),
    "M11 traversal": with_file(zip_of(("../../x", b"y")), "a.zip"),
    "M11 nested": with_file(nested(10), "a.zip"),
    "M12 a hundred documents": with_files(zip_of(("[Content_Types].xml", b""), ("a.rels", RELATIONS), ("b.rels", RELATIONS)), "docx"),
    "M12 a hundred PDFs": with_files(b"%PDF-1.7\n" + STREAMS, "pdf"),
    "M13 nested": HTML + b"<div>" * 1_000_000,
    "M13 attributes": HTML + b"<b " + b" ".join(b"a%d" % n for n in range(150_000)) + b">",
    "M13 NULs": HTML + b"\0<p>\0x" * 100_000,
    "M14 addresses": PLAIN + b"".join(b"http://x%d.test/y " % n for n in range(10_240)),
    "M14 long address": PLAIN + b"http://" + b"z" * 1_000_000,
    "M14 punycode and bidi": HTML + "<a href='http://b\u00fc\u202ech.test/'>http://xn--bch-hoa.test</a>".encode() * 2_000,
    "M15 one word": PLAIN + b"x" * 30_000_000,
    "M15 one line": PLAIN + b"word " * 6_000_000,
    "M15 words": PLAIN + b" ".join(b"word%d" % n for n in range(60_000)),
    "M15 signs": PLAIN + "\U0001d400\u0430a\u200b ".encode() * 50_000,
    "M15 numbers": PLAIN + b"1234567890 $1,000 +1-800-555-0100 " * 15_000,
    "M16 name": with_file(b"x", "a\u202e" * 2_000 + "/..\\.pdf.exe"),
    "hidden": HTML + b"<p style='color:white'>" + b"w" * 900_000,
    "shown links": HTML + b"<a href='http://x.test/'>bank.example</a>" * 2_000,
}  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_hostile_mail_has_a_verdict_in_time(message: bytes) -> None:
    began = time.process_time()
    answer = evaluate(message)
    assert time.process_time() - began < 5
    assert answer.verdict.action in ("accept", "junk")
    assert len(answer.accounts) == 1


@pytest.mark.parametrize("name", ["M11 bomb", "M11 traversal", "M11 nested"])
def test_a_suspicious_archive_is_named_and_the_message_delivered(name: str) -> None:
    # M11
    verdict = evaluate(MESSAGES[name]).verdict
    assert "archive_suspicious" in [reason.name for reason in verdict.reasons]
    assert verdict.action in ("accept", "junk")
