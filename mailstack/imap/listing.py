"""LIST in all its forms: what is asked for, which folders that is, how they are told.

Standards: RFC 9051 section 6.3.9, RFC 3501 section 6.3.8, RFC 5258 (LIST-EXTENDED), RFC 3348
(CHILDREN), RFC 5819 (LIST-STATUS), RFC 6154 (SPECIAL-USE), RFC 8440 (MYRIGHTS), RFC 9590
(METADATA).
Imports: model, names, parser, metadata, counters.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.imap.counters import parse_items
from mailstack.imap.errors import Bad
from mailstack.imap.metadata import parse_entry
from mailstack.imap.names import SEPARATOR, check_new_name, decode_pattern
from mailstack.imap.parser import Cursor
from mailstack.model.mailbox import FolderEntry

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Patterns in one command; RFC 5258 section 3: a server may restrict them.
MAX_PATTERNS = 64
_SELECTIONS = frozenset((b"SUBSCRIBED", b"SPECIAL-USE", b"REMOTE", b"RECURSIVEMATCH"))
_RETURNS = frozenset((b"SUBSCRIBED", b"SPECIAL-USE", b"CHILDREN", b"MYRIGHTS", b"STATUS", b"METADATA"))
#: Selection options that say which folders; the others say how to look.
_CRITERIA: dict[bytes, Callable[[FolderEntry], bool]] = {
    b"SUBSCRIBED": lambda entry: entry.subscribed,
    b"SPECIAL-USE": lambda entry: bool(entry.special_use),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a LIST asks for.

    Attributes:
        patterns: with the reference in front.
        chosen: selection options.
        told: return options.
        status: items of STATUS.
        entries: of METADATA.
        root: the reference, when the command only asks for its root and the separator.
    """

    patterns: tuple[str, ...]
    chosen: frozenset[bytes]
    told: frozenset[bytes]
    status: tuple[bytes, ...] = ()
    entries: tuple[str, ...] = ()
    root: str | None = None

    @property
    def criteria(self) -> tuple[bytes, ...]:
        """The options a folder must satisfy, in the order CHILDINFO tells them."""
        return tuple(name for name in _CRITERIA if name in self.chosen)


@dataclass(frozen=True, slots=True)
class Listed:
    """A folder to be told of.

    Attributes:
        matched: it satisfies the criteria itself.
        has_matching_child: something below it does; said only when RECURSIVEMATCH was given.
    """

    entry: FolderEntry
    matched: bool = True
    has_matching_child: bool = False


def parse_list(cursor: Cursor, *, utf8: bool) -> Wanted:
    """The arguments of LIST.

    Args:
        utf8: names are UTF-8, not modified UTF-7.

    Raises:
        Bad: no LIST, options nobody knows, RECURSIVEMATCH without anything to match.
    """
    begin = cursor.at
    chosen = _selections(cursor)
    extended = cursor.at > begin
    reference = cursor.astring()
    cursor.space()
    several = cursor.peek() == b"("
    wires = _patterns(cursor) if several else [cursor.list_mailbox()]
    told, status, entries = frozenset[bytes](), tuple[bytes, ...](), tuple[str, ...]()
    if cursor.take(b" RETURN ("):
        extended = True
        told, status, entries = _returns(cursor)
    cursor.end()
    # The empty pattern matches nothing, whatever the reference.
    patterns = tuple(decode_pattern(reference + wire, utf8=utf8) if wire else "" for wire in wires)
    if not any(wires) and not (extended or several):
        return Wanted((), chosen, told, root=decode_pattern(reference, utf8=utf8))
    return Wanted(patterns, chosen, told, status, entries)


def _selections(cursor: Cursor) -> frozenset[bytes]:
    if not cursor.take(b"("):
        return frozenset()
    found: set[bytes] = set()
    while not cursor.take(b")"):
        if found:
            cursor.space()
        found.add(_known(cursor.word(), _SELECTIONS))
    cursor.space()
    if b"RECURSIVEMATCH" in found and found <= {b"RECURSIVEMATCH", b"REMOTE"}:
        raise Bad("RECURSIVEMATCH wants another option to match")
    return frozenset(found)


def _patterns(cursor: Cursor) -> list[bytes]:
    cursor.expect(b"(")
    found = [cursor.list_mailbox()]
    while not cursor.take(b")"):
        cursor.space()
        found.append(cursor.list_mailbox())
        if len(found) > MAX_PATTERNS:
            raise Bad(f"More than {MAX_PATTERNS} mailbox patterns")
    return found


def _returns(cursor: Cursor) -> tuple[frozenset[bytes], tuple[bytes, ...], tuple[str, ...]]:
    found: set[bytes] = set()
    status: tuple[bytes, ...] = ()
    entries: tuple[str, ...] = ()
    while not cursor.take(b")"):
        if found:
            cursor.space()
        word = _known(cursor.word(), _RETURNS)
        found.add(word)
        if word == b"STATUS":
            cursor.expect(b" (")
            status = parse_items(cursor)
        elif word == b"METADATA":
            cursor.expect(b" (")
            entries = _entries(cursor)
    return frozenset(found), status, entries


def _entries(cursor: Cursor) -> tuple[str, ...]:
    found = {parse_entry(cursor): None}
    while not cursor.take(b")"):
        cursor.space()
        found[parse_entry(cursor)] = None
    return tuple(found)


def _known(word: bytes, options: frozenset[bytes]) -> bytes:
    if word not in options:
        raise Bad("There is no such option of LIST")
    return word


# -- which folders ------------------------------------------------------------------------


def select(
    entries: Sequence[FolderEntry], wanted: Wanted, matches: Callable[[str], bool]
) -> Iterator[Listed]:
    """The folders to be told of, in the order of `entries`.

    Args:
        matches: whether a name fits one of the patterns.

    Source: RFC 5258 sections 3.3 and 3.5.
    """
    tests = [_CRITERIA[name] for name in wanted.criteria]
    if b"RECURSIVEMATCH" in wanted.chosen:
        yield from _recursive(entries, tests, matches)
        return
    # A name that is only subscribed to is nothing LIST shows by itself; a missing parent is.
    tests = tests or [lambda entry: entry.exists or entry.has_children]
    for entry in entries:
        if all(test(entry) for test in tests) and matches(entry.name):
            yield Listed(entry)


def _recursive(
    entries: Sequence[FolderEntry],
    tests: Sequence[Callable[[FolderEntry], bool]],
    matches: Callable[[str], bool],
) -> Iterator[Listed]:
    known = {entry.name: entry for entry in entries}
    good = {entry.name for entry in entries if all(test(entry) for test in tests)}
    #: By parent: whether something below it is not told of by itself.
    above: dict[str, bool] = {}
    for name in good:
        hidden = not matches(name)
        for parent in parents(name):
            above[parent] = above.get(parent, False) or hidden
            known.setdefault(parent, FolderEntry(parent, False, False, False))
    for name in sorted(good | above.keys()) if len(known) > len(entries) else list(known):
        if (name in good or above.get(name)) and matches(name):
            yield Listed(known[name], name in good, name in above)


def parents(name: str) -> list[str]:
    """All names above a name, the topmost first."""
    parts = name.split(SEPARATOR)
    return [SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts))]


# -- lines --------------------------------------------------------------------------------


def folder_line(
    kind: bytes,
    entry: FolderEntry,
    name: bytes,
    *,
    with_subscribed: bool = False,
    extended: Sequence[bytes] = (),
) -> bytes:
    """`* LIST (attributes) "/" name`, and extended data items.

    Args:
        name: as this client reads it.
        extended: items with their tags, such as `"CHILDINFO" ("SUBSCRIBED")`.
    """
    words = [] if entry.exists else [b"\\NonExistent", b"\\Noselect"]
    if with_subscribed and entry.subscribed:
        words.append(b"\\Subscribed")
    words.append(b"\\HasChildren" if entry.has_children else b"\\HasNoChildren")
    if entry.special_use:
        words.append(entry.special_use.encode("ascii", "replace"))
    more = b" (%b)" % b" ".join(extended) if extended else b""
    return b'* %b (%b) "/" %b%b\r\n' % (kind, b" ".join(words), name, more)


def child_info(criteria: Sequence[bytes]) -> bytes:
    """The CHILDINFO item (RFC 5258 section 3.5)."""
    return b'"CHILDINFO" (%b)' % b" ".join(b'"%b"' % name for name in criteria)


# -- names that were not written as we write them ------------------------------------------


def read_new_name(session: Session, cursor: Cursor) -> tuple[str, bytes]:
    """A name for a folder to be made, and how the client wrote it when that must be told.

    Raises:
        Bad: no string.
        No: CANNOT, no name.

    Source: RFC 9051 section 6.3.9.7.
    """
    begin = cursor.at
    name = check_new_name(session.read_name(cursor))
    if not session.is_rev2:
        return name, b""
    asked = Cursor(cursor.data, begin).astring().decode("utf-8").removesuffix(SEPARATOR)
    return name, b"" if asked in (name, "") else session.mailbox_name(asked)


def old_name_line(session: Session, name: str, asked: bytes) -> bytes:
    """`* LIST () "/" name ("OLDNAME" (asked))` for a folder that has just been made."""
    entry = FolderEntry(name, True, False, False)
    item = b'"OLDNAME" (%b)' % asked
    return folder_line(b"LIST", entry, session.mailbox_name(name), extended=[item])
