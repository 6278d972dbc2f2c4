"""The header block as fields with their octets: what the checks agree on.

The split itself is `mime.header`'s, so that signatures, forged results, the author count,
Sieve and IMAP all see the same fields (T20).  Nothing is repaired.

Standards: RFC 5322 section 2.2, 2.2.3 (folding).
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from mailstack.mime.header import MAX_BLOCK_OCTETS, MAX_FIELDS, Octets, find_end, matches, unfold
from mailstack.mime.scanner import MIME_FIELDS, Known


class Field(msgspec.Struct, frozen=True):
    """One field.

    Attributes:
        name: lower case, blanks before the colon removed.
        raw: all its octets with the final line end.
        colon: offset of the colon in `raw`.
        start, end: its octets in the message.
    """

    name: bytes
    raw: bytes
    colon: int
    start: int
    end: int

    @property
    def value(self) -> bytes:
        """What follows the colon, folding and final line end included."""
        return self.raw[self.colon + 1 :]

    @property
    def text(self) -> bytes:
        """The value unfolded and stripped of blanks; at most 64 KiB of it."""
        return unfold(self.raw[self.colon + 1 :])


class Header:
    """The fields of a message, in order.

    Attributes:
        fields: at most a thousand, of the first 512 KiB.
        body_at: offset of the body; the message's length when there is none.
    """

    def __init__(self, message: Octets) -> None:
        end, self.body_at = find_end(message)
        block = bytes(message[: min(end, MAX_BLOCK_OCTETS)])
        fields = [
            Field(
                match[1].lower(), match[0], match.start(2) - 1 - (start := match.start()), start, match.end()
            )
            for match in matches(block)
        ]
        if fields and not fields[-1].raw.endswith(b"\n"):
            fields[-1] = msgspec.structs.replace(fields[-1], raw=fields[-1].raw + b"\r\n")
        self.fields = tuple(fields)
        self._by_name: dict[bytes, list[Field]] = {}
        self._firsts: dict[bytes, bytes] = {}
        for field in fields:
            same = self._by_name.get(field.name)
            if same is None:
                self._by_name[field.name] = [field]
            else:
                same.append(field)

    @property
    def names(self) -> Collection[bytes]:
        """The names of its fields, lower case, each once."""
        return self._by_name.keys()

    @property
    def mime(self) -> Known | None:
        """What tells of the message's parts; None when it may stand behind the last field looked at."""
        if len(self.fields) == MAX_FIELDS:
            return None
        return Known(
            self.body_at,
            {name: self.first(name) for name in MIME_FIELDS if name in self._by_name},
        )

    def all(self, name: bytes) -> list[Field]:
        """Every field of that (lower case) name, top to bottom."""
        return self._by_name.get(name, [])

    def first(self, name: bytes) -> bytes:
        """The unfolded value of the first such field; b"" when absent."""
        value = self._firsts.get(name)
        if value is None:
            found = self._by_name.get(name)
            value = self._firsts[name] = found[0].text if found else b""
        return value

    def has(self, name: bytes) -> bool:
        """True when there is such a field, even an empty one."""
        return name in self._by_name
