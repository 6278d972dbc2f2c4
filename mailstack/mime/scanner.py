"""The MIME structure of a message, as octet offsets, in one bounded pass.

Iterative: a multipart is cut into the ranges of its children by looking for its
boundary lines, then each child is looked at in turn.  Whatever goes beyond the limits
becomes one opaque part.  Nothing in a message can raise an exception here, and the
time is bounded by its size: each octet is searched a bounded number of times.

Standards: RFC 2045, RFC 2046 section 5, RFC 6532 (message/global).
Limits, section 3: depth 64, 1000 parts, 16 messages within messages, boundary 200 octets.
Imports: nothing of ours above mime.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from mailstack.mime import parameters
from mailstack.mime.header import MAX_BLOCK_OCTETS, MAX_FIELDS, Octets, find_end, unfold
from mailstack.mime.parameters import Parameterized

MAX_DEPTH = 64
MAX_PARTS = 1000
MAX_MESSAGE_DEPTH = 16
MAX_BOUNDARY_OCTETS = 200
#: Octets searched for boundaries in all, beside eight times the message's size.
SEARCH_ALLOWANCE_OCTETS = 32 * 1024 * 1024
#: Lines that begin like a boundary and are none; beyond, the part is opaque.
MAX_FALSE_BOUNDARIES = 10_000

#: Fields that tell of a part.
MIME_FIELDS = tuple(
    b"content-" + name
    for name in (
        *(b"type", b"transfer-encoding", b"disposition", b"id", b"description"),
        *(b"language", b"location", b"md5"),
    )
)
_WANTED = re.compile(
    rb"^(" + b"|".join(MIME_FIELDS) + rb"|date|subject|from|sender|reply-to|to|cc|bcc|in-reply-to|message-id)"
    rb"[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)",
    re.MULTILINE | re.IGNORECASE,
)
_AFTER_BOUNDARY = re.compile(rb"(--)?[ \t]*(?:\r?\n|\Z)")
_TOKEN = re.compile(rb"[^\s()<>@,;:\\\"/\[\]?=]+\Z")
_COUNT_OCTETS = 1 << 20

_NO_PARAMETERS: tuple[tuple[bytes, bytes], ...] = ()
# RFC 5322 section 3.6 allows one of each; where there are more, readers are shown them all.
_LISTS = frozenset((b"to", b"cc", b"bcc"))
_TEXT_PLAIN = (b"text", b"plain")
_OPAQUE = (b"application", b"octet-stream")


class Part:
    """One part: the message itself, a child of a multipart, or an enclosed message.

    Attributes:
        start: offset of its header; of the part.
        header_end: offset behind its header's empty line; the body begins there.
        end: offset behind its body.
        fields: unfolded values of the fields structure needs, by lower-case name; the first
            wins, but recipients in several fields are one list.
        type, subtype: as written; defaults where there is none or it cannot be read.
        parameters: of Content-Type, undecoded, in order.
        children: of a multipart; or the one enclosed message of a message/rfc822.
        opaque: a limit was reached here; what is inside is not looked at.
    """

    __slots__ = (
        "children", "depth", "end", "fields", "header_end", "is_message", "is_multipart",
        "message_depth", "opaque", "parameters", "start", "subtype", "type",
    )  # fmt: skip

    def __init__(self, start: int, header_end: int, end: int, fields: dict[bytes, bytes]) -> None:
        self.start = start
        self.header_end = header_end
        self.end = end
        self.fields = fields
        self.type, self.subtype = _TEXT_PLAIN
        self.parameters = _NO_PARAMETERS
        self.children: list[Part] = []
        self.depth = 0
        self.message_depth = 0
        self.is_multipart = False
        self.is_message = False
        self.opaque = False

    @property
    def size(self) -> int:
        """Octets of the body, still encoded."""
        return self.end - self.header_end

    @property
    def content_type(self) -> str:
        """`type/subtype` in lower case."""
        return (self.type + b"/" + self.subtype).decode("ascii", "replace").lower()

    @property
    def encoding(self) -> str:
        """The transfer encoding in lower case; "7bit" when there is none."""
        value = self.fields.get(b"content-transfer-encoding", b"")
        return value.decode("ascii", "replace").split(";")[0].strip().lower() or "7bit"

    def parameter(self, name: str) -> str | None:
        """A Content-Type parameter as text (RFC 2231); None when there is none."""
        return parameters.decode_parameters(self.parameters).get(name)

    @property
    def disposition(self) -> Parameterized | None:
        """Content-Disposition, undecoded; None when there is none."""
        value = self.fields.get(b"content-disposition")
        found = parameters.parse(value) if value else None
        return found if found is not None and _TOKEN.match(found.value) else None

    @property
    def filename(self) -> str:
        """The file name as text, from the disposition or from `name`; "" for none."""
        disposition = self.disposition
        name = disposition.text("filename") if disposition is not None else None
        return name or self.parameter("name") or ""


@dataclass(frozen=True, slots=True)
class Known:
    """What somebody who read a message's header before has found.

    Attributes:
        body_at: where the body begins.
        fields: as `Part.fields`, but only MIME_FIELDS.
    """

    body_at: int
    fields: dict[bytes, bytes]


def scan(data: Octets, start: int = 0, end: int | None = None, *, known: Known | None = None) -> Part:
    """Finds the parts of the message in `data[start:end]`.

    Args:
        data: `bytes`, or a `mmap`.
        known: of its header; None: it is read.

    Returns:
        The message as a Part; its header begins at `start`.
    """
    end = len(data) if end is None else end
    return _Scan(data, end - start).run(start, end, known)


def find_part(message: Part, path: Sequence[int]) -> Part | None:
    """The part with an IMAP part number such as (1, 2); None when there is none.

    () is the message.  Number 1 of something that is no multipart is its body.

    Source: RFC 3501 section 6.4.5.
    """
    part = message
    for level, number in enumerate(path):
        inner = part
        if level and part.is_message:
            inner = part.children[0]
        if inner.is_multipart:
            if not 1 <= number <= len(inner.children):
                return None
            part = inner.children[number - 1]
        elif number == 1 and (inner is not part or not level):
            part = inner
        else:
            return None
    return part


def count_lines(data: Octets, start: int, end: int) -> int:
    """Line feeds in `data[start:end]`."""
    if end - start <= _COUNT_OCTETS:
        return data[start:end].count(b"\n")
    return sum(
        data[at : min(at + _COUNT_OCTETS, end)].count(b"\n") for at in range(start, end, _COUNT_OCTETS)
    )


class _Scan:
    """One scan; counts what it has spent."""

    def __init__(self, data: Octets, size: int) -> None:
        self._data = data
        self._parts = 1
        self._octets_left = 8 * size + SEARCH_ALLOWANCE_OCTETS
        self._false_left = MAX_FALSE_BOUNDARIES

    def run(self, start: int, end: int, known: Known | None) -> Part:
        root = self._part(start, end, _TEXT_PLAIN, known)
        work = [root]
        while work:
            part = work.pop()
            if part.is_multipart:
                self._open_multipart(part)
            elif part.is_message:
                self._open_message(part)
            work.extend(child for child in reversed(part.children) if child.is_multipart or child.is_message)
        return root

    def _part(self, start: int, end: int, default: tuple[bytes, bytes], known: Known | None = None) -> Part:
        if known is None:
            fields_end, body_at = find_end(self._data, start, end)
            block = self._data[start : min(fields_end, start + MAX_BLOCK_OCTETS)]
            known = Known(body_at, _wanted_fields(block))
        fields = known.fields
        part = Part(start, known.body_at, end, fields)
        value = fields.get(b"content-type")
        if value:
            _set_type(part, value, default)
        elif default is not _TEXT_PLAIN:
            part.type, part.subtype = default
            _classify(part)
        return part

    def _open_message(self, part: Part) -> None:
        if part.message_depth >= MAX_MESSAGE_DEPTH or part.depth >= MAX_DEPTH or self._parts >= MAX_PARTS:
            _make_opaque(part)
            return
        self._parts += 1
        child = self._part(part.header_end, part.end, _TEXT_PLAIN)
        child.depth = part.depth + 1
        child.message_depth = part.message_depth + 1
        part.children.append(child)

    def _open_multipart(self, part: Part) -> None:
        boundary = next(
            (value for name, value in part.parameters if name.lower() == b"boundary"), b""
        ).rstrip()
        if part.depth >= MAX_DEPTH or self._parts >= MAX_PARTS or self._octets_left <= 0:
            _make_opaque(part)
            return
        if not 0 < len(boundary) <= MAX_BOUNDARY_OCTETS or b"\n" in boundary:
            _make_text(part)
            return
        ranges, whole = self._split(part, b"--" + boundary)
        if not ranges:
            _make_text(part)
            return
        digest = part.subtype.lower() == b"digest"
        default = (b"message", b"rfc822") if digest else _TEXT_PLAIN
        for start, end in ranges:
            child = self._part(start, end, default)
            child.depth = part.depth + 1
            child.message_depth = part.message_depth
            part.children.append(child)
        if not whole:
            # The last range holds all that was not looked at.
            last = part.children[-1]
            last.header_end = last.start
            last.fields = {}
            _make_opaque(last)

    def _split(self, part: Part, delimiter: bytes) -> tuple[list[tuple[int, int]], bool]:
        """The ranges between boundary lines; False when a limit cut the last one short."""
        data, end = self._data, part.end
        self._octets_left -= end - part.header_end
        ranges: list[tuple[int, int]] = []
        opened = -1
        at = data.find(delimiter, part.header_end, end)
        while at >= 0:
            behind = at + len(delimiter)
            if at == part.header_end or data[at - 1] == 0x0A:
                match = _AFTER_BOUNDARY.match(data, behind, end)  # type: ignore[call-overload]
            else:
                match = None
            if match is None:
                self._false_left -= 1
                if self._false_left < 0:
                    break
                at = data.find(delimiter, behind, end)
                continue
            if opened >= 0:
                ranges.append((opened, _before_line_end(data, opened, at)))
                self._parts += 1
            if match[1] is not None:
                return ranges, True
            opened = match.end()
            if self._parts >= MAX_PARTS:
                ranges.append((opened, end))
                return ranges, False
            at = data.find(delimiter, opened, end)
        if opened >= 0:
            ranges.append((opened, end))
            self._parts += 1
        return ranges, self._false_left >= 0


def _before_line_end(data: Octets, start: int, at: int) -> int:
    """The line end before a boundary belongs to the boundary (RFC 2046 section 5.1.1)."""
    if at - 1 >= start and data[at - 1] == 0x0A:
        at -= 1
        if at - 1 >= start and data[at - 1] == 0x0D:
            at -= 1
    return max(at, start)


def _wanted_fields(block: bytes) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    more: dict[bytes, list[bytes]] = {}
    for match in islice(_WANTED.finditer(block), MAX_FIELDS):
        name = match[1].lower()
        if name not in fields:
            fields[name] = unfold(match[2])
        elif name in _LISTS:
            more.setdefault(name, [fields[name]]).append(unfold(match[2]))
    for name, values in more.items():
        fields[name] = b", ".join(values)
    return fields


def _set_type(part: Part, value: bytes, default: tuple[bytes, bytes]) -> None:
    found = parameters.parse(value)
    kind, slash, subtype = found.value.partition(b"/")
    kind, subtype = kind.strip(), subtype.strip()
    if slash and _TOKEN.match(kind) and _TOKEN.match(subtype):
        part.type, part.subtype = kind, subtype
        part.parameters = found.parameters
    elif kind.lower() == b"text" and not slash:
        part.parameters = found.parameters  # "Content-Type: text" is what RFC 1049 mail said
    else:
        part.type, part.subtype = default  # RFC 2045 section 5.2
    _classify(part)


def _classify(part: Part) -> None:
    kind = part.type.lower()
    part.is_multipart = kind == b"multipart"
    part.is_message = kind == b"message" and part.subtype.lower() in (b"rfc822", b"global", b"news")


def _make_opaque(part: Part) -> None:
    part.type, part.subtype = _OPAQUE
    part.parameters = _NO_PARAMETERS
    part.opaque = True
    part.is_multipart = part.is_message = False


def _make_text(part: Part) -> None:
    part.type, part.subtype = _TEXT_PLAIN
    part.parameters = _NO_PARAMETERS
    part.is_multipart = part.is_message = False
