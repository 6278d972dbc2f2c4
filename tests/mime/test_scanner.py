"""The scanner: offsets, odd boundaries, limits; and agreement with the standard library."""

from __future__ import annotations

import email
import email.message
import mmap
import time
from pathlib import Path

import pytest

from mailstack.mime import lines, scanner
from mailstack.mime.scanner import Part, find_part, scan
from tests.kit import corpus


def message(content_type: str, *body: str) -> bytes:
    return "\r\n".join([f"Content-Type: {content_type}", "", *body]).encode()


def multipart(boundary: str, *parts: str) -> bytes:
    body: list[str] = []
    for part in parts:
        body += [f"--{boundary}", part]
    return message(f'multipart/mixed; boundary="{boundary}"', *body, f"--{boundary}--", "")


def tree(part: Part) -> object:
    """Types, nested as the parts are."""
    if part.children:
        return [part.content_type, *[tree(child) for child in part.children]]
    return part.content_type


def bodies(data: bytes, part: Part) -> list[bytes]:
    return [data[child.header_end : child.end] for child in part.children]


def test_a_message_without_mime_is_one_text_part() -> None:
    data = b"Subject: x\r\n\r\nhello\r\n"
    part = scan(data)
    assert (part.start, part.header_end, part.end, part.size) == (0, 14, len(data), 7)
    assert (part.content_type, part.encoding, part.children) == ("text/plain", "7bit", [])


def test_the_line_end_before_a_boundary_belongs_to_the_boundary() -> None:
    # RFC 2046 section 5.1.1
    data = multipart("b", "\r\none\r\n", "\r\ntwo", "Content-Type: text/html\r\n\r\nthree")
    part = scan(data)
    assert bodies(data, part) == [b"one\r\n", b"two", b"three"]
    assert tree(part) == ["multipart/mixed", "text/plain", "text/plain", "text/html"]


def test_preamble_and_epilogue_are_no_parts() -> None:
    data = message("multipart/mixed; boundary=b", "pre", "--b", "", "one", "--b--", "epi", "--b", "", "no")
    assert bodies(data, scan(data)) == [b"one"]


def test_a_missing_end_boundary_ends_with_the_message() -> None:
    data = message("multipart/mixed; boundary=b", "--b", "", "one", "--b", "", "two", "")
    assert bodies(data, scan(data)) == [b"one", b"two\r\n"]


def test_bare_line_feeds_are_tolerated() -> None:
    data = multipart("b", "\r\none", "\r\ntwo").replace(b"\r\n", b"\n")
    assert bodies(data, scan(data)) == [b"one", b"two"]


def test_an_inner_boundary_that_begins_like_the_outer_one_is_another() -> None:
    # M2
    inner = multipart("abc-inner", "\r\nx", "\r\ny").decode()
    data = multipart("abc", inner, "\r\nz")
    assert tree(scan(data)) == [
        "multipart/mixed",
        ["multipart/mixed", "text/plain", "text/plain"],
        "text/plain",
    ]


def test_an_outer_boundary_ends_an_inner_multipart() -> None:
    inner = 'Content-Type: multipart/mixed; boundary="in"\r\n\r\n--in\r\n\r\nx'
    data = multipart("out", inner, "\r\nz")
    assert tree(scan(data)) == ["multipart/mixed", ["multipart/mixed", "text/plain"], "text/plain"]


@pytest.mark.parametrize("line", ["-b", "--bb", "x--b", " --b", "--b x", "--b-", "--B", "--b--x"], ids=repr)
def test_a_line_that_only_looks_like_a_boundary_is_text(line: str) -> None:
    data = message("multipart/mixed; boundary=b", "--b", "", "one", line, "--b--", "")
    assert bodies(data, scan(data)) == [b"one\r\n" + line.encode()]


@pytest.mark.parametrize("line", ["--b", "--b  ", "--b\t"], ids=repr)
def test_white_space_behind_a_boundary_is_padding(line: str) -> None:
    data = message("multipart/mixed; boundary=b", line, "", "one", "--b--  ", "")
    assert bodies(data, scan(data)) == [b"one"]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/mixed",
        "multipart/mixed; boundary=",
        'multipart/mixed; boundary=""',
        'multipart/mixed; boundary=" "',
        "multipart/mixed; boundary=" + "b" * 201,
        "multipart/mixed; boundary=" + "b" * 5000,
        "multipart/mixed; boundary=c",
    ],
)
def test_a_multipart_without_a_usable_boundary_is_text(content_type: str) -> None:
    # M4
    assert tree(scan(message(content_type, "--b", "", "one", "--b--", ""))) == "text/plain"


@pytest.mark.parametrize("length", [70, 71, 200])
def test_boundaries_of_two_hundred_octets_are_read(length: int) -> None:
    assert len(scan(multipart("b" * length, "\r\none")).children) == 1


def test_a_boundary_with_a_trailing_space_is_read_without_it() -> None:
    data = message('multipart/mixed; boundary="b "', "--b", "", "one", "--b--", "")
    assert bodies(data, scan(data)) == [b"one"]


def test_the_parts_of_a_digest_are_messages_by_default() -> None:
    # RFC 2046 section 5.1.5
    data = message("multipart/digest; boundary=b", "--b", "", "Subject: in", "", "x", "--b--", "")
    part = scan(data)
    assert tree(part) == ["multipart/digest", ["message/rfc822", "text/plain"]]
    assert part.children[0].children[0].fields[b"subject"] == b"in"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("text", "text/plain"),
        ("text/html; charset", "text/html"),
        ("garbage", "text/plain"),
        ("a/b/c", "text/plain"),
        ("TEXT/HTML", "text/html"),
        (" text / html ", "text/html"),
        ("text/ht ml", "text/plain"),
        ("/", "text/plain"),
    ],
)
def test_a_bad_content_type_is_text(value: str, wanted: str) -> None:
    # RFC 2045 section 5.2
    assert scan(message(value, "x")).content_type == wanted


def nested(depth: int) -> bytes:
    out = []
    for level in range(depth):
        out.append(f'Content-Type: multipart/mixed; boundary="b{level}x"\r\n\r\n--b{level}x\r\n')
    return "".join(out).encode() + b"\r\nhello"


@pytest.mark.parametrize("depth", [50, 64, 65, 1000])
def test_sixty_four_levels_are_read_and_the_rest_is_opaque(depth: int) -> None:
    # M1: RecursionError in the standard library
    started = time.process_time()
    part = scan(nested(depth))
    seen = 0
    while part.children:
        part = part.children[0]
        seen += 1
    assert seen == min(depth, scanner.MAX_DEPTH)
    assert part.opaque == (depth > scanner.MAX_DEPTH)
    assert time.process_time() - started < 5


def test_a_hundred_thousand_levels_end_earlier_because_of_the_time_they_take() -> None:
    started = time.process_time()
    part = scan(nested(100_000))
    seen = 0
    while part.children:
        part = part.children[0]
        seen += 1
    assert 8 <= seen <= scanner.MAX_DEPTH
    assert part.opaque
    assert time.process_time() - started < 5


@pytest.mark.parametrize("depth", [16, 17, 1000])
def test_sixteen_messages_within_messages_are_read(depth: int) -> None:
    # M2
    part = scan(b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: x\r\n\r\nhello")
    seen = 0
    while part.children:
        part = part.children[0]
        seen += 1
    assert seen == min(depth, scanner.MAX_MESSAGE_DEPTH)
    assert part.content_type == ("text/plain" if depth == seen else "application/octet-stream")


@pytest.mark.parametrize("count", [998, 999, 1000, 200_000])
def test_a_thousand_parts_are_read_and_the_rest_is_one_opaque_part(count: int) -> None:
    # M3
    started = time.process_time()
    data = multipart("b", *["\r\nx"] * count)
    part = scan(data)
    assert len(part.children) == min(count, scanner.MAX_PARTS)
    if count >= scanner.MAX_PARTS:
        last = part.children[-1]
        assert last.opaque
        assert last.end == part.end
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "data",
    [
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + b"\r\n--bx" * 2_000_000,
        b"Content-Type: multipart/mixed; boundary=-\r\n\r\n" + b"-" * 10_000_000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b  " * 2_000_000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 2_000_000,
        b"Content-Type: text/plain\r\n" * 400_000,
        nested(64) + b"x" * 10_000_000,
        b"\r\n" * 5_000_000,
        b"A:\r\n" + b" \r\n" * 3_000_000,
    ],
    ids=lambda data: repr(data[-8:]),
)
def test_ten_hostile_megabytes_take_less_than_a_second(data: bytes) -> None:
    started = time.process_time()
    scan(data)
    assert time.process_time() - started < 5


def test_part_numbers_are_those_of_imap() -> None:
    # RFC 3501 section 6.4.5, the example's shape
    inner = multipart("in", "\r\n4.2.1", "Content-Type: text/html\r\n\r\n4.2.2").decode()
    enclosed = "Content-Type: message/rfc822\r\n\r\n" + multipart("msg", "\r\n4.1", inner).decode()
    simple = "Content-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\n3.1"
    data = multipart("out", "\r\n1", "Content-Type: image/gif\r\n\r\n2", simple, enclosed)
    root = scan(data)

    def body(*path: int) -> bytes | None:
        part = find_part(root, path)
        return None if part is None else data[part.header_end : part.end].strip()

    assert body(1) == b"1"
    assert body(2) == b"2"
    assert body(3, 1) == b"3.1"
    assert body(4, 1) == b"4.1"
    assert body(4, 2, 1) == b"4.2.1"
    assert body(4, 2, 2) == b"4.2.2"
    assert find_part(root, ()) is root
    for path in ((0,), (5,), (1, 1), (1, 2), (3, 2), (3, 1, 1), (4, 3), (4, 2, 3), (4, 1, 1, 1)):
        assert find_part(root, path) is None
    alone = scan(b"Subject: x\r\n\r\nhello")
    assert find_part(alone, (1,)) is alone
    assert find_part(alone, (1, 1)) is None
    assert find_part(alone, (2,)) is None


def test_a_mapped_file_gives_the_same_as_its_octets(tmp_path: Path) -> None:
    data = multipart("b", "\r\none", multipart("c", "\r\ntwo", "\r\nthree").decode())
    (tmp_path / "m").write_bytes(data)
    with (tmp_path / "m").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        part = scan(mapped)
    assert tree(part) == tree(scan(data))


def test_file_names_come_from_disposition_or_type() -> None:
    data = multipart(
        "b",
        "Content-Disposition: attachment; filename=a.txt\r\n\r\nx",
        'Content-Type: text/plain; name="=?utf-8?q?caf=C3=A9?="\r\n\r\nx',
        "Content-Disposition: \0\r\n\r\nx",
    )
    assert [child.filename for child in scan(data).children] == ["a.txt", "café", ""]


def stdlib_tree(message: email.message.Message) -> object:
    kind = message.get_content_type()
    payload = message.get_payload()
    if isinstance(payload, list) and payload and kind != "message/delivery-status":
        return [kind, *[stdlib_tree(part) for part in payload]]
    return kind


def test_the_corpus_is_read_as_the_standard_library_reads_it() -> None:
    different = []
    total = 0
    for name, raw in corpus.messages(every=5):
        data = lines.normalise(raw)
        total += 1
        part = scan(data)
        assert part.header_end <= part.end == len(data)
        if tree(part) != stdlib_tree(email.message_from_bytes(data)):
            different.append(name)
    assert total > 500
    # Multiparts without a usable boundary stay multiparts there; malformed types differ.
    assert len(different) <= total // 200, different
