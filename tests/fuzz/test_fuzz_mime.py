"""Any octets: no exception, bounded results, offsets in order, texts that read back."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.mime import addresses, date, encoding, generate, header, parameters, structure, text
from mailstack.mime.header import Headers
from mailstack.mime.preview import preview
from mailstack.mime.scanner import Part, scan
from tests.kit import imap_structure, imap_value

FUZZ = settings(
    derandomize=True, max_examples=int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200")), deadline=None
)

WORDS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b'"',
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b"@",
    b",",
    b";",
    b":",
    b"[",
    b"]",
    b"=",
    b"--",
    b"--b",
    b"--b--",
    b"\r\n--b\r\n",
    b"\r\n--c\r\n",
    b"a",
    b"b",
    b"x.y",
    b"Content-Type: ",
    b"multipart/mixed; boundary=b",
    b'multipart/digest; boundary="c"',
    b"message/rfc822",
    b"message/global",
    b"Message/News",
    b"Content-Language: de, en",
    b"Content-Location: ",
    b"text/plain; charset=utf-8",
    b"text/html",
    b"Content-Transfer-Encoding: base64",
    b"quoted-printable",
    b"From: ",
    b"Subject: ",
    b"To: ",
    b"Date: ",
    b"Content-Disposition: attachment; filename*0*=utf-8''x",
    b"=?utf-8?q?=C3?=",
    b"=?iso-2022-jp?b?GyRC?=",
    b"Mon, 22 Nov 2026 03:04:05 +0000",
    b"{3}",
    b"NIL",
    b"<style>",
    b"&amp;",
    b"=3D",
    b"AAAA",
]
OCTETS = st.lists(st.sampled_from(WORDS) | st.binary(max_size=4), max_size=60).map(b"".join)


def walk(part: Part) -> list[Part]:
    return [part, *[inner for child in part.children for inner in walk(child)]]


@FUZZ
@given(OCTETS)
def test_any_octets_have_a_structure_that_reads_back(data: bytes) -> None:
    found = structure.describe(data)
    assert len(imap_value.read(found.envelope)) == 10  # type: ignore[arg-type]
    imap_structure.check_envelope(found.envelope)
    leaves = imap_structure.check_body(found.body, extended=False)
    assert imap_structure.check_body(found.bodystructure, extended=True) == leaves
    newer = structure.describe(data, rev2=True)
    imap_structure.check_body(newer.bodystructure, extended=True, rev2=True)
    assert newer.bodystructure == found.bodystructure or structure.has_global(found.bodystructure)
    for part in walk(found.message):
        assert 0 <= part.start <= part.header_end <= part.end <= len(data)
        for child in part.children:
            assert part.header_end <= child.start
            assert child.end <= part.end
        assert isinstance(part.filename, str)


@FUZZ
@given(OCTETS)
def test_any_octets_have_text_and_a_preview(data: bytes) -> None:
    message = scan(data)
    assert preview(data, message).isprintable()
    assert sum(len(part.text) for part in text.texts(data, message, limit=50, attachments=True)) <= 50


@FUZZ
@given(OCTETS)
def test_any_header_is_split_and_decoded(data: bytes) -> None:
    headers = Headers.parse(data)
    end, body = header.find_end(data)
    assert 0 <= end <= body <= len(data)
    last = 0
    for field in headers.fields:
        assert last <= field.start < field.value <= field.end <= end
        last = field.end
        value = headers.value(field)
        assert b"\n" not in value
        decoded = encoding.decode_words(value)
        assert not set(decoded) & {"\r", "\n", "\0"}
        assert len(Headers.parse(generate.header("Subject", decoded) + b"\r\n").fields) == 1
        parameters.decode_parameters(parameters.parse(value).parameters)
        date.parse(value)


@FUZZ
@given(OCTETS)
def test_any_address_list_is_read(data: bytes) -> None:
    for entry in addresses.parse(data):
        assert isinstance(entry.spec, str)
        assert isinstance(entry.display, str)
    strict = addresses.strict_addresses(data)
    if not isinstance(strict, addresses.Unparsable):
        # Whatever the strict reader accepts, the lenient one shows with the same domains.
        shown = [entry.domain for entry in addresses.parse(data) if entry.is_mailbox]
        assert len(shown) == len(strict)


@FUZZ
@given(OCTETS, st.integers(0, 60))
def test_decoding_is_bounded(data: bytes, limit: int) -> None:
    for name in ("base64", "quoted-printable", "7bit", "x-unknown"):
        assert len(encoding.decode_transfer(data, name, limit)) <= limit
