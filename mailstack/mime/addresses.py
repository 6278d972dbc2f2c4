"""Address lists of header fields: one lenient reader, one strict one.

`parse` is for showing (ENVELOPE, Sieve's address test): it makes the best of junk and
never fails.  `strict_addresses` is for deciding (DMARC, who may send as whom): it gives
every addr-spec, or says that the field cannot be read; what two readers could take for
two different authors is unparsable (T20).  Neither decodes encoded words inside an
addr-spec, and neither recurses.

Standards: RFC 5322 section 3.4, RFC 6532, RFC 3501 section 7.4.2.
Limits, section 3: 1000 addresses in a header.
Imports: model.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mailstack.mime.encoding import decode_words
from mailstack.mime.header import MAX_FIELD_OCTETS, unfold
from mailstack.model.address import Address, AddressError

MAX_ADDRESSES = 1000


class ListedAddress(NamedTuple):
    """One entry of an address list, undecoded, shaped as IMAP's address structure.

    `domain` None marks a group: its start when `local` holds the group's name, its end
    when `local` is None too.

    Attributes:
        name: display name, unquoted; or the comment behind a bare address; None: none.
        route: obsolete source route; None: none.
        local: local part, unquoted; or group name.
        domain: as written; b"" when it is missing.
    """

    name: bytes | None
    route: bytes | None
    local: bytes | None
    domain: bytes | None

    @property
    def is_mailbox(self) -> bool:
        """True for an address, False for the start or end of a group."""
        return self.domain is not None

    @property
    def spec(self) -> str:
        """`local@domain` as text, unquoted; "" for a group mark."""
        if self.local is None or self.domain is None:
            return ""
        return f"{self.local.decode('utf-8', 'replace')}@{self.domain.decode('utf-8', 'replace')}"

    @property
    def display(self) -> str:
        """The display name as text, encoded words decoded."""
        return decode_words(self.name) if self.name else ""


@dataclass(frozen=True, slots=True)
class Unparsable:
    """The field does not follow the grammar; `why` is one sentence."""

    why: str


GROUP_END = ListedAddress(None, None, None, None)

_ATOM = rb'[^\s"(),:;<>@\[\]\\]'
# Nine of ten addresses look like one of these two.
_ANGLE = re.compile(
    rb'[ \t]*(?:"([^"\\]*)"|(' + _ATOM + rb"+(?:[ \t]+" + _ATOM + rb"+)*))?[ \t]*"
    rb"<(" + _ATOM + rb"+)@(" + _ATOM + rb"+)>[ \t]*(?:,|\Z)"
)
# One address as nine of ten authors write it: what the strict reader would make of it is certain.
_PLAIN_ATOM = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]"
_USUAL_AUTHOR = re.compile(
    rb'[ \t]*(?:(?:"[ !#-\[\]-~]*"[ \t]*|(?:' + _PLAIN_ATOM + rb"+[ \t]+)*+)<|)"
    rb"(" + _PLAIN_ATOM + rb"+@[A-Za-z0-9.-]+)(>?)[ \t]*\Z"
)
_BARE = re.compile(rb"[ \t]*(" + _ATOM + rb"+)@(" + _ATOM + rb"+)[ \t]*(?:,|\Z)")
_PLAIN_TOKENS = (
    rb"(?P<space>[ \t\r\n]+)|(?P<literal>\[[^\[\]\\\r\n]*\])|(?P<atom>" + _ATOM + rb"+)|(?P<special>.)"
)
_TOKEN = re.compile(rb'(?P<quoted>"[^"\\]*(?:\\.[^"\\]*)*")|' + _PLAIN_TOKENS, re.DOTALL)
_TOKEN_WITHOUT_QUOTES = re.compile(_PLAIN_TOKENS, re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_SPACE = b" "


class _Token(NamedTuple):
    kind: str  # space quoted literal atom comment special; unclosed: a comment that never ends
    text: bytes  # unquoted

    def is_special(self, mark: bytes) -> bool:
        return self.kind == "special" and self.text == mark


def parse(value: bytes) -> list[ListedAddress]:
    """Reads an address list, leniently; at most MAX_ADDRESSES entries.

    Args:
        value: a field's value; folding is undone.

    Source: RFC 5322 sections 3.4 and 4.4.
    """
    value = unfold(value)
    found: list[ListedAddress] = []
    position = 0
    while position < len(value) and len(found) < MAX_ADDRESSES:
        match = _ANGLE.match(value, position)
        if match is not None:
            quoted, phrase, local, domain = match.groups()
            name = quoted if quoted is not None else phrase and b" ".join(phrase.split())
            found.append(ListedAddress(name or None, None, local, domain))
        else:
            match = _BARE.match(value, position)
            if match is None:
                found.extend(_Lenient(value[position:]).read(MAX_ADDRESSES - len(found)))
                break
            found.append(ListedAddress(None, None, match[1], match[2]))
        position = match.end()
    return found


def specs(value: bytes) -> list[str]:
    """The `local@domain` of every address in the list, leniently, as text."""
    return [entry.spec for entry in parse(value) if entry.is_mailbox]


def _tokens(value: bytes) -> Iterator[_Token]:
    position = 0
    end = len(value)
    pattern = _TOKEN
    while position < end:
        if value[position] == 0x28:
            position, token = _comment(value, position)
            yield token
            continue
        match = pattern.match(value, position)
        if match is None:  # cannot happen: `special` takes any octet
            return
        kind = match.lastgroup or "special"
        text = match[0]
        if kind == "quoted":
            text = _ESCAPED.sub(rb"\1", text[1:-1])
        elif text == b'"':
            # No quote closes it, so none of the later ones opens anything; looking for
            # the end again and again would take quadratic time.
            pattern = _TOKEN_WITHOUT_QUOTES
        yield _Token(kind, text)
        position = match.end()


def _comment(value: bytes, position: int) -> tuple[int, _Token]:
    """Reads a comment, which may nest; gives the offset behind it and its text."""
    depth = 0
    text = bytearray()
    end = len(value)
    while position < end:
        octet = value[position]
        position += 1
        if octet == 0x5C and position < end:
            text.append(value[position])
            position += 1
            continue
        if octet == 0x28:
            depth += 1
            if depth == 1:
                continue
        elif octet == 0x29:
            depth -= 1
            if not depth:
                return position, _Token("comment", bytes(text))
        text.append(octet)
    return position, _Token("unclosed", bytes(text))


class _Lenient:
    """One entry after the other from tokens; state is what has been read of this entry."""

    def __init__(self, value: bytes) -> None:
        self._tokens = _tokens(value)
        self._out: list[ListedAddress] = []
        self._in_group = False
        self._start()

    def _start(self) -> None:
        self._words: list[_Token] = []
        self._comment = b""
        self._angle: list[_Token] | None = None

    def read(self, limit: int) -> list[ListedAddress]:
        in_angle = False
        for token in self._tokens:
            if len(self._out) >= limit:
                break
            if token.kind in ("comment", "unclosed"):
                self._comment = self._comment or token.text
            elif token.is_special(b"<"):
                if self._angle is not None:
                    self._finish()
                self._angle = []
                in_angle = True
            elif in_angle and not token.is_special(b";"):
                if token.is_special(b">"):
                    in_angle = False
                elif self._angle is not None:
                    self._angle.append(token)
            elif token.kind == "special":
                in_angle = False
                self._special(token)
            else:
                self._words.append(token)
        self._finish()
        if self._in_group:
            self._out.append(GROUP_END)
        return self._out[:limit]

    def _special(self, token: _Token) -> None:
        if token.text == b",":
            self._finish()
        elif token.text == b":" and self._angle is None and not self._has_at():
            if self._in_group:
                self._out.append(GROUP_END)
            self._out.append(ListedAddress(None, None, _phrase(self._words), None))
            self._in_group = True
            self._start()
        elif token.text == b";":
            self._finish()
            if self._in_group:
                self._out.append(GROUP_END)
                self._in_group = False
        else:
            self._words.append(token)

    def _has_at(self) -> bool:
        return any(word.is_special(b"@") for word in self._words)

    def _finish(self) -> None:
        words, angle, comment = self._words, self._angle, self._comment
        self._start()
        if angle is not None:
            route, inner = _route(angle)
            local, domain = _spec(inner)
            if local or domain or words:
                self._out.append(ListedAddress(_phrase(words) or comment or None, route, local, domain))
            return
        words = _trim(words)
        if words:
            name, spec = _bare(words)
            local, domain = _spec(spec)
            self._out.append(ListedAddress(name or comment or None, None, local, domain))


def _trim(words: list[_Token]) -> list[_Token]:
    start, end = 0, len(words)
    while start < end and words[start].kind == "space":
        start += 1
    while end > start and words[end - 1].kind == "space":
        end -= 1
    return words[start:end]


def _phrase(words: list[_Token]) -> bytes:
    text = b"".join(_SPACE if word.kind == "space" else word.text for word in words)
    return text.strip()


def _bare(words: list[_Token]) -> tuple[bytes, list[_Token]]:
    """Splits `John Doe john@example.org` (junk, but seen) into name and address."""
    at = next((n for n, word in enumerate(words) if word.is_special(b"@")), None)
    if at is None:
        return b"", words
    start = at
    while start > 0 and words[start - 1].kind == "space":
        start -= 1
    while start > 0 and words[start - 1].kind != "space":
        start -= 1
    return _phrase(words[:start]), words[start:]


def _route(angle: list[_Token]) -> tuple[bytes | None, list[_Token]]:
    """Takes `@a,@b:` off an angle address."""
    if not angle or angle[0].text != b"@":
        return None, angle
    for n, token in enumerate(angle):
        if token.is_special(b":"):
            return b"".join(word.text for word in angle[:n]), angle[n + 1 :]
    return None, angle


def _spec(words: list[_Token]) -> tuple[bytes, bytes]:
    """Local part and domain; the last "@" divides, white space is dropped around it."""
    at = None
    for n, word in enumerate(words):
        if word.is_special(b"@"):
            at = n
    if at is None:
        return _phrase(words), b""
    return _phrase(words[:at]), b"".join(word.text for word in words[at + 1 :] if word.kind != "space")


def strict_addresses(value: bytes) -> tuple[Address, ...] | Unparsable:
    """Every addr-spec of an address list, or why it cannot be read.

    A display name may hold "@" and "." unquoted (`a@good <b@bad>` is b@bad), as real
    mail has it; comments, quoted strings and groups are read by the grammar.  Obsolete
    routes, text behind ">", two addresses without a comma, control characters and
    addresses that SMTP would refuse are unparsable.  An empty group gives ().

    Args:
        value: the field's value, folded or not, at most MAX_FIELD_OCTETS octets.

    Source: RFC 5322 section 3.4; RFC 6854 (groups in From).
    """
    if len(value) > MAX_FIELD_OCTETS:
        return Unparsable("the field is too long")
    value = unfold(value)
    usual = _USUAL_AUTHOR.match(value)
    if usual is not None and (value.find(b"<", 0, usual.start(1)) >= 0) == bool(usual[2]):
        try:
            return (_rooted(usual[1].decode("ascii")),)
        except AddressError as error:
            return Unparsable(str(error))
    if any((octet < 0x20 and octet != 0x09) or octet == 0x7F for octet in value):
        return Unparsable("there is a control character in it")
    try:
        return tuple(_Strict(value).read())
    except _Refused as error:
        return Unparsable(str(error))


class _Refused(Exception):
    """Why the strict reader stopped."""


class _Strict:
    """RFC 5322 section 3.4 token by token; anything unforeseen raises _Refused."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._found: list[Address] = []

    def read(self) -> list[Address]:
        entry: list[_Token] = []
        in_group = after_group = False
        for token in self._checked():
            mark = token.text if token.kind == "special" else b""
            if after_group and token.kind != "space" and mark != b",":
                raise _Refused("there is text behind a group")
            if mark == b",":
                self._entry(entry)
                entry, after_group = [], False
            elif mark == b";":
                if not in_group:
                    raise _Refused("a semicolon that ends no group")
                self._entry(entry)
                entry, in_group, after_group = [], False, True
            elif mark == b":":
                if in_group or not _is_phrase(entry):
                    raise _Refused("a colon that begins no group")
                entry, in_group = [], True
            else:
                entry.append(token)
        if in_group:
            raise _Refused("a group is not closed")
        self._entry(entry)
        return self._found

    def _checked(self) -> Iterator[_Token]:
        angle = False
        for token in _tokens(self._value):
            if token.kind == "unclosed":
                raise _Refused("a comment is not closed")
            if token.kind == "comment":
                # It may stand where white space may; inside <> it would only hide something.
                if angle:
                    raise _Refused("a comment inside an address")
                yield _Token("space", b" ")
                continue
            if token.kind == "special":
                if token.text not in (b"@", b",", b":", b";", b"<", b">"):
                    raise _Refused(f"the character {token.text.decode('latin-1')!r} may not stand there")
                angle = token.text == b"<" or (angle and token.text != b">")
                if angle and token.text in (b",", b":", b";"):
                    raise _Refused("an obsolete route or a list inside an address")
            yield token

    def _entry(self, tokens: list[_Token]) -> None:
        tokens = _trim(tokens)
        if not tokens:
            return  # RFC 5322 section 4.4: an empty place in a list hides nothing
        if len(self._found) >= MAX_ADDRESSES:
            raise _Refused("there are too many addresses")
        opened = [n for n, token in enumerate(tokens) if token.is_special(b"<")]
        closed = [n for n, token in enumerate(tokens) if token.is_special(b">")]
        if not opened and not closed:
            self._found.append(_address(tokens))
            return
        if len(opened) != 1 or closed != [len(tokens) - 1]:
            raise _Refused("the angle brackets do not enclose one address")
        if any(token.kind == "literal" for token in tokens[: opened[0]]):
            raise _Refused("a domain literal in a display name")
        self._found.append(_address(tokens[opened[0] + 1 : -1]))


def _is_phrase(tokens: list[_Token]) -> bool:
    words = _trim(tokens)
    return bool(words) and all(word.kind in ("atom", "quoted", "space") for word in words)


def _address(tokens: list[_Token]) -> Address:
    """addr-spec: one local part, "@", one domain; white space only around the "@"."""
    at = [n for n, token in enumerate(tokens) if token.kind == "special"]
    if len(at) != 1 or tokens[at[0]].text != b"@":
        raise _Refused("there is not exactly one @ in an address")
    local, domain = _trim(tokens[: at[0]]), _trim(tokens[at[0] + 1 :])
    if len(local) != 1 or local[0].kind not in ("atom", "quoted"):
        raise _Refused("the part before the @ is not one word")
    if len(domain) != 1 or domain[0].kind not in ("atom", "literal"):
        raise _Refused("the part behind the @ is not one word")
    try:
        name = local[0].text.decode("utf-8")
        if local[0].kind == "quoted":
            name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return _rooted(name + "@" + domain[0].text.decode("utf-8"))
    except (UnicodeDecodeError, AddressError) as error:
        raise _Refused(str(error)) from None


def _rooted(text: str) -> Address:
    """A domain with the final dot of the DNS is the one without (D22): readers show them alike."""
    return Address.parse(text.removesuffix("."))
