"""Text from octets whose charset is declared, undeclared, or declared wrongly.

What is declared counts unless the octets say otherwise for certain: UTF-8 is hardly ever met by
chance, and neither are NULs at every second place.  Undeclared eight-bit text is told by
what its octets look like.  Nothing fails: what fits nowhere becomes U+FFFD.

Standards: RFC 2045 section 5.1, RFC 2046 section 4.1.2; WHATWG Encoding (what labels mean).
No I/O.
"""

from __future__ import annotations

import codecs
import re

from mailstack.mime.encoding import decode_charset, python_charset

#: Octets a guess is based on.
_SAMPLE = 4_096
_MAX_NAME = 40
_META = re.compile(
    rb"<meta[^>]{1,200}charset\s{0,8}=\s{0,8}[\"']?\s{0,8}([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE
)
_CONTROLS = re.compile(rb"[\x00-\x08]")
_HIGH = re.compile(rb"[\x80-\xff]+")
_LETTERS = re.compile(rb"[A-Za-z]")
#: One octet for each character, ASCII below: text that is valid UTF-8 as well is UTF-8.
_SINGLE = frozenset({"cp1252", "latin_1", "iso8859-1", "iso8859-15", "cp1250", "iso8859-2", "ascii"})
_WIDE = re.compile(r"utf[-_ ]?(?:16|32)|ucs-?[24]", re.IGNORECASE)
_ESCAPES = (
    (b"\x1b$", "iso2022_jp"),
    (b"\x1b(J", "iso2022_jp"),
    (b"\x1b(I", "iso2022_jp_3"),
    (b"\x1b$)C", "iso2022_kr"),
)
#: Share of octets above ASCII among letters from which a text is not written in Latin.
_MOSTLY_HIGH = 0.4


def decode(data: bytes, declared: str, *, is_html: bool = False) -> str:
    """The text of one part.

    Args:
        declared: its charset parameter; "" without.
    """
    text = _decode(data, declared.strip().lower()[:_MAX_NAME], is_html=is_html)
    return text.replace("\0", " ") if "\0" in text else text


def _decode(data: bytes, name: str, *, is_html: bool) -> str:
    codec = python_charset(name) if name else ""
    if b"\0" in data or _WIDE.match(name) is not None:
        text = _read_wide(data, name, codec)
        if text is not None:
            return text
        codec = "" if _WIDE.match(name) is not None else codec
    if data.isascii():
        return _seven_bit(data, codec)
    if not codec and is_html:
        meta = _META.search(data, 0, 2_048)
        codec = python_charset(meta[1].decode("ascii")) if meta is not None else ""
        if codec.startswith("utf-16"):
            codec = "utf-8"
    return _eight_bit(data, codec)


def _read_wide(data: bytes, name: str, codec: str) -> str | None:
    """The text if it is UTF-16 or UTF-32, by its octets before its name; None when it is not."""
    wide = _wide(data)
    is_declared = codec.startswith(("utf-16", "utf-32"))
    if wide and not is_declared:
        return _guessed(data, wide)
    if not is_declared:
        return None
    if not wide and _CONTROLS.search(data) is None:
        return None  # every letter of any script has a low octet somewhere
    if wide and codec == "utf-16" and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode(wide, "replace")
    return decode_charset(data, name)


def _guessed(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec, "replace")
    except (UnicodeError, ValueError):  # codecs with a state may still raise
        return data.decode("latin-1")


def _wide(data: bytes) -> str:
    """UTF-16 by its mark, or by the NULs of ASCII characters in it."""
    for mark, codec in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return codec
    sample = data[:_SAMPLE]
    half = len(sample) // 2
    if half < 2:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd * 2 > half and even * 8 < half:
        return "utf-16-le"
    if even * 2 > half and odd * 8 < half:
        return "utf-16-be"
    return ""


def _seven_bit(data: bytes, codec: str) -> str:
    if codec.startswith(("iso2022", "hz", "utf-7")):
        return decode_charset(data, codec)
    if b"\x1b" in data:
        for escape, meant in _ESCAPES:
            if escape in data:
                return _guessed(data, meant)
    return data.decode("ascii")


def _eight_bit(data: bytes, codec: str) -> str:
    if codec in ("", "ascii", "utf-8") or codec in _SINGLE:
        text = _as_utf8(data)
        if text is not None:
            return text
    if codec == "utf-8":
        # Mostly UTF-8 with a broken place, or something else altogether?
        text = data.decode("utf-8", "replace")
        if text.count("\ufffd") * 8 <= len(_HIGH.findall(data)):
            return text
    if codec in ("", "ascii", "utf-8"):
        meant = guess(data)
        return decode_charset(data, "windows-1252") if meant == "cp1252" else _guessed(data, meant)
    return decode_charset(data, codec)


def _as_utf8(data: bytes) -> str | None:
    """The text if it is UTF-8, but for a character cut at the end."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(data) - 3 or error.reason != "unexpected end of data":
            return None
        return data[: error.start].decode("utf-8") if not data[: error.start].isascii() else None


def guess(data: bytes) -> str:
    """The codec of eight-bit text that is no UTF-8, by its octets: Western, Cyrillic or East Asian."""
    sample = data[:_SAMPLE]
    runs = _HIGH.findall(sample)
    joined = b"".join(runs)
    high = len(joined)
    if high < _MOSTLY_HIGH * (high + len(_LETTERS.findall(sample))):
        return "cp1252"
    # Words are mostly in lower case: 0xE0 to 0xFF in windows-1251, 0xC0 to 0xDF in KOI8-R.
    above = sum(octet >= 0xE0 for octet in joined)
    below = sum(0xC0 <= octet < 0xE0 for octet in joined)
    if max(above, below) * 10 >= high * 6:
        return "cp1251" if above >= below else "koi8-r"
    if (joined.count(0x82) + joined.count(0x83)) * 6 >= high and _fits(sample, "cp932"):
        return "cp932"  # kana
    if sum(len(run) % 2 == 0 for run in runs) * 10 >= len(runs) * 9:
        return _by_leads(sample, joined)
    return "big5" if _fits(sample, "big5") else "cp1252"


def _by_leads(sample: bytes, joined: bytes) -> str:
    """Of the charsets that take two high octets for each character, by which come first."""
    leads = joined[0::2]
    if (leads.count(0xA4) + leads.count(0xA5)) * 5 >= len(leads) and _fits(sample, "euc_jp"):
        return "euc_jp"
    hangul = sum(0xB0 <= lead <= 0xC8 for lead in leads)
    first, second = ("cp949", "gb18030") if hangul * 10 >= len(leads) * 8 else ("gb18030", "cp949")
    return next((codec for codec in (first, second, "big5") if _fits(sample, codec)), "cp1252")


def _fits(sample: bytes, codec: str) -> bool:
    """It decodes, but for a cut last character."""
    for cut in (0, 1, 2, 3):
        try:
            sample[: len(sample) - cut].decode(codec)
        except UnicodeError:
            continue
        return True
    return False
