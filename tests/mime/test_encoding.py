"""Transfer encodings, charsets and encoded words: lenient, bounded, silent."""

from __future__ import annotations

import time

import pytest

from mailstack.mime import encoding


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?caf=C3=A9?=", "café"),
        (b"=?ISO-8859-1?Q?caf=E9_x?= y", "café x y"),
        (b"=?utf-8?b?w7w=?= =?utf-8?b?w7w=?=", "üü"),  # RFC 2047 section 6.2: the space vanishes
        (b"=?utf-8?b?w7w=?=\r\n =?utf-8?b?w7w=?=", "üü"),
        (b"=?utf-8?b?w7w=?= and =?utf-8?b?w7w=?=", "ü and ü"),
        (b"=?utf-8?b?w7?= =?utf-8?b?w7w=?=", "\ufffdü"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),  # a character split over two words
        (b"=?utf-8*en?q?hello?=", "hello"),  # RFC 2231 section 5
        (b"=?x-unknown?q?caf=C3=A9?=", "café"),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?utf-8?q?abc", "=?utf-8?q?abc"),
        ("grüße".encode(), "grüße"),
        (b"gr\xfc\xdfe", "grüße"),
        (b"=?utf-8?q?x=0D=0ABcc:_evil@x?=", "x  Bcc: evil@x"),  # never a line end
        (b"=?utf-8?q?a=00b?=", "a b"),
        (b"=?gb2312?b?xOO6ww==?=", "你好"),
        (b"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"),
    ],
    ids=repr,
)
def test_encoded_words_are_decoded_leniently(value: bytes, text: str) -> None:
    assert encoding.decode_words(value) == text


def test_two_hundred_encoded_words_are_decoded_and_not_one_more() -> None:
    value = b" ".join([b"=?utf-8?q?x?="] * (encoding.MAX_ENCODED_WORDS + 1))
    assert encoding.decode_words(value) == "x" * encoding.MAX_ENCODED_WORDS + " =?utf-8?q?x?="


@pytest.mark.parametrize(
    "charset",
    [
        "",
        "utf-7",
        "utf-16",
        "base64",
        "rot13",
        "zlib",
        "hex",
        "punycode",
        "idna",
        "unicode_escape",
        "undefined",
        "no-such",
        "../os",
        "x" * 10000,
        "\x00",
        "latin1\n",
        "utf-8",
        "ISO-8859-8-I",
        "ks_c_5601-1987",
        "utf-16-le",
    ],
)
@pytest.mark.parametrize(
    "data", [b"", b"abc", b"\xff\xfe\xfd", b"+AGE-", b"+2AA-", b"\x00" * 3, bytes(range(256))], ids=repr
)
def test_no_charset_and_no_octets_raise(charset: str, data: bytes) -> None:
    # M9
    encoding.decode_charset(data, charset).encode()  # nor does what comes of them, when it is written


def test_unknown_charsets_are_not_remembered_by_python() -> None:
    import encodings

    before = len(encodings._cache)  # type: ignore[attr-defined]
    for n in range(1000):
        encoding.decode_charset(b"x", f"no-such-{n}")
    assert len(encodings._cache) == before  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"aGVsbG8=", b"hello"),
        (b"aGVs\r\nbG8=\r\n", b"hello"),
        (b"aGVs bG8", b"hello"),
        (b"aGVsbG8", b"hello"),
        (b"aGVsbG8==", b"hello"),
        (b"aGVsbG8=====", b"hello"),
        (b"aGVs!!bG8=", b"hello"),
        (b"aGVsb", b"hel"),
        (b"", b""),
        (b"====", b""),
    ],
    ids=repr,
)
def test_base64_is_decoded_leniently(data: bytes, wanted: bytes) -> None:
    # M8
    assert encoding.decode_transfer(data, "BASE64") == wanted


@pytest.mark.parametrize(
    ("data", "wanted"),
    [(b"a=3Db", b"a=b"), (b"a=\r\nb", b"ab"), (b"a=ZZb", b"a=ZZb"), (b"a=", b"a"), (b"=", b"")],
    ids=repr,
)
def test_quoted_printable_is_decoded_leniently(data: bytes, wanted: bytes) -> None:
    assert encoding.decode_transfer(data, "Quoted-Printable") == wanted


def test_decoding_stops_at_the_limit() -> None:
    assert encoding.decode_transfer(b"eHh4" * 1000, "base64", 10) == b"x" * 10
    assert encoding.decode_transfer(b"=78" * 1000, "quoted-printable", 10) == b"x" * 10
    assert encoding.decode_transfer(b"x" * 1000, "x-uuencode", 10) == b"x" * 10


def test_hostile_headers_take_no_time() -> None:
    # M5: a Subject of 1 MB, of 5000 encoded words, of openings without an end.
    started = time.process_time()
    for value in (b"x" * 1_000_000, b"=?utf-8?q?=C3?= " * 50_000, b"=?" * 500_000, b"=?a?q?" * 100_000):
        encoding.decode_words(value)
    encoding.decode_base64(b"=" * 5_000_000)
    assert time.process_time() - started < 5
