"""What is in an archive: names, and whether it works against whoever opens or scans it.

Nothing is unpacked to look for names, except archives within archives and compressed tars, and
those only until a cap: octets out, how many times the octets in, members, depth.  A cap that is
reached is the answer ("bomb"), not a failure.

Standards: APPNOTE 6.3 (zip), RFC 1952 (gzip), POSIX ustar, 7zFormat.txt, RAR 5.0 technote.
Limits, section 3: 100 MiB out, ratio 100, 1000 entries, depth 2.  No I/O.
"""

from __future__ import annotations

import bz2
import lzma
import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import Protocol

from mailstack.filters.reading import kinds
from mailstack.filters.reading.other_archives import rar, seven_zip

#: Octets unpacked of all archives of a message.
MAX_OUT = 100 * 1024 * 1024
#: The same of compressors that are slow (bzip2, xz).
MAX_SLOW_OUT = 16 * 1024 * 1024
MAX_RATIO = 100
#: Below this, a ratio proves nothing: a page of zeros.
MIN_BOMB = 1024 * 1024
MAX_MEMBERS = 1_000
MAX_DEPTH = 2
#: Octets of an inner archive that are unpacked to be listed.
MAX_INNER = 8 * 1024 * 1024
#: Inner archives that are listed.
MAX_INNER_ARCHIVES = 20
#: Octets of lists of relations.
MAX_RELATIONS = 1024 * 1024
_MAX_XZ_MEMORY = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_BLOCK = 512
_MAX_MEMBER_NAME = 200

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL_OCTETS = 30
_OCTAL = re.compile(rb"[0-7]{1,12}")
_MAX_COMMENT = 65_535


@dataclass(slots=True)
class Listing:
    """What was found in the archives of one message.

    Attributes:
        members, tricks: see `facts.Attachment`; of one attachment.
        out: octets that may still be unpacked, for all attachments together.
        slow: the same of slow compressors.
        inner: archives in archives that may still be listed.
    """

    members: list[str] = field(default_factory=list)
    tricks: list[str] = field(default_factory=list)
    out: int = MAX_OUT
    slow: int = MAX_SLOW_OUT
    inner: int = MAX_INNER_ARCHIVES

    def trick(self, name: str) -> None:
        """Notes something odd, once."""
        if name not in self.tricks:
            self.tricks.append(name)

    def add(self, prefix: str, name: str) -> bool:
        """Notes a member; False when there are too many."""
        if len(self.members) >= MAX_MEMBERS:
            self.trick("many-members")
            return False
        odd: list[str] = []
        if name.startswith(("/", "\\")) or name[1:2] == ":" or ".." in name.replace("\\", "/").split("/"):
            self.trick("escapes")
        shown = kinds.read_name(name.replace("\\", "/").rstrip("/").rpartition("/")[2], odd)
        kind = kinds.by_extension(kinds.extension_of(shown))
        if kind in ("program", "disk-image") and not name.endswith("/"):
            self.trick(f"holds-{kind}")
        for trick in odd:
            if trick in ("double-extension", "reversed-name", "blanks-in-name"):
                self.trick(trick)
        self.members.append((prefix + name)[:_MAX_MEMBER_NAME])
        return True


def look(
    data: bytes, form: str, listing: Listing, *, name: str = "", depth: int = 1, prefix: str = ""
) -> None:
    """Lists an archive.

    Args:
        form: as `kinds.by_head` says.
        name: its own file name; a lone compressed file is called like it.
    """
    match form:
        case "zip":
            _zip(data, listing, depth, prefix)
        case "gzip" | "bzip2" | "xz":
            _compressed(data, form, listing, name, depth, prefix)
        case "tar":
            _tar(data, listing, prefix)
        case "7z":
            seven_zip(data, listing, prefix)
        case "rar":
            rar(data, listing, prefix)
        case _:
            return


# -- zip ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Member:
    name: str
    flags: int
    method: int
    packed: int
    size: int
    at: int
    mode: int


def _zip(data: bytes, listing: Listing, depth: int, prefix: str) -> None:
    members = _central(data, listing)
    if members is None:
        listing.trick("broken")
        return
    out = sum(member.size for member in members)
    packed = sum(member.packed for member in members)
    if out > listing.out or (out > MIN_BOMB and out > MAX_RATIO * max(packed, 1)):
        listing.trick("bomb")
    if packed > len(data):
        # Members that share their octets (T41): the directory says more than there is.
        listing.trick("overlapping")
    elif _overlap(members):
        listing.trick("overlapping")
    for member in members:
        if not listing.add(prefix, member.name):
            break
        if member.flags & 0x1:
            listing.trick("encrypted")
        if member.mode & 0xF000 == 0xA000:
            listing.trick("links-out")
        _nested(data, member, listing, depth, prefix)


def _central(data: bytes, listing: Listing) -> list[_Member] | None:
    """The central directory, at most a member more than are looked at; None: there is none."""
    at = data.rfind(b"PK\x05\x06", max(len(data) - _MAX_COMMENT - _END.size, 0))
    if at < 0 or at + _END.size > len(data):
        return None
    count, size, start = _END.unpack_from(data, at)[4:7]
    if start == 0xFFFFFFFF or count == 0xFFFF or start + size > at:
        # zip64, or octets before the archive: the directory ends where its end stands.
        start = max(at - size, 0) if size != 0xFFFFFFFF else data.find(b"PK\x01\x02")
        if not data.startswith(b"PK\x01\x02", start):
            start = data.find(b"PK\x01\x02", 0, at)
    elif not data.startswith(b"PK\x01\x02", start) and data.startswith(b"PK\x01\x02", at - size):
        start = at - size
    members: list[_Member] = []
    position = start
    while 0 <= position <= at - _CENTRAL.size and data.startswith(b"PK\x01\x02", position):
        found = _CENTRAL.unpack_from(data, position)
        flags, method = found[5], found[6]
        packed, length, name_size, extra, comment = found[10], found[11], found[12], found[13], found[14]
        name = data[position + _CENTRAL.size : position + _CENTRAL.size + name_size]
        text = name[: _MAX_MEMBER_NAME * 4].decode("utf-8" if flags & 0x800 else "cp437", "replace")
        members.append(_Member(text, flags, method, packed, length, found[18], found[17] >> 16))
        if len(members) > MAX_MEMBERS:
            listing.trick("many-members")
            break
        position += _CENTRAL.size + name_size + extra + comment
    if not members and count:
        return None
    return members


def relations(data: bytes, listing: Listing) -> list[bytes]:
    """The lists of relations in an office document: what it fetches and links to.

    Args:
        listing: how much may be unpacked of them, for all attachments together.
    """
    members = [member for member in _central(data, listing) or () if member.name.endswith(".rels")]
    return [_unpack(data, member, listing) for member in members[:MAX_INNER_ARCHIVES]]


def _overlap(members: list[_Member]) -> bool:
    end = -1
    for at, packed in sorted((member.at, member.packed) for member in members):
        if at < end:
            return True
        end = at + _LOCAL_OCTETS + packed
    return False


def _nested(data: bytes, member: _Member, listing: Listing, depth: int, prefix: str) -> None:
    """An archive in an archive is listed as well, until it is too deep or too much."""
    if kinds.by_extension(kinds.extension_of(member.name)) != "archive" or member.flags & 0x1:
        return
    if depth >= MAX_DEPTH:
        listing.trick("nested")
        return
    if listing.inner <= 0:
        listing.trick("many-members")
        return
    listing.inner -= 1
    inner = _unpack(data, member, listing)
    kind, form = kinds.by_head(inner[: kinds.HEAD_OCTETS])
    if kind == "archive":
        look(inner, form, listing, name=member.name, depth=depth + 1, prefix=f"{prefix}{member.name}/")


def _unpack(data: bytes, member: _Member, listing: Listing) -> bytes:
    """The content of a member, at most `MAX_INNER` octets."""
    if not data.startswith(b"PK\x03\x04", member.at) or member.at + _LOCAL_OCTETS > len(data):
        return b""
    name_size, extra = struct.unpack_from("<2H", data, member.at + 26)
    start = member.at + _LOCAL_OCTETS + name_size + extra
    packed = data[start : start + min(member.packed, MAX_INNER)]
    limit = min(MAX_INNER, listing.out)
    if member.method == 0:
        out = packed[:limit]
    elif member.method == 8:
        try:
            out = zlib.decompressobj(-15).decompress(packed, limit) if limit > 0 else b""
        except zlib.error:
            listing.trick("broken")
            return b""
    else:
        return b""
    listing.out -= len(out)
    if len(out) > MIN_BOMB and len(out) > MAX_RATIO * max(len(packed), 1):
        listing.trick("bomb")
    return out


# -- gzip, bzip2, xz and tar ------------------------------------------------------------


def _gzip_name(data: bytes) -> str:
    """The name a gzip file gives its content; "" without (RFC 1952 section 2.3)."""
    if len(data) < 10 or not data[3] & 0x08 or data[3] & 0x04:
        return ""
    return data[10 : 10 + _MAX_MEMBER_NAME].split(b"\0")[0].decode("latin-1")


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def _compressed(data: bytes, form: str, listing: Listing, name: str, depth: int, prefix: str) -> None:
    """A tar is listed, anything else named after its archive; all is unpacked once, to the cap."""
    head, is_whole = _first(data, form, listing)
    kind, inner = kinds.by_head(head[: kinds.HEAD_OCTETS])
    stem = (
        (_gzip_name(data) if form == "gzip" else "") or name.rpartition("/")[2].rpartition(".")[0] or "file"
    )
    if inner == "tar":
        _tar(head, listing, prefix, is_whole=is_whole)
    else:
        listing.add(prefix, stem)
        if kind == "program":
            listing.trick("holds-program")
        if kind == "archive" and depth >= MAX_DEPTH:
            listing.trick("nested")
        elif kind == "archive":
            look(head, inner, listing, name=stem, depth=depth + 1, prefix=f"{prefix}{stem}/")


def _first(data: bytes, form: str, listing: Listing) -> tuple[bytes, bool]:
    """The first `MAX_INNER` octets of what is compressed; the rest is only counted."""
    is_slow = form != "gzip"
    cap = min(listing.out, listing.slow) if is_slow else listing.out
    kept = bytearray()
    out = taken = 0
    pending = data[:_CHUNK]
    is_stuck = False
    try:
        tool = _tool(form)
        while out < cap:
            piece = tool.decompress(pending, _CHUNK)
            if not piece and (is_stuck or taken >= len(data)):
                break
            is_stuck = not piece and not pending
            out += len(piece)
            if len(kept) < MAX_INNER:
                kept += piece
            rest = getattr(tool, "unconsumed_tail", b"")
            if getattr(tool, "eof", False):
                break
            if rest:
                pending = rest
            elif getattr(tool, "needs_input", True):
                taken += _CHUNK
                pending = data[taken : taken + _CHUNK]
                if not pending and not piece:
                    break
            else:
                pending = b""
            if out > MIN_BOMB and out > MAX_RATIO * max(min(taken + _CHUNK, len(data)), 1):
                listing.trick("bomb")
                break
        else:
            listing.trick("bomb")
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
        listing.trick("broken")
    listing.out -= out
    if is_slow:
        listing.slow -= out
    return bytes(kept), out <= MAX_INNER


def _tool(form: str) -> _Decompressor:
    if form == "gzip":
        return zlib.decompressobj(31)
    if form == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(memlimit=_MAX_XZ_MEMORY)


def _tar(data: bytes, listing: Listing, prefix: str, *, is_whole: bool = True) -> None:
    at = 0
    while at + _BLOCK <= len(data):
        block = data[at : at + _BLOCK]
        if not block.strip(b"\0"):
            return
        size = _octal(block[124:136])
        if size is None:
            listing.trick("broken")
            return
        if block[156:157] in (b"1", b"2"):
            listing.trick("links-out")
        if block[156:157] not in (b"x", b"g", b"L", b"K"):
            name = block[:100].split(b"\0")[0]
            folder = block[345:500].split(b"\0")[0] if block[257:262] == b"ustar" else b""
            full = (folder + b"/" + name if folder else name).decode("utf-8", "replace")
            if not listing.add(prefix, full):
                return
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
    if is_whole and at > len(data):
        listing.trick("broken")


def _octal(field_: bytes) -> int | None:
    digits = field_.strip(b" \0") or b"0"
    # A size below nothing would lead back to where it stands, for ever.
    return int(digits, 8) if _OCTAL.fullmatch(digits) is not None else None
