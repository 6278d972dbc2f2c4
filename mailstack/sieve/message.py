"""The message as tests see it: raw octets kept, headers decoded when asked for, edits.

A field that is not touched keeps its octets, so that signatures survive an edit
elsewhere.  Reading never fails, whatever the message is.

Standards: RFC 5228 sections 2.4.2.2, 2.7.2, 2.7.4, 5.1 and 5.9; RFC 5293 (edits).
Imports: mime.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from mailstack.mime.addresses import ListedAddress, parse
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import MAX_FIELD_OCTETS, find_end, iterate, unfold
from mailstack.sieve.addresses import spell
from mailstack.sieve.match import AddressPart, SplitAddress
from mailstack.sieve.parts import MimePart, tree

#: RFC 5322 section 3.6.8: printable, no colon.
_FIELD_NAME = re.compile(r"[!-9;-~]+\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Characters of one encoded word's text, so that the word stays within 75 (RFC 2047 section 2).
_WORD_CHARACTERS = 14


class Field(NamedTuple):
    """One header field.

    Attributes:
        name: lower case.
        raw: with name, folding and line end.
        value: offset in `raw` behind the colon.
    """

    name: str
    raw: bytes
    value: int

    @property
    def body(self) -> bytes:
        """The unfolded value, undecoded."""
        return unfold(self.raw[self.value : self.value + MAX_FIELD_OCTETS])


class Splice(NamedTuple):
    """Octets of the original that are replaced."""

    start: int
    end: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A message as it was at some moment; without arguments: as it was received.

    Attributes:
        data: the octets the rest is about; None: those received.
        fields: its header.
        splices: what was replaced behind it.
        edits: how many there were.
        inner: the message before it was enclosed; None: it was not.
    """

    data: bytes | None = field(default=None, repr=False)
    fields: tuple[Field, ...] = field(default=(), repr=False)
    splices: tuple[Splice, ...] = field(default=(), repr=False)
    edits: int = 0
    inner: Snapshot | None = field(default=None, repr=False)


class Message:
    """A message and the edits made to it.

    Attributes:
        edits: what was done to it, for people.
        added_octets: what edits have added to it.
        rewrites: how often it was made anew, with everything in it copied.
    """

    def __init__(self, data: bytes) -> None:
        self._original = data
        self._data = data  # what fields and splices are about
        self._octets: bytes | None = None
        self._size: tuple[int, int] | None = None
        self._body_text: tuple[int, str] | None = None
        self._inner: Snapshot | None = None
        self._fields: list[Field] | None = None
        self._by_name: dict[str, list[Field]] | None = None
        self._values: dict[str, list[str]] = {}
        self._addresses: dict[str, list[list[SplitAddress]]] = {}
        self._address_parts: dict[tuple[str, str], list[str]] = {}
        self._root: MimePart | None = None
        self._splices: list[Splice] = []
        self._body_at = -1
        self._tail_at = 0
        self.edits: list[dict[str, object]] = []
        self.added_octets = 0
        self.rewrites = 0

    @classmethod
    def from_bytes(cls, data: bytes) -> Message:
        """A message from its octets; line ends may be CRLF or LF."""
        return cls(bytes(data))

    # -- octets ---------------------------------------------------------------

    @property
    def original(self) -> bytes:
        """The octets it was made from."""
        return self._original

    @property
    def size(self) -> int:
        """Octets of the message with its edits, line ends counted as CRLF (RFC 5228 section 5.9)."""
        if self._size is None or self._size[0] != len(self.edits):
            data = self.to_bytes()
            self._size = (len(self.edits), len(data) + data.count(b"\n") - data.count(b"\r\n"))
        return self._size[1]

    @property
    def body(self) -> bytes:
        """Everything behind the empty line."""
        self._read()
        if self._splices:
            octets = self.to_bytes()
            return octets[find_end(octets)[1] :]
        return self._data[self._body_at :]

    @property
    def body_text(self) -> str:
        """The body as it stands there, in Unicode."""
        if self._body_text is None or self._body_text[0] != len(self.edits):
            self._body_text = (len(self.edits), self.body.decode("utf-8", "replace"))
        return self._body_text[1]

    @property
    def has_body(self) -> bool:
        """There is an empty line behind the header, or no header at all."""
        self._read()
        return self._body_at > self._tail_at or self._tail_at == 0

    @property
    def root(self) -> MimePart:
        """Its MIME parts; the root is the message itself."""
        if self._root is None:
            self._root = tree(self.to_bytes() if self._splices else self._data)
        return self._root

    def settled_root(self) -> MimePart:
        """Its MIME parts, of which each can be replaced while others are looked at."""
        if self._splices:
            self._rewrite(self.to_bytes())
        return self.root

    @property
    def has_replaced_parts(self) -> bool:
        """True when `settled_root` has to make the message anew."""
        return bool(self._splices)

    def holds(self, part: MimePart) -> bool:
        """True while the part is a part of it: neither replaced nor enclosed with the rest."""
        return part.is_of(self._data) and not self.has_replaced(part)

    def has_replaced(self, part: MimePart) -> bool:
        """True when other octets stand in the place of its body."""
        body_at, end = part.found.header_end, part.found.end
        return part.is_of(self._data) and any(s.start <= body_at and end <= s.end for s in self._splices)

    def replace_part(self, part: MimePart, octets: bytes) -> None:
        """Puts other octets in the place of a part it holds."""
        self.replace_body(octets, part.found.start, part.found.end)

    def replace_body(self, octets: bytes, start: int | None = None, end: int | None = None) -> None:
        """Puts other octets in the place of the body, or of octets inside it.

        What was replaced inside them before is gone; what lies inside something replaced before
        stays as that is.
        """
        self._read()
        start = self._body_at if start is None else start
        end = len(self._data) if end is None else end
        if start > len(self._data) or (start == self._tail_at == len(self._data)):
            octets = self._line_end + octets  # there was no empty line
        if any(s.start <= start and end <= s.end and (s.start, s.end) != (start, end) for s in self._splices):
            return
        self._splices = [s for s in self._splices if s.end <= start or s.start >= end]
        self._splices.append(Splice(start, end, octets))
        self._edited({"edit": "replace", "octets": len(octets)}, len(octets))
        self._root = None

    def enclose(self, octets: bytes, subject: str) -> None:
        """Makes it another message, which has this one inside."""
        inner, size = self.snapshot(), len(self.to_bytes())
        self._inner = self._inner or inner
        self._rewrite(octets)
        self._edited({"edit": "enclose", "subject": subject}, len(octets) - size)

    def _rewrite(self, octets: bytes) -> None:
        self._data = octets
        self._fields = None
        self._splices.clear()
        self._root = None
        self._forget()
        self.rewrites += 1

    def _edited(self, edit: dict[str, object], octets: int) -> None:
        self.edits.append(edit)
        self.added_octets += octets
        self._octets = None

    @property
    def is_edited(self) -> bool:
        """True when `to_bytes` differs from `original`."""
        return bool(self.edits)

    def snapshot(self, *, enclosed: bool = True) -> Snapshot:
        """The message as it is now, for `to_bytes` and `restore` later.

        Args:
            enclosed: False: as it was before it was put into another one.
        """
        if not self.edits:
            return Snapshot()
        if self._inner is not None and not enclosed:
            return self._inner
        return Snapshot(
            self._data, tuple(self._read()), tuple(self._splices), len(self.edits), inner=self._inner
        )

    def to_bytes(self, moment: Snapshot | None = None) -> bytes:
        """The message with its edits; without edits exactly the original octets.

        Args:
            moment: as it was then; None: as it is now.
        """
        if moment is not None:
            return self._original if moment.data is None else _join(moment, moment.data)
        if not self.edits:
            return self._original
        if self._octets is None:
            self._octets = _join(self.snapshot(), self._data)
        return self._octets

    def undo_edits(self) -> None:
        """Back to the message as received."""
        self.restore(Snapshot())

    def restore(self, moment: Snapshot) -> None:
        """Undoes every edit made since then."""
        self._data = self._original if moment.data is None else moment.data
        self._fields = None if moment.data is None else list(moment.fields)
        self._tail_at, self._body_at = find_end(self._data)
        self._splices = list(moment.splices)
        self._inner = moment.inner
        del self.edits[moment.edits :]
        self._octets = self._root = self._size = self._body_text = None
        self._forget()

    # -- header ---------------------------------------------------------------

    @property
    def fields(self) -> list[Field]:
        """All fields in order, edits applied; junk lines are left out."""
        return [field for field in self._read() if field.name]

    def _read(self) -> list[Field]:
        """Fields, and what lies between them as fields without a name, so that nothing is lost."""
        if self._fields is None:
            data = self._data
            self._tail_at, self._body_at = find_end(data)
            self._fields = []
            end = 0
            for field in iterate(data, 0, self._tail_at):
                if field.start > end:
                    self._fields.append(Field("", data[end : field.start], 0))
                raw = data[field.start : field.end]
                self._fields.append(Field(field.name.decode("ascii"), raw, field.value - field.start))
                end = field.end
            if end < self._tail_at:
                self._fields.append(Field("", data[end : self._tail_at], 0))
        return self._fields

    def exists(self, name: str) -> bool:
        """True when there is such a field; names are compared without case."""
        return name.lower() in self._index()

    def raw_values(self, name: str) -> list[bytes]:
        """The unfolded, undecoded values of the fields of that name, in order."""
        return [field.body for field in self._index().get(name.lower(), ())]

    def _index(self) -> dict[str, list[Field]]:
        if self._by_name is None:
            self._by_name = {}
            for field in self.fields:
                self._by_name.setdefault(field.name, []).append(field)
        return self._by_name

    def header_values(self, name: str) -> list[str]:
        """The values of the fields of that name: unfolded, decoded, stripped."""
        name = name.lower()
        values = self._values.get(name)
        if values is None:
            values = self._values[name] = [decode(raw) for raw in self.raw_values(name)]
        return values

    def addresses(self, name: str) -> list[SplitAddress]:
        """The addresses in the fields of that name; an empty field has one empty address."""
        return [address for field in self.address_fields(name) for address in field]

    def address_parts(self, name: str, part: AddressPart) -> list[str]:
        """What a part of the addresses in the fields of that name is."""
        if part.configured is not None:
            return part.values(self.addresses(name))
        key = (name, part.tag)
        found = self._address_parts.get(key)
        if found is None:
            found = self._address_parts[key] = part.values(self.addresses(name))
        return found

    def address_fields(self, name: str) -> list[list[SplitAddress]]:
        """As `addresses`, field by field."""
        name = name.lower()
        found = self._addresses.get(name)
        if found is None:
            found = self._addresses[name] = [_addresses(raw) for raw in self.raw_values(name)]
        return found

    def _forget(self) -> None:
        self._by_name = None
        self._values.clear()
        self._addresses.clear()
        self._address_parts.clear()

    # -- edits ----------------------------------------------------------------

    def add_header(self, name: str, value: str, *, last: bool = False) -> None:
        """Adds a field on top, or at the end of the header.

        Args:
            value: text; line ends in it become folds, so no second field can be smuggled in.

        Raises:
            ValueError: the name is none (RFC 5322 section 3.6.8).
        """
        if not is_field_name(name):
            raise ValueError(f"'{name[:40]}' is not a header field name")
        fields = self._read()
        raw = name.encode("ascii") + b": " + encode(value, self._line_end) + self._line_end
        field = Field(name.lower(), raw, len(name) + 1)
        if last and fields and not fields[-1].raw.endswith(b"\n"):
            fields[-1] = fields[-1]._replace(raw=fields[-1].raw + self._line_end)
        fields.insert(len(fields) if last else 0, field)
        self._edited({"edit": "addheader", "name": name, "value": value, "last": last}, len(raw))
        self._forget()

    def delete_header(
        self,
        name: str,
        *,
        index: int | None = None,
        last: bool = False,
        matches: Callable[[str], bool] | None = None,
    ) -> int:
        """Removes fields.

        Args:
            index: only that one of its name, from 1, counted from the end with `last`; None: all.
            matches: only fields whose decoded value it says yes to.

        Returns:
            How many are gone.
        """
        fields = self._read()
        at = [n for n, field in enumerate(fields) if name and field.name == name.lower()]
        if index is not None:
            at = at[::-1] if last else at
            at = at[index - 1 : index] if index else []
        gone = {n for n in at if matches is None or matches(decode(fields[n].body))}
        if gone:
            fields[:] = [field for n, field in enumerate(fields) if n not in gone]
            self._edited({"edit": "deleteheader", "name": name, "count": len(gone)}, 0)
            self._forget()
        return len(gone)

    @property
    def _line_end(self) -> bytes:
        return line_end_of(self._data)


def line_end_of(octets: bytes) -> bytes:
    """LF for a message of the local kind; else CRLF."""
    first = octets.find(b"\n")
    return b"\n" if first >= 0 and octets[first - 1 : first] != b"\r" else b"\r\n"


def _join(moment: Snapshot, data: bytes) -> bytes:
    out = [field.raw for field in moment.fields]
    at = find_end(data)[0]
    for splice in sorted(moment.splices):
        out += (data[at : splice.start], splice.octets)
        at = splice.end
    # A header alone gets its empty line.
    out.append(data[at:] or (b"" if moment.splices else line_end_of(data)))
    return b"".join(out)


def is_field_name(name: str) -> bool:
    """True for something a header field can be called."""
    return _FIELD_NAME.match(name) is not None


def decode(raw: bytes) -> str:
    """A field's value as text: RFC 2047 undone, white space around it gone."""
    text = decode_words(raw).strip(" \t\r\n")
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def encode(value: str, line_end: bytes = b"\r\n") -> bytes:
    """A field's value for the wire: encoded words where it is not ASCII, folds at line ends."""
    import base64

    lines = [line.strip(" \t\0") for line in re.split(r"[\r\n]+", value.replace("\0", ""))]
    out: list[bytes] = []
    for line in lines:
        if line.isascii() and all(" " <= c <= "~" or c == "\t" for c in line):
            out.append(line.encode("ascii"))
            continue
        words = [line[n : n + _WORD_CHARACTERS] for n in range(0, len(line), _WORD_CHARACTERS)]
        out += [b"=?UTF-8?B?" + base64.b64encode(word.encode("utf-8", "replace")) + b"?=" for word in words]
    return (line_end + b" ").join(part for part in out if part)


def _addresses(raw: bytes) -> list[SplitAddress]:
    if not raw:
        return [SplitAddress(None, None, "")]
    return [_split(entry) for entry in parse(raw) if entry.is_mailbox]


def _split(entry: ListedAddress) -> SplitAddress:
    """A header's address for comparing; without local part or domain it is no valid one."""
    local = (entry.local or b"").decode("utf-8", "replace")
    domain = (entry.domain or b"").decode("utf-8", "replace")
    if not local or not domain:
        return SplitAddress(None, None, local or (f"@{domain}" if domain else ""))
    return SplitAddress(local, domain, spell(local, domain))
