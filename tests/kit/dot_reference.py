"""A slow, plain reading of DATA, octet by octet, to compare the real one with."""

from __future__ import annotations

import re

_SUSPECT = re.compile(rb"[\r\n]\0{0,32}\.\0{0,32}[\r\n]")


def read(wire: bytes) -> tuple[bytes, bool, bytes] | None:
    """Message, whether it must be refused as smuggling, and the rest; None without an end."""
    whole = b"\r\n" + wire
    end = whole.find(b"\r\n.\r\n")
    if end < 0:
        return None
    raw, rest = whole[: end + 2], whole[end + 5 :]
    is_suspect = bool(_SUSPECT.search(raw)) or (end > 0 and raw[end - 1 : end] == b"\r")
    return _clean(raw[2:]), is_suspect, rest


def _clean(raw: bytes) -> bytes:
    out = bytearray()
    is_start = True
    at = 0
    while at < len(raw):
        if raw[at : at + 2] == b"\r\n" or raw[at] == 0x0A:
            out += b"\r\n"
            at += 2 if raw[at] == 0x0D else 1
            is_start = True
            continue
        if raw[at] == 0x2E and is_start:
            pass
        else:
            out += b" " if raw[at] == 0x0D else raw[at : at + 1]
        is_start = False
        at += 1
    return bytes(out)
