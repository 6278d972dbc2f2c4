"""A message as one of ASCII octets and short lines, so that no server on its way changes it.

A signature over such a message stays good: nobody has to re-encode 8-bit parts for a server
without 8BITMIME, or cut lines over 998 octets.  Only parts that need it are changed: text
becomes quoted-printable (base64 where that is shorter), other parts base64; base64 and
quoted-printable with long lines get short ones.  What is signed or encrypted by its writer
(multipart/signed, multipart/encrypted) is never looked into.

    plan = make_plan(message)
    header = refold.put_right(block, fields=plan.fields)
    body = write_body(message, plan)

Standards: RFC 6376 section 5.3, RFC 5321 section 4.5.3.1.6, RFC 2045 section 6, RFC 2046.
Imports: header, scanner, refold.  No I/O.
"""

from __future__ import annotations

import binascii
import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, Literal

from mailstack.mime import header, refold
from mailstack.mime.decoder import decoder
from mailstack.mime.header import Octets
from mailstack.mime.refold import MAX_LINE_OCTETS
from mailstack.mime.scanner import Part, scan

#: Octets that are looked at, or encoded, at a time; a multiple of what makes a line of base64.
_PIECE_OCTETS: Final = 57 * 1_024
_LINE_OCTETS: Final = 57
_BASE64_LINE: Final = 76
_QUOTED_LINE: Final = 76
#: What continues a line between parts begins with a space, so that it is never a boundary.
_FOLD: Final = b"\r\n "
_QUESTION_MARKS: Final = bytes([0x3F if octet in (0, *range(128, 256)) else octet for octet in range(256)])
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)
_ASCII: Final = bytes(range(128))
_IDENTITY: Final = ("7bit", "8bit", "binary")
#: Text with fewer escapes than one in so many octets stays readable as quoted-printable.
_ESCAPES_WORTH_BASE64: Final = 3
#: Subtypes of multipart whose octets their writer vouches for.
_VOUCHED: Final = (b"signed", b"encrypted")

#: How a range is written: cut lines of base64 anew, decode and encode, text between parts.
_How = Literal["base64", "quoted-printable", "shorter base64", "shorter quoted-printable", "gap"]


@dataclass(frozen=True, slots=True)
class Edit:
    """Octets `start` to `end` become `text`; without one, what `how` says."""

    start: int
    end: int
    text: bytes = b""
    how: _How | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        body_at: offset behind the last field of the message's header.
        fields: fields the message's header gets, by lower-case name, with CRLF; they replace
            those of that name.
        edits: below the header, in ascending order.
    """

    body_at: int
    fields: dict[bytes, bytes] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when the message is fine as it is, below its header."""
        return not self.fields and not self.edits


def is_plain(data: Octets, start: int = 0, end: int | None = None) -> bool:
    """Whether these octets are ASCII without NUL, in lines of at most 998 octets with CRLF."""
    end = len(data) if end is None else end
    at, line = start, 0
    while at < end:
        piece = data[at : min(at + _PIECE_OCTETS, end)]
        at += len(piece)
        if piece.endswith(b"\r") and at < end:
            piece += data[at : at + 1]
            at += 1
        if not piece.isascii() or b"\0" in piece or not _has_only_crlf(piece):
            return False
        line = _last_line(piece, line)
        if line > MAX_LINE_OCTETS:
            return False
    return True


def _has_only_crlf(piece: bytes) -> bool:
    return piece.count(b"\n") == piece.count(b"\r") == piece.count(b"\r\n")


def _last_line(piece: bytes, before: int) -> int:
    """Octets of the line the piece ends in; too many when any line has.

    Args:
        before: octets of its first line that stood before it.
    """
    first = piece.find(b"\n")
    if first < 0:
        return before + len(piece)
    if before + first - 1 > MAX_LINE_OCTETS:
        return MAX_LINE_OCTETS + 1
    at, end = first + 1, len(piece)
    while end - at > MAX_LINE_OCTETS + 2:
        # Jumps over many short lines at once.
        found = piece.rfind(b"\n", at, at + MAX_LINE_OCTETS + 2)
        if found < 0:
            return MAX_LINE_OCTETS + 1
        at = found + 1
    return end - max(at, piece.rfind(b"\n", at) + 1)


def make_plan(data: Octets) -> Plan:
    """What must be changed below the header of a message.

    Args:
        data: `bytes`, or a `mmap`.
    """
    fields_end, body_at = header.find_end(data)
    if is_plain(data, body_at):
        return Plan(fields_end)
    maker = _Maker(data)
    maker.whole(scan(data))
    return Plan(fields_end, maker.fields, tuple(sorted(maker.edits, key=lambda e: (e.start, e.end))))


def write_body(data: Octets, plan: Plan) -> Iterator[bytes]:
    """All that follows the header's last field, the empty line included, in pieces."""
    at = plan.body_at
    for edit in plan.edits:
        yield from _as_it_is(data, at, edit.start)
        match edit.how:
            case None:
                yield edit.text
            case "base64":
                yield from _base64(data, edit.start, edit.end)
            case "quoted-printable":
                yield from _quoted(_lines(data, edit.start, edit.end))
            case "shorter base64":
                yield from _shorter_base64(data, edit.start, edit.end)
            case "shorter quoted-printable":
                yield from _quoted(_decoded_lines(data, edit.start, edit.end))
            case "gap":
                yield from _gap(_lines(data, edit.start, edit.end))
        at = edit.end
    yield from _as_it_is(data, at, len(data))


class _Maker:
    """Makes the edits of one message."""

    def __init__(self, data: Octets) -> None:
        self._data = data
        self.fields: dict[bytes, bytes] = {}
        self.edits: list[Edit] = []

    def whole(self, root: Part) -> None:
        """Looks at every part of a message."""
        work = [(root, True)]
        while work:
            part, is_message = work.pop()
            if part is not root and not is_plain(self._data, part.start, part.header_end):
                self._field(part, {})
            if part.opaque or _is_vouched(part):
                continue
            if part.children and not (part.is_message and part.subtype.lower() == b"global"):
                self._container(part, is_root=part is root)
                work.extend((child, part.is_message) for child in part.children)
            elif not is_plain(self._data, part.header_end, part.end):
                self._leaf(part, is_root=part is root, is_message=is_message)

    def _leaf(self, part: Part, *, is_root: bool, is_message: bool) -> None:
        how = self._how(part)
        if how is None:
            return
        self.edits.append(Edit(part.header_end, part.end, how=how))
        if part.encoding not in _IDENTITY:
            return
        fields = {b"content-transfer-encoding": b"Content-Transfer-Encoding: %b\r\n" % how.encode()}
        if is_message:
            # Without this field nobody looks at the others (RFC 2045 section 4).
            fields[b"mime-version"] = b"MIME-Version: 1.0\r\n"
        if part.type.lower() == b"text":
            fields |= self._content_type(part)
        self._label(part, fields, is_root=is_root)

    def _content_type(self, part: Part) -> dict[bytes, bytes]:
        """The field with the charset a text turns out to have; nothing where the writer said one."""
        said = part.parameter("charset")
        if said is not None and said.lower() != "us-ascii":
            return {}
        value, charset = part.fields.get(b"content-type"), self._charset(part)
        if value is None and charset:
            return {b"content-type": b"Content-Type: text/plain; charset=%b\r\n" % charset}
        if value is not None and charset == b"utf-8":
            # Where it is not UTF-8, readers guess, from HTML for one: a word for "unknown" would stop them.
            return {b"content-type": refold.with_charset(value, "utf-8")}
        return {}

    def _how(self, part: Part) -> _How | None:
        """How a part that needs it is written; None: as it is, for nobody may encode it."""
        kind = part.type.lower()
        match part.encoding:
            case "base64":
                return "shorter base64"
            case "quoted-printable":
                return "shorter quoted-printable"
            case "7bit" | "8bit" | "binary":
                # RFC 2046 sections 5.1 and 5.2: these are 7bit, or not at all; the scanner takes a
                # multipart without a boundary for text.
                said = part.fields.get(b"content-type", b"").lstrip().lower()
                if said.startswith((b"multipart", b"message")) and part.subtype.lower() != b"global":
                    return None
                return self._for_text(part) if kind == b"text" else "base64"
            case _:
                return None

    def _for_text(self, part: Part) -> _How:
        escapes = 0
        for piece in _lines(self._data, part.header_end, part.end):
            if b"\0" in piece or not _has_only_crlf(piece):
                return "base64"
            escapes += len(piece.translate(None, _ASCII)) + piece.count(b"=")
        return "base64" if escapes * _ESCAPES_WORTH_BASE64 > part.size else "quoted-printable"

    def _charset(self, part: Part) -> bytes:
        """What a text that does not say is labelled; b"" for ASCII."""
        is_ascii, utf8 = True, codecs.getincrementaldecoder("utf-8")()
        try:
            for piece in _as_it_is(self._data, part.header_end, part.end):
                is_ascii = is_ascii and piece.isascii()
                utf8.decode(piece)
            utf8.decode(b"", final=True)
        except UnicodeDecodeError:
            return b"unknown-8bit"  # RFC 1428 section 3
        return b"" if is_ascii else b"utf-8"

    def _container(self, part: Part, *, is_root: bool) -> None:
        """Of a multipart: the text between its parts, and a label that is not true any more."""
        at = part.header_end
        for child in part.children:
            self._between(at, child.start)
            at = child.end
        self._between(at, part.end)
        if part.encoding in ("8bit", "binary") and not _holds_vouched(part):
            label = b"Content-Transfer-Encoding: 7bit\r\n"
            self._label(part, {b"content-transfer-encoding": label}, is_root=is_root)

    def _between(self, start: int, end: int) -> None:
        if start < end and not is_plain(self._data, start, end):
            self.edits.append(Edit(start, end, how="gap"))

    def _label(self, part: Part, fields: dict[bytes, bytes], *, is_root: bool) -> None:
        if is_root:
            self.fields.update(fields)
        else:
            self._field(part, fields)

    def _field(self, part: Part, fields: dict[bytes, bytes]) -> None:
        """Writes a part's header anew; the last time counts."""
        data = self._data
        fields_end, body = header.find_end(data, part.start, part.header_end)
        self.edits = [e for e in self.edits if (e.start, e.end) != (part.start, fields_end) or e.how]
        block = data[part.start : fields_end]
        text = refold.put_right(block, fields=fields)
        if text == block:
            return  # what is wrong with it cannot be put right
        if body == fields_end:
            text += b"\r\n"  # a part of nothing but a header gets the empty line it lacks
        self.edits.append(Edit(part.start, fields_end, text))


def _is_vouched(part: Part) -> bool:
    return part.is_multipart and part.subtype.lower() in _VOUCHED


def _holds_vouched(part: Part) -> bool:
    """Whether something inside stays as it is, perhaps with 8-bit octets."""
    work = list(part.children)
    while work:
        inner = work.pop()
        if inner.opaque or _is_vouched(inner):
            return True
        work.extend(inner.children)
    return False


# -- writing -------------------------------------------------------------------------------


def _as_it_is(data: Octets, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _PIECE_OCTETS):
        yield data[at : min(at + _PIECE_OCTETS, end)]


def _base64(data: Octets, start: int, end: int) -> Iterator[bytes]:
    for piece in _as_it_is(data, start, end):
        lines = (piece[n : n + _LINE_OCTETS] for n in range(0, len(piece), _LINE_OCTETS))
        yield b"".join(binascii.b2a_base64(line, newline=False) + b"\r\n" for line in lines)


def _shorter_base64(data: Octets, start: int, end: int) -> Iterator[bytes]:
    """The same characters in lines of 76; what is no base64 is left out."""
    held = b""
    for piece in _as_it_is(data, start, end):
        held += piece.translate(None, _NOT_BASE64)
        whole = len(held) - len(held) % _BASE64_LINE
        yield b"".join(held[n : n + _BASE64_LINE] + b"\r\n" for n in range(0, whole, _BASE64_LINE))
        held = held[whole:]
    if held:
        yield held + b"\r\n"


def _lines(data: Octets, start: int, end: int) -> Iterator[bytes]:
    """Pieces of whole lines; the last may lack its line end."""
    return _whole(_as_it_is(data, start, end))


def _decoded_lines(data: Octets, start: int, end: int) -> Iterator[bytes]:
    """The same of what quoted-printable stands for."""
    undo = decoder("quoted-printable")
    assert undo is not None
    decoded = (undo.feed(piece) for piece in _as_it_is(data, start, end))
    return _whole(chain(decoded, (undo.finish() for _ in range(1))))


def _whole(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces that end with a line; a line longer than a piece comes in several."""
    held = b""
    for piece in pieces:
        held += piece
        cut = held.rfind(b"\n") + 1
        if not cut and len(held) >= _PIECE_OCTETS:
            cut = len(held) - held.endswith(b"\r")
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


def _quoted(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Quoted-printable of text that comes in lines."""
    before = b""
    for piece in pieces:
        if before and not before.endswith(b"\r\n"):
            yield b"=\r\n"  # the line goes on
        # A CR or LF that is no line end must be escaped, a line end must not.
        if _has_only_crlf(piece):
            text = binascii.b2a_qp(piece, istext=True)
        else:
            text = b"\r\n".join(binascii.b2a_qp(line, istext=False) for line in piece.split(b"\r\n"))
        if b"\n" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        before = piece
        yield _with_room(text)


def _with_room(text: bytes) -> bytes:
    """Leaves room for one more "=" in the last line; RFC 2045 section 6.7 allows 76 characters."""
    if len(text) - text.rfind(b"\n") - 1 < _QUOTED_LINE:
        return text
    cut = -3 if text[-3:-2] == b"=" else -1
    return text[:cut] + b"=\r\n" + text[cut:]


def _gap(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Text between parts, which nobody is shown: ASCII in short lines, boundaries as they are."""
    before = b"\n"
    for piece in pieces:
        if not before.endswith(b"\n"):
            yield _FOLD
        plain = piece.translate(_QUESTION_MARKS).replace(b"\r\n", b"\n").replace(b"\r", b" ")
        yield b"\r\n".join(_short(line) for line in plain.split(b"\n"))
        before = piece


def _short(line: bytes) -> bytes:
    if len(line) <= MAX_LINE_OCTETS:
        return line
    step = MAX_LINE_OCTETS - 1
    return _FOLD.join(line[n : n + step] for n in range(0, len(line), step))
