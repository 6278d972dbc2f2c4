"""What documents do beside being read: macros, scripts, templates and links from outside.

Looked for by the words these formats need, in what is there in plain and, for PDF, in the object
streams, which are unpacked to a cap.  No parser: a document that lies about its structure still
has to say `/JavaScript` to run one.

Standards: ISO 32000 (PDF), ECMA-376 (Office Open XML), MS-CFB.  No I/O.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

#: Octets of a document that are looked at.
MAX_OCTETS = 8 * 1024 * 1024
#: Streams of a PDF that are unpacked, octets of one, of all, and of all PDFs of a message.
MAX_STREAMS = 64
MAX_STREAM = 512 * 1024
MAX_UNPACKED = 4 * 1024 * 1024
MAX_ALL_UNPACKED = 16 * 1024 * 1024
MAX_LINKS = 200

_URI = re.compile(rb"/URI\s{0,8}\(((?:[^()\\\r\n]|\\.){1,2000})\)")
_HEX_URI = re.compile(rb"/URI\s{0,8}<([0-9A-Fa-f\s]{2,4000})>")
_STREAM = re.compile(rb"stream\r?\n")
_PDF_SIGNS = (
    ("script", (b"/JavaScript", b"/JS ", b"/JS(", b"/JS<")),
    ("launches", (b"/Launch",)),
    ("embedded-file", (b"/EmbeddedFile",)),
    ("encrypted", (b"/Encrypt",)),
    ("form", (b"/SubmitForm",)),
)
_OLE_MACROS = (
    b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T",
    b"M\0a\0c\0r\0o\0s\0",
    b"Attribut\0e VB_",
    b"_VBA_PROJECT_CUR",
)
_OLE_ENCRYPTED = b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0"
_OLE_OBJECT = b"\x01\0O\0l\0e\0001\0000\0N\0a\0t\0i\0v\0e\0"
_RTF_OBJECTS = (b"\\objdata", b"\\objupdate", b"\\objautlink")
# Found first and looked into then: one pattern for both tries every mode with every end.
_RELATION = re.compile(rb"<Relationship\b[^<>]{0,4000}>", re.IGNORECASE)
_EXTERNAL = re.compile(rb"TargetMode\s{0,4}=\s{0,4}[\"']External[\"']", re.IGNORECASE)
_TARGET = re.compile(rb"\bTarget\s{0,4}=\s{0,4}[\"']([^\"']{1,2000})[\"']")
_ACTIVE = (b"attachedTemplate", b"oleObject", b"frame", b"externalLink", b"subDocument")


@dataclass(slots=True)
class Room:
    """What may still be unpacked of documents, for all attachments together.  `streams`: octets of PDFs."""

    streams: int = MAX_ALL_UNPACKED


def read_pdf(data: bytes, tricks: list[str], room: Room) -> list[str]:
    """The links of a PDF, in order; what it does beside is added to `tricks`."""
    data = data[:MAX_OCTETS]
    found: dict[str, None] = {}
    for piece in (data, *_streams(data, room)):
        for name, signs in _PDF_SIGNS:
            if name not in tricks and any(sign in piece for sign in signs):
                tricks.append(name)
        if b"/URI" not in piece:
            continue
        for match in _URI.finditer(piece):
            found.setdefault(match[1].replace(b"\\", b"").decode("utf-8", "replace"))
            if len(found) >= MAX_LINKS:
                return list(found)
        for match in _HEX_URI.finditer(piece):
            digits = b"".join(match[1].split())
            found.setdefault(bytes.fromhex(digits[: len(digits) & ~1].decode()).decode("utf-8", "replace"))
            if len(found) >= MAX_LINKS:
                return list(found)
    return list(found)


def _streams(data: bytes, room: Room) -> Iterator[bytes]:
    """The object streams, unpacked: there the links of newer documents are."""
    left, at = min(MAX_UNPACKED, room.streams), 0
    for _ in range(MAX_STREAMS):
        at = data.find(b"/ObjStm", at + 1)
        if at < 0 or left <= 0:
            return
        begin = _STREAM.search(data, at, at + 2_000)
        if begin is None:
            continue
        try:
            out = zlib.decompressobj().decompress(
                data[begin.end() : begin.end() + MAX_STREAM], min(MAX_STREAM, left)
            )
        except zlib.error:
            continue
        left -= len(out)
        room.streams -= len(out)
        yield out


def read_ole(data: bytes, tricks: list[str]) -> None:
    """Macros, encryption and embedded programs of the old office formats."""
    data = data[:MAX_OCTETS]
    if any(sign in data for sign in _OLE_MACROS):
        tricks.append("macros")
    if _OLE_ENCRYPTED in data:
        tricks.append("encrypted")
    if _OLE_OBJECT in data:
        tricks.append("embedded-file")


def read_rtf(data: bytes, tricks: list[str]) -> None:
    """Objects in rich text, the way of several exploits."""
    if any(sign in data[:MAX_OCTETS] for sign in _RTF_OBJECTS):
        tricks.append("embedded-file")


def read_members(members: list[str], tricks: list[str]) -> bool:
    """What the names in an office document (a zip) tell.  True when it is one."""
    is_office = "[Content_Types].xml" in members or "mimetype" in members
    if is_office:
        if any(
            name.endswith(("vbaProject.bin", "vbaData.xml")) or name.startswith("Basic/") for name in members
        ):
            tricks.append("macros")
        if any("/embeddings/" in name and name.endswith(".bin") for name in members):
            tricks.append("embedded-file")
    return is_office


def read_relations(source: bytes, tricks: list[str]) -> list[str]:
    """The links of an office document; a template or object from outside is a trick."""
    found: dict[str, None] = {}
    for relation in _RELATION.finditer(source[:MAX_STREAM]):
        target = _TARGET.search(relation[0]) if _EXTERNAL.search(relation[0]) is not None else None
        if target is None:
            continue
        if "remote-template" not in tricks and any(kind in relation[0] for kind in _ACTIVE):
            tricks.append("remote-template")
        found.setdefault(target[1].decode("utf-8", "replace").replace("&amp;", "&"))
        if len(found) >= MAX_LINKS:
            break
    return list(found)
