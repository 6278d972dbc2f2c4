"""Modified UTF-7, the encoding of IMAP4rev1 mailbox names; strict both ways.

One name has one encoding: whatever another encoder would write differently is
refused, or two names could mean the same mailbox (T66).

Standards: RFC 3501 section 5.1.3, RFC 2152.  No I/O.
"""

from __future__ import annotations

import binascii
import re

_SHIFTED = re.compile(rb"&([^-]*)-")
_PLAIN = re.compile(rb"[ -%'-~]*\Z")
_RUN = re.compile(r"[^ -~]+|&")


class Utf7Error(ValueError):
    """The octets are not the one right encoding of a name; `str()` says why."""


def encode(name: str) -> bytes:
    """A mailbox name as modified UTF-7.

    Raises:
        Utf7Error: it holds a lone surrogate.
    """
    if name.isascii() and name.isprintable() and "&" not in name:
        return name.encode("ascii")
    return _RUN.sub(_encode_run, name).encode("ascii")


def _encode_run(match: re.Match[str]) -> str:
    text = match[0]
    if text == "&":
        return "&-"
    try:
        octets = text.encode("utf-16-be")
    except UnicodeEncodeError:
        raise Utf7Error("a lone surrogate has no encoding") from None
    return "&" + binascii.b2a_base64(octets, newline=False).decode().rstrip("=").replace("/", ",") + "-"


def decode(data: bytes) -> str:
    """The name behind modified UTF-7.

    Raises:
        Utf7Error: an octet outside printable ASCII, an unfinished or empty shift, encoded
            ASCII, two shifts where one would do, a lone surrogate.
    """
    if b"&" not in data:
        if not _PLAIN.match(data):
            raise Utf7Error("an octet that may not stand in modified UTF-7")
        return data.decode("ascii")
    out: list[str] = []
    position = 0
    while (ampersand := data.find(b"&", position)) >= 0:
        out.append(_plain(data[position:ampersand]))
        match = _SHIFTED.match(data, ampersand)
        if match is None:
            raise Utf7Error("an unfinished shift")
        out.append(_decode_run(match[1]) if match[1] else "&")
        position = match.end()
    out.append(_plain(data[position:]))
    name = "".join(out)
    if encode(name) != data:
        raise Utf7Error("not the canonical encoding")
    return name


def _plain(data: bytes) -> str:
    if not _PLAIN.match(data):
        raise Utf7Error("an octet that may not stand in modified UTF-7")
    return data.decode("ascii")


def _decode_run(shifted: bytes) -> str:
    if b"/" in shifted or b"=" in shifted:
        raise Utf7Error("a character that is not modified BASE64")
    try:
        octets = binascii.a2b_base64(
            shifted.replace(b",", b"/") + b"=" * (-len(shifted) % 4), strict_mode=True
        )
        return octets.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        raise Utf7Error("the shifted text is not BASE64 of UTF-16") from None
