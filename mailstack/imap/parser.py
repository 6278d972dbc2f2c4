"""Reads the words of one command: a cursor over its octets, and the command's head.

Everything is a compiled pattern or a loop; nothing recurses, so no nesting of
brackets can exhaust a stack.  The only error that leaves this module is `Bad`.

Standards: RFC 3501 section 9 (formal syntax), with literals in place as `framing`
leaves them.
Imports: errors.  No I/O.
"""

from __future__ import annotations

import re
from typing import NoReturn

from mailstack.imap.errors import Bad
from mailstack.imap.framing import TAG

_HEAD = re.compile(rb"(" + TAG + rb") (?:(UID) )?([A-Za-z]+)(?: |\Z)", re.IGNORECASE)
_TAG_ONLY = re.compile(rb"(" + TAG + rb")(?: |\Z)")
# RFC 3501: ATOM-CHAR excludes ( ) { SP CTL % * " \ ]; ASTRING-CHAR allows ].
_ATOM = re.compile(rb"[!#$&',\-./0-9:;<=>?@A-Z\[^_`a-z|}~+]+")
_ASTRING_ATOM = re.compile(rb"[!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~+]+")
# list-mailbox: ATOM-CHAR, the wildcards, "]".
_LIST_ATOM = re.compile(rb"[!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~+%*]+")
# RFC 3501 wants 7-bit in quoted strings; 8-bit is taken, since RFC 9051 and clients send it.
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{([0-9]{1,20})\+?\}\r\n")
_NUMBER = re.compile(rb"[0-9]{1,20}")
_SET = re.compile(rb"[0-9:*,$]+")


class Head:
    """Tag and name of a command.

    Attributes:
        tag: as sent; b"*" when there is none.
        name: upper case, with "UID " in front for UID commands; b"" when there is none.
        at: where the arguments begin.
    """

    __slots__ = ("at", "name", "tag")

    def __init__(self, wire: bytes) -> None:
        found = _HEAD.match(wire)
        if found is not None:
            self.tag: bytes = found[1]
            self.name: bytes = (b"UID " if found[2] else b"") + found[3].upper()
            self.at = found.end()
            return
        tag = _TAG_ONLY.match(wire)
        self.tag = tag[1] if tag else b"*"
        self.name = b""
        self.at = len(wire)


class Cursor:
    """Walks over a command's arguments.

    Attributes:
        utf8: what is not ASCII in quoted strings must be UTF-8 (RFC 6855 section 3).
    """

    __slots__ = ("at", "data", "utf8")

    def __init__(self, data: bytes, at: int = 0, *, utf8: bool = False) -> None:
        self.data = data
        self.at = at
        self.utf8 = utf8

    def fail(self, expected: str) -> NoReturn:
        """Says what was expected here."""
        raise Bad(f"Syntax error: expected {expected}")

    # -- places -------------------------------------------------------------------

    @property
    def at_end(self) -> bool:
        """True when nothing is left."""
        return self.at >= len(self.data)

    def peek(self) -> bytes:
        """The next octet; b"" at the end."""
        return self.data[self.at : self.at + 1]

    def take(self, text: bytes) -> bool:
        """Steps over `text` if it stands here; ASCII case does not matter."""
        end = self.at + len(text)
        found = self.data[self.at : end]
        if found == text or found.upper() == text.upper():
            self.at = end
            return True
        return False

    def expect(self, text: bytes) -> None:
        """Steps over `text`, which must stand here."""
        if not self.take(text):
            self.fail(repr(text.decode("ascii")))

    def space(self) -> None:
        """Steps over exactly one space."""
        if self.data[self.at : self.at + 1] != b" ":
            self.fail("a space")
        self.at += 1

    def end(self) -> None:
        """Nothing may follow; one trailing space is forgiven."""
        if self.at < len(self.data) and self.data[self.at :] != b" ":
            self.fail("the end of the command")

    def rest(self) -> bytes:
        """All that is left."""
        rest = self.data[self.at :]
        self.at = len(self.data)
        return rest

    def _match(self, pattern: re.Pattern[bytes], expected: str) -> bytes:
        found = pattern.match(self.data, self.at)
        if found is None:
            self.fail(expected)
        self.at = found.end()
        return found[0]

    # -- words --------------------------------------------------------------------

    def atom(self) -> bytes:
        """An atom."""
        return self._match(_ATOM, "an atom")

    def word(self) -> bytes:
        """An atom in upper case: a keyword of the protocol."""
        return self._match(_ATOM, "a word").upper()

    def number(self, *, most: int = 4_294_967_295) -> int:
        """A number up to `most`."""
        number = int(self._match(_NUMBER, "a number"))
        if number > most:
            self.fail(f"a number up to {most}")
        return number

    def set_text(self) -> bytes:
        """The octets of a sequence set, unparsed."""
        return self._match(_SET, "a message set")

    def string(self) -> bytes:
        """A quoted string or a literal, as octets."""
        if self.data[self.at : self.at + 1] == b'"':
            return self._quoted()
        return self._literal()

    def astring(self) -> bytes:
        """An atom (with "]"), a quoted string or a literal."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self._match(_ASTRING_ATOM, "a string")

    def list_mailbox(self) -> bytes:
        """A mailbox pattern: as astring, with "%" and "*"."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self._match(_LIST_ATOM, "a mailbox pattern")

    def nstring(self) -> bytes | None:
        """A string, or None for NIL."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        if self.word() != b"NIL":
            self.fail("a string or NIL")
        return None

    def body_marker(self) -> None:
        """Steps over the `{n}` of a message that `framing` has handed out already."""
        self._match(_LITERAL, "a message literal")

    def _quoted(self) -> bytes:
        text = self._match(_QUOTED, "a quoted string")[1:-1]
        if self.utf8 and not text.isascii():
            try:
                text.decode("utf-8")
            except UnicodeDecodeError:
                self.fail("UTF-8 in a quoted string")
        return text.replace(b'\\"', b'"').replace(b"\\\\", b"\\") if b"\\" in text else text

    def literal8(self) -> bytes:
        """`~{n}` and octets that may hold NUL (RFC 3516)."""
        self.expect(b"~")
        return self._literal(nul=True)

    def _literal(self, *, nul: bool = False) -> bytes:
        found = _LITERAL.match(self.data, self.at)
        if found is None:
            self.fail("a string")
        begin = found.end()
        text = self.data[begin : begin + int(found[1])]
        if b"\0" in text and not nul:
            # RFC 3501 section 9: literal holds CHAR8, which has no NUL.
            raise Bad("A literal holds NUL")
        self.at = begin + len(text)
        return text
