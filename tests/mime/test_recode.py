"""Binary parts made storable (RFC 3516 section 4.4)."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import encoding
from mailstack.mime.recode import NotText, without_binary
from mailstack.mime.scanner import Part, find_part, scan

MULTIPART = (
    b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: binary\r\n\r\npreamble\r\n"
    b"--x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding:\r\n Binary\r\n\r\n%b\r\n"
    b"--x\r\n\r\nplain\r\n"
    b"--x\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: binary\r\n\r\n<p>\xc3\xa9\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"Subject: inner\r\n\r\nin\0side\r\n"
    b"--x--\r\n"
)


def recoded(data: bytes) -> bytes:
    return b"".join(without_binary(data))


def content(data: bytes, *path: int) -> tuple[str, bytes]:
    part = find_part(scan(data), path)
    assert isinstance(part, Part)
    return part.encoding, encoding.decode_transfer(data[part.header_end : part.end], part.encoding)


@pytest.mark.parametrize("octets", [b"\x89PNG\0\r\n\n", b"", b"plain", b"\0" * 100_000])
def test_parts_keep_their_octets(octets: bytes) -> None:
    out = recoded(MULTIPART % octets)
    assert b"\0" not in out and scan(out).encoding == "8bit"
    assert content(out, 1) == ("base64", octets)
    assert content(out, 2) == ("7bit", b"plain")
    assert content(out, 3) == ("8bit", "<p>\xe9".encode())
    assert content(out, 4, 1) == ("base64", b"in\0side")
    assert max(map(len, out.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n", b"Subject: x", b"Subject: x\r\n\r\nhello\n",
     b"Content-Transfer-Encoding: base64\r\n\r\nAAAA",
     b"Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\n \xff\r\n--x--\r\n"],
)  # fmt: skip
def test_what_is_text_already_is_not_touched(data: bytes) -> None:
    assert recoded(data) == data


@pytest.mark.parametrize("label", [b"", b"Content-Transfer-Encoding: 8bit\r\n"])
@pytest.mark.parametrize("octets", [b"\n", b"\r", b"x" * 58_367 + b"\r\n\r", b"x" * 58_367 + b"\ry"])
def test_line_ends_that_are_none_are_kept_where_no_text_is(label: bytes, octets: bytes) -> None:
    out = recoded(b"Content-Type: image/png\r\n" + label + b"\r\n" + octets)
    assert content(out) == ("base64", octets)
    whole = b"Content-Type: image/png\r\n" + label + b"\r\n" + b"x" * 58_367 + b"\r\n"
    assert recoded(whole) == whole


def test_fields_that_are_cut_out_stay_out() -> None:
    head = b"X-Spam-Flag: NO\r\nContent-Type: image/png\r\n"
    out = b"".join(without_binary(head + b"X: y\r\n\r\n\0", [(0, 17), (len(head), len(head) + 6)]))
    assert out == b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\r\n\0", b"Content-Transfer-Encoding: base64\r\n\r\nAA==\r\n"),
        (b"A: b\r\n\r\n\0", b"A: b\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n"),
        (b"content-transfer-encoding : 8bit\r\nA: b\r\n\r\n\0",
         b"Content-Transfer-Encoding: base64\r\nA: b\r\n\r\nAA==\r\n"),
    ],
)  # fmt: skip
def test_the_label_follows_the_encoding(data: bytes, expected: bytes) -> None:
    assert recoded(data) == expected


@pytest.mark.parametrize(
    "data",
    [b"Subject: \0\r\n\r\nx", b"Content-Transfer-Encoding: base64\r\n\r\n\0",
     b"Content-Type: multipart/mixed; boundary=x\r\n\r\n\0\r\n--x\r\n\r\n--x--\r\n"],
)  # fmt: skip
def test_nul_outside_a_part_is_refused(data: bytes) -> None:
    with pytest.raises(NotText):
        recoded(data)


def test_a_mapped_file_is_as_good(tmp_path: Path) -> None:
    data = MULTIPART % (b"\0\xff" * 200_000)
    (tmp_path / "message").write_bytes(data)
    with (
        (tmp_path / "message").open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
    ):
        assert b"".join(without_binary(mapped)) == recoded(data)


@given(st.lists(st.sampled_from([
    b"\0", b"\r\n", b"--x\r\n", b"--x--\r\n", b"Content-Transfer-Encoding: binary\r\n", b"x",
    b"Content-Type: multipart/mixed; boundary=x\r\n", b"Content-Type: message/rfc822\r\n", b"\n", b" ",
]), max_size=25).map(b"".join))  # fmt: skip
def test_what_comes_out_holds_no_nul_and_no_binary_label(data: bytes) -> None:
    try:
        out = recoded(data)
    except NotText:
        return
    assert b"\0" not in out
    work = [scan(out)]
    while work:
        part = work.pop()
        assert part.encoding != "binary"
        work.extend(part.children)
