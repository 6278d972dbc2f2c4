"""Names in 7z and RAR archives, from their headers alone.

RAR says its names in plain text unless its headers are encrypted.  7z keeps them in a header that
is mostly compressed with LZMA; that header alone is unpacked.

Standards: 7zFormat.txt of the LZMA SDK, RAR 4 and RAR 5.0 technotes.  No I/O.
"""

from __future__ import annotations

import lzma
import struct
from typing import Protocol

#: Octets of an unpacked header of a 7z archive.
MAX_HEADER = 4 * 1024 * 1024
_MAX_MEMORY_EXPONENT = 26
_MAX_BLOCKS = 2_000
_AES = b"\x06\xf1\x07\x01"
# Identifiers of the header's parts.
_PLAIN, _ENCODED = 0x01, 0x17
_PACK_INFO, _UNPACK_INFO, _SIZES, _FOLDERS, _UNPACKED_SIZES = 0x06, 0x07, 0x09, 0x0B, 0x0C


class Members(Protocol):
    """Where names go; `archives.Listing`."""

    def add(self, prefix: str, name: str) -> bool:
        """Notes a member; False when there are too many."""
        ...

    def trick(self, name: str) -> None:
        """Notes something odd, once."""
        ...


def seven_zip(data: bytes, listing: Members, prefix: str) -> None:
    """Lists a 7z archive."""
    if len(data) < 32:
        listing.trick("broken")
        return
    offset, size = struct.unpack_from("<2Q", data, 12)
    header = data[32 + offset : 32 + offset + min(size, MAX_HEADER)] if offset < len(data) else b""
    if not header:
        listing.trick("broken")
        return
    if header[0] == _ENCODED:
        if _AES in header:
            listing.trick("encrypted")
            return
        header = _unpacked(data, header)
    if not header or header[0] != _PLAIN:
        return  # packed in a way nobody but its own tool reads
    if _AES in header:
        listing.trick("encrypted")
    for name in _names(header):
        if not listing.add(prefix, name):
            return


def _unpacked(data: bytes, header: bytes) -> bytes:
    """The header behind an encoded one: one folder of one coder, LZMA or LZMA2; b"" for anything else."""
    reader = _Reader(header, 1)
    try:
        if reader.octet() != _PACK_INFO:
            return b""
        at, streams = reader.number(), reader.number()
        if streams != 1 or reader.octet() != _SIZES:
            return b""
        packed = reader.number()
        reader.at = header.find(bytes((_UNPACK_INFO, _FOLDERS, 1, 0, 1)), reader.at) + 5
        flags = reader.octet() if reader.at >= 5 else 0
        coder = header[reader.at : reader.at + (flags & 0x0F)]
        reader.at += flags & 0x0F
        length = reader.number() if flags & 0x20 else 0
        properties = header[reader.at : reader.at + length]
        reader.at += length
        if reader.octet() != _UNPACKED_SIZES:
            return b""
        size = reader.number()
    except IndexError:
        return b""
    chain = _filter(coder, properties)
    if chain is None or not 0 < size <= MAX_HEADER or at > len(data):
        return b""
    try:
        tool = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])
        return tool.decompress(data[32 + at : 32 + at + min(packed, MAX_HEADER)], size)
    except (lzma.LZMAError, ValueError, EOFError):
        return b""


def _filter(coder: bytes, properties: bytes) -> dict[str, int] | None:
    """How lzma is told; None: not one of ours, or one that wants too much memory."""
    if coder == b"\x21" and len(properties) == 1 and properties[0] <= 2 * (_MAX_MEMORY_EXPONENT - 12):
        bits = properties[0]
        return {"id": lzma.FILTER_LZMA2, "dict_size": (2 | bits & 1) << (bits // 2 + 11)}
    if coder != b"\x03\x01\x01" or len(properties) != 5 or properties[0] >= 225:
        return None
    dictionary = struct.unpack("<L", properties[1:])[0]
    if dictionary > 1 << _MAX_MEMORY_EXPONENT:
        return None
    first = properties[0]
    return {"id": lzma.FILTER_LZMA1, "dict_size": max(dictionary, 4096), "lc": first % 9,
            "lp": first // 9 % 5, "pb": first // 45}  # fmt: skip


class _Reader:
    """Numbers of 7z: as many octets follow the first as it has leading ones."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def octet(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def number(self) -> int:
        first = self.octet()
        mask, value = 0x80, 0
        for shift in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << 8 * shift
            value |= self.octet() << 8 * shift
            mask >>= 1
        return value


def _names(header: bytes) -> list[str]:
    """The list of names: type 0x11, its size, no external file, then UTF-16 texts."""
    at = header.find(b"\x05")
    for _ in range(_MAX_BLOCKS):
        at = header.find(b"\x11", at + 1)
        if at < 0:
            break
        reader = _Reader(header, at + 1)
        try:
            size, external = reader.number(), reader.octet()
        except IndexError:
            break
        end = reader.at + size - 1
        if external == 0 and size % 2 and end <= len(header) and header[end - 2 : end] == b"\0\0":
            return header[reader.at : end].decode("utf-16-le", "replace").split("\0", _MAX_BLOCKS)[:-1]
    return []


def rar(data: bytes, listing: Members, prefix: str) -> None:
    """Lists a RAR archive of version 4 or 5."""
    if data.startswith(b"Rar!\x1a\x07\x01\x00"):
        _rar5(data, listing, prefix)
    else:
        _rar4(data, listing, prefix)


def _rar4(data: bytes, listing: Members, prefix: str) -> None:
    at = 7
    for _ in range(_MAX_BLOCKS):
        if at + 7 > len(data):
            return
        kind, flags, size = struct.unpack_from("<BHH", data, at + 2)
        if kind == 0x73 and flags & 0x80:
            listing.trick("encrypted")
            return
        if size < 7 or kind == 0x7B:
            return
        more = struct.unpack_from("<L", data, at + 7)[0] if flags & 0x8000 and at + 11 <= len(data) else 0
        if kind == 0x74 and at + 32 <= len(data):
            length = struct.unpack_from("<H", data, at + 26)[0]
            start = at + (40 if flags & 0x100 else 32)
            name = data[start : start + min(length, size)].split(b"\0")[0].decode("utf-8", "replace")
            if flags & 0x04:
                listing.trick("encrypted")
            if not listing.add(prefix, name):
                return
        at += size + more


def _rar5(data: bytes, listing: Members, prefix: str) -> None:
    at = 8
    for _ in range(_MAX_BLOCKS):
        reader = _Varints(data, at + 4)
        try:
            size = reader.next()
            start = reader.at
            kind, flags = reader.next(), reader.next()
            extra = reader.next() if flags & 0x1 else 0
            body = reader.next() if flags & 0x2 else 0
            if kind == 4:
                listing.trick("encrypted")
                return
            if kind == 5 or not size:
                return
            if kind == 2 and not _rar5_file(data, reader, listing, prefix, end=start + size, extra=extra):
                return
        except IndexError:
            return
        at = start + size + body


def _rar5_file(data: bytes, reader: _Varints, listing: Members, prefix: str, *, end: int, extra: int) -> bool:
    flags, _, _ = reader.next(), reader.next(), reader.next()
    reader.at += (4 if flags & 0x2 else 0) + (4 if flags & 0x4 else 0)
    reader.next()
    reader.next()
    length = min(reader.next(), 4_096)
    name = data[reader.at : reader.at + length].decode("utf-8", "replace")
    if extra and extra <= end and _Varints(data, end - extra).record() == 1:
        listing.trick("encrypted")
    return listing.add(prefix, name)


class _Varints:
    """Numbers of RAR 5: seven bits each octet, the lowest first."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def next(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            octet = self._data[self.at]
            self.at += 1
            value |= (octet & 0x7F) << shift
            if not octet & 0x80:
                break
        return value

    def record(self) -> int:
        """The type of an extra record."""
        self.next()
        return self.next()
