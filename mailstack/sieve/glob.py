"""`:matches` patterns: "*" and "?", without backtracking.

A pattern is cut at its stars.  The piece before the first star and the one behind the
last are anchored; each piece between is looked for from where the one before it ended,
and the first place found is right, so nothing is ever tried twice.  A piece with "?" is
looked for by a bit-parallel scan: time grows with value length times pattern length
divided by the machine's word, whatever the pattern says.

"?" stands for one octet, as RFC 5228 section 2.7.1 has it for i;octet and
i;ascii-casemap.  Text that is not ASCII is therefore compared octet by octet when the
pattern holds a "?".

Standards: RFC 5228 section 2.7.1, RFC 5229 section 3.2.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mailstack.sieve.control import SieveError

#: Stands for "?" inside a piece; it cannot be in a value, which holds octets or text.
_ANY = None
_Piece = list["str | None"]

#: RFC 5229 section 3.2 needs few; a pattern of stars must not fill memory.
MAX_CAPTURES = 32
#: A table has a row for each character of a piece, as long as the piece; octets have but 256 rows.
MAX_ANY_CHARACTERS = 1_024


@dataclass(frozen=True, slots=True)
class Glob:
    """A prepared pattern; immutable.

    Attributes:
        has_any: holds a "?".
        cost: what one octet of a value costs, in 64ths of a step.
        by_octets: "?" stands for one octet; False: for one character.
    """

    pieces: tuple[_Scan, ...]
    has_any: bool
    cost: int
    by_octets: bool = True

    def match(self, folded: str, value: str, *, captures: bool) -> tuple[str, ...] | None:
        """Compares a whole value.

        Args:
            folded: the value as the comparator sees it.
            value: the value as it is, of which captures are cut.
            captures: False when nobody wants them.

        Returns:
            The whole value and what each wildcard stood for, at most MAX_CAPTURES of them;
            () when captures are not wanted; None when it does not match.
        """
        octets = self.by_octets and self.has_any and not folded.isascii()
        text = to_octets(folded) if octets else folded
        starts = self._place(text)
        if starts is None:
            return None
        if not captures:
            return ()
        return self._captures(starts, value, octets=octets)

    def _place(self, text: str) -> list[int] | None:
        """Where each piece stands; None when they do not all fit."""
        first, last = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return [0] if len(text) == first.length and first.stands_at(text, 0) else None
        last_start = len(text) - last.length
        if last_start < first.length or not first.stands_at(text, 0) or not last.stands_at(text, last_start):
            return None
        starts = [0]
        end = first.length
        for piece in self.pieces[1:-1]:
            start = piece.find(text, end, last_start)
            if start < 0:
                return None
            starts.append(start)
            end = start + piece.length
        starts.append(last_start)
        return starts

    def _captures(self, starts: list[int], value: str, *, octets: bool) -> tuple[str, ...]:
        source = to_octets(value) if octets else value
        back: Callable[[str], str] = from_octets if octets else str
        found = [value]
        end = 0
        for number, (piece, start) in enumerate(zip(self.pieces, starts, strict=True)):
            if number:
                found.append(back(source[end:start]))
            found += [back(source[start + n]) for n in piece.wildcards]
            end = start + piece.length
            if len(found) > MAX_CAPTURES:
                break
        return tuple(found[: MAX_CAPTURES + 1])


@dataclass(frozen=True, slots=True)
class _Scan:
    """One piece between stars.

    Attributes:
        literal: its text when it holds no "?".
        runs: literal text with its offset in the piece.
        wildcards: offsets of "?".
    """

    length: int
    literal: str | None
    runs: tuple[tuple[int, str], ...]
    wildcards: tuple[int, ...]
    masks: dict[str, int] = field(default_factory=dict)
    any_mask: int = 0

    def stands_at(self, text: str, start: int) -> bool:
        return all(text.startswith(run, start + offset) for offset, run in self.runs)

    def find(self, text: str, start: int, end: int) -> int:
        """First place in text[start:end]; -1 when there is none."""
        if self.literal is not None:
            return text.find(self.literal, start, end)
        if end - start < self.length:
            return -1
        if not self.runs:
            return start
        # Shift-and: bit n of `state` says that the first n+1 characters of the piece
        # have just been read.
        state, wanted, masks, any_mask = 0, 1 << (self.length - 1), self.masks, self.any_mask
        for position in range(start, end):
            state = ((state << 1) | 1) & masks.get(text[position], any_mask)
            if state & wanted:
                return position - self.length + 1
        return -1


def prepare(pattern: str, fold: Callable[[str], str]) -> Glob:
    r"""Reads a pattern; `\*`, `\?` and `\\` stand for themselves.

    Args:
        fold: the comparator's view of a text; it must keep the length.
    """
    octets = "?" in pattern and not pattern.isascii()
    raw = _split(to_octets(pattern) if octets else pattern)
    pieces = tuple(_scan(piece, fold) for piece in raw)
    widest = max((piece.length for piece in pieces if piece.wildcards), default=0)
    has_any = any(piece.wildcards for piece in pieces)
    if octets and not has_any:
        # Every "?" was escaped: plain text after all.
        pieces = tuple(_scan([from_octets("".join(c or "" for c in piece))], fold) for piece in raw)
    return Glob(pieces, has_any, 8 + widest // 64 if has_any else 1)


def prepare_characters(pattern: str, fold: Callable[[str], str]) -> Glob:
    """As `prepare`, for a comparator of characters: "?" stands for one of them.

    Args:
        fold: of one character; it may give several.
    """
    pieces = tuple(
        _scan([one for c in piece for one in ((_ANY,) if c is _ANY else fold(c))], str)
        for piece in map(_check_length, _split(pattern))
    )
    widest = max((piece.length for piece in pieces if piece.wildcards), default=0)
    has_any = any(piece.wildcards for piece in pieces)
    return Glob(pieces, has_any, 8 + widest // 64 if has_any else 1, by_octets=False)


def _check_length(piece: _Piece) -> _Piece:
    """Raises SieveError for a piece with "?" whose tables would fill memory."""
    if _ANY in piece and len(piece) > MAX_ANY_CHARACTERS:
        raise SieveError(f'a pattern with "?" is longer than {MAX_ANY_CHARACTERS} characters')
    return piece


def _split(pattern: str) -> list[_Piece]:
    pieces: list[_Piece] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            pieces[-1].append(next(characters, "\\"))
        elif character == "*":
            pieces.append([])
        elif character == "?":
            pieces[-1].append(_ANY)
        else:
            pieces[-1].append(character)
    return pieces


def _scan(piece: _Piece, fold: Callable[[str], str]) -> _Scan:
    runs: list[tuple[int, str]] = []
    wildcards: list[int] = []
    run, offset = "", 0
    for character in piece:
        if character is _ANY:
            if run:
                runs.append((offset - len(run), fold(run)))
                run = ""
            wildcards.append(offset)
            offset += 1
        else:
            run += character
            offset += len(character)
    if run:
        runs.append((offset - len(run), fold(run)))
    if not wildcards:
        return _Scan(offset, fold("".join(c or "" for c in piece)), tuple(runs), ())
    return _Scan(offset, None, tuple(runs), tuple(wildcards), *_masks(offset, runs, wildcards))


def _masks(length: int, runs: list[tuple[int, str]], wildcards: list[int]) -> tuple[dict[str, int], int]:
    """For each character the positions where it may stand; and for all others."""
    anywhere = bytearray(length // 8 + 1)
    for n in wildcards:
        anywhere[n // 8] |= 1 << n % 8
    places: dict[str, bytearray] = {}
    for offset, run in runs:
        for n, character in enumerate(run, offset):
            places.setdefault(character, bytearray(anywhere))[n // 8] |= 1 << n % 8
    masks = {c: int.from_bytes(bits, "little") for c, bits in places.items()}
    return masks, int.from_bytes(anywhere, "little")


def to_octets(text: str) -> str:
    """Each octet of the UTF-8 form as one character; octets that are no UTF-8 are kept."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def from_octets(text: str) -> str:
    """The way back from `to_octets`."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")
