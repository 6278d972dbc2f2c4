"""Text of any charset, declared or not, rightly or not."""

from __future__ import annotations

import pytest

from mailstack.filters.reading.charsets import decode, guess

RUSSIAN = "\u041f\u0440\u0438\u0432\u0435\u0442, \u044d\u0442\u043e \u043f\u0438\u0441\u044c\u043c\u043e \u043e \u0432\u0430\u0448\u0435\u043c \u0441\u0447\u0435\u0442\u0435. "  # noqa: E501
JAPANESE = "\u3053\u308c\u306f\u65e5\u672c\u8a9e\u306e\u30e1\u30fc\u30eb\u3067\u3059\u3002"
CHINESE = "\u8fd9\u662f\u4e00\u5c01\u4e2d\u6587\u90ae\u4ef6\uff0c\u8bf7\u60a8\u67e5\u6536\u3002\u8c22\u8c22\u60a8\u7684\u652f\u6301"  # noqa: E501
KOREAN = (
    "\uc774\uac83\uc740 \ud55c\uad6d\uc5b4 \uba54\uc77c\uc785\ub2c8\ub2e4. \uac10\uc0ac\ud569\ub2c8\ub2e4."
)
TAIWANESE = "\u9019\u662f\u4e00\u5c01\u7e41\u9ad4\u4e2d\u6587\u90f5\u4ef6\uff0c\u8acb\u60a8\u67e5\u6536"


@pytest.mark.parametrize(
    ("text", "codec", "declared"),
    [
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8-r", "KOI8-R"),
        (RUSSIAN, "utf-8", "utf8"),
        (RUSSIAN, "utf-16", "utf-16"),
        (RUSSIAN, "utf-16-le", "utf-16le"),
        (JAPANESE, "iso2022_jp", "iso-2022-jp"),
        (JAPANESE, "cp932", "shift_jis"),
        (CHINESE, "gb18030", "gb2312"),
        ("Gr\u00fc\u00dfe \u20ac", "cp1252", "iso-8859-1"),
    ],
)
def test_what_is_declared_rightly_is_read_so(text: str, codec: str, declared: str) -> None:
    assert decode(text.encode(codec), declared) == text


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "euc_jp"), (JAPANESE, "cp932"),
        (CHINESE, "gb18030"), (KOREAN, "cp949"), (TAIWANESE, "big5"),
        ("Gr\u00fc\u00dfe aus M\u00fcnchen", "cp1252"),
    ],
)  # fmt: skip
def test_undeclared_text_is_told_by_its_octets(text: str, codec: str) -> None:
    assert guess(text.encode(codec)) == codec
    assert decode(text.encode(codec), "") == text


def test_utf_8_is_seen_whatever_is_declared() -> None:
    assert decode("Gr\u00fc\u00dfe".encode(), "iso-8859-1") == "Gr\u00fc\u00dfe"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_wide_text_is_seen_by_its_mark_or_its_nuls(codec: str) -> None:
    text = decode("Your account is locked".encode(codec), "utf-8")
    assert text.lstrip("\ufeff") == "Your account is locked"


def test_the_page_names_its_charset() -> None:
    page = b"<meta http-equiv=x content='text/html; charset=windows-1251'>" + RUSSIAN.encode("cp1251")
    assert RUSSIAN in decode(page, "", is_html=True)


def test_a_character_cut_at_the_end_spoils_nothing() -> None:
    assert decode("Gr\u00fc\u00dfe".encode()[:-2], "") == "Gr\u00fc"


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (b"caf\xe9", "x-unknown-99"),  # unknown
        (b"+ADw-script+AD4-", "utf-7"),
        (b"ab", "utf-16"),  # no mark, and too short to tell
        (b"\xff\xfea", "utf-16"),
        (b"caf\xe9", "base64"),  # no charset at all
        (b"\xff\xfe\xfd\xfc" * 100, "utf-8"),
        (b"\x1b$B\xff\xff", "iso-2022-jp"),
        (b"\0" * 1_000, "utf-32"),
        (b"\x81", "shift_jis"),
        (b"x" * 10, "punycode"),
        (b"\xd8\x00" * 10, "utf-16-be"),
        (b"a\0b\0c", ""),
        (b"", "utf-16"),
    ],
)
def test_broken_text_is_repaired_and_never_fails(data: bytes, declared: str) -> None:
    # M9
    text = decode(data, declared)
    assert "\0" not in text
    text.encode()  # no halves of characters
    assert len(text) <= len(data)


def test_long_names_of_charsets_are_none() -> None:
    assert decode(b"caf\xe9", "utf-16" + "z" * 100_000) == "caf\u00e9"
