"""Encodings of content and header text: lenient, bounded, never an exception.

Standards: RFC 2045 section 6 (transfer encodings), RFC 2047 (encoded words).
Limits, section 3: at most 200 encoded words in a header.  No I/O.
"""

from __future__ import annotations

import binascii
import codecs
import re
from encodings.aliases import aliases
from functools import lru_cache

from mailstack.mime.header import MAX_FIELD_OCTETS, unfold

#: Encoded words of one header that are decoded; later ones stay as they are.
MAX_ENCODED_WORDS = 200

_WORD = re.compile(rb"=\?([^?\s=]{1,75})\?([bBqQ])\?([^?]*)\?=")
_BLANK = re.compile(rb"[ \t\r\n]*\Z")
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)
_UNSAFE = str.maketrans({"\0": " ", "\r": " ", "\n": " "})

# Charset names come from outside.  Python would import a module by that name and remember
# every unknown one for ever, so only names it is known to have are looked up; these are
# known, but no charsets of mail (and punycode takes quadratic time).
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)
_CHARSETS = frozenset(aliases) | frozenset(aliases.values()) | {"cp65001", "koi8_u", "koi8_t", "utf_8_sig"}
# What mail says and what it means: supersets, and names Python does not know.
_MEANT = {
    "iso_8859_1": "cp1252",
    "latin_1": "cp1252",
    "latin1": "cp1252",
    "l1": "cp1252",
    "8859": "cp1252",
    "iso8859_1": "cp1252",
    "windows_1252": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x_gbk": "gb18030",
    "ks_c_5601_1987": "cp949",
    "ks_c_5601": "cp949",
    "euc_kr": "cp949",
    "x_sjis": "cp932",
    "shift_jis": "cp932",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "x_mac_roman": "mac_roman",
    "x_mac_cyrillic": "mac_cyrillic",
    "x_euc_jp": "euc_jp",
    "x_big5": "big5",
    "unicode_1_1_utf_7": "utf_7",
    "windows_874": "cp874",
    "tis_620": "cp874",
}


@lru_cache(maxsize=512)
def python_charset(name: str) -> str:
    """The Python codec for a charset named in mail; "" when there is none.

    Source: RFC 2045 section 5.1 (charset), IANA aliases in use.
    """
    key = re.sub(r"[^a-z0-9]+", "_", name.lower()[:64]).strip("_")
    key = _MEANT.get(key, key)
    if key not in _CHARSETS or key in _NO_CHARSETS:
        return ""
    try:
        found = codecs.lookup(key)
    except LookupError:
        return ""
    return found.name if getattr(found, "_is_text_encoding", False) else ""


def decode_charset(data: bytes, charset: str = "") -> str:
    """Text from octets; what does not fit becomes U+FFFD, an unknown charset is guessed.

    Args:
        charset: as named in the message; "" or "us-ascii": UTF-8 if it fits, else windows-1252.
    """
    codec = python_charset(charset) if charset else ""
    if codec in ("", "ascii", "utf-8"):
        return _guess(data, strict=codec != "utf-8")
    try:
        text = data.decode(codec, "replace")
    except (UnicodeError, ValueError):
        # UTF-16 without its second octet and stateful codecs may still raise.
        return _guess(data, strict=True)
    if codec == "utf-7":  # the only one that gives halves of characters, which nobody can write
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _guess(data: bytes, *, strict: bool) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace") if strict else data.decode("utf-8", "replace")


def decode_base64(data: bytes) -> bytes:
    """Lenient: foreign octets are skipped, padding may be missing or doubled."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        clean = data.translate(None, _NOT_BASE64).replace(b"=", b"")
        if len(clean) % 4 == 1:
            clean = clean[:-1]
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def decode_quoted_printable(data: bytes) -> bytes:
    """Lenient: "=ZZ" stays as it is."""
    return binascii.a2b_qp(data)


def decode_transfer(data: bytes, encoding: str, limit: int | None = None) -> bytes:
    """Undoes a Content-Transfer-Encoding.

    Args:
        encoding: as in the header, any case; unknown ones leave `data` as it is.
        limit: octets wanted at most; None: all.  Decoding stops soon after.
    """
    name = encoding.strip().lower()
    if name == "base64":
        out = decode_base64(data if limit is None else data[: limit * 2 + 4])
    elif name == "quoted-printable":
        out = decode_quoted_printable(data if limit is None else data[: limit * 4])
    else:
        out = data
    return out if limit is None else out[:limit]


def decode_words(value: bytes) -> str:
    """A header value as text: folding undone, encoded words decoded, NUL CR LF made spaces.

    Octets outside encoded words are taken as UTF-8, else as windows-1252.  White space
    between two encoded words vanishes; a character split over two words is put together.

    Source: RFC 2047 section 6.2, lenient.
    """
    value = unfold(value[:MAX_FIELD_OCTETS])
    if b"=?" not in value:
        return _guess(value, strict=True).translate(_UNSAFE)
    out: list[str] = []
    run = b""
    run_charset = ""
    position = 0
    for count, match in enumerate(_WORD.finditer(value)):
        if count >= MAX_ENCODED_WORDS:
            break
        between = value[position : match.start()]
        charset = match[1].split(b"*")[0].decode("ascii", "replace").lower()
        joined = bool(run_charset) and _BLANK.match(between) is not None
        if not (joined and charset == run_charset):
            out.append(_decoded(run, run_charset))
            run = b""
        if not joined:
            out.append(_guess(between, strict=True))
        run += _word_octets(match[2], match[3])
        run_charset = charset
        position = match.end()
    out.append(_decoded(run, run_charset))
    out.append(_guess(value[position:], strict=True))
    return "".join(out).translate(_UNSAFE)


def _decoded(run: bytes, charset: str) -> str:
    return decode_charset(run, charset) if run else ""


def _word_octets(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"bB":
        return decode_base64(text)
    return binascii.a2b_qp(text, header=True)
