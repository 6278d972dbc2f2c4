"""HTML as text, for searching and previews: no tree, one pass, any input.

Tags that a reader sees as a break become a line feed, others vanish, so that
`W<b>o</b>rd` is one word.  What no reader sees (scripts, styles, comments, the head) is
left out.  Not for showing HTML and not a sanitiser: the result is text.

Time is linear in the input: an end that was looked for and is not there ends the reading.
No I/O.
"""

from __future__ import annotations

import html
import re

#: Characters read when the caller names no bound.
MAX_CHARACTERS = 4 * 1024 * 1024
#: A ">" inside a quoted attribute value ends no tag; so many are looked past.
_MAX_QUOTED_ENDS = 4

_NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9]{0,15}")
_ALT = re.compile(r"\balt\s{0,8}=\s{0,8}(?:\"([^\"]{1,500})\"|'([^']{1,500})')", re.IGNORECASE)
_QUOTED = re.compile(r"=\s{0,8}(?:\"[^\"]*\"|'[^']*')")
_UNCLOSED = re.compile(r"=\s{0,8}[\"']")
_HIDDEN = frozenset({"style", "script", "head", "title", "noscript", "svg", "template", "math", "object"})
_INLINE = frozenset(
    {
        "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font",
        "i", "ins", "kbd", "mark", "nobr", "o", "q", "s", "samp", "small", "span", "strike", "strong", "sub",
        "sup", "time", "tt", "u", "var", "wbr",
    }
)  # fmt: skip


def to_text(source: str, *, enough: int = MAX_CHARACTERS, quotes: bool = True) -> str:
    """The text a person would read, entities decoded; never fails.

    Args:
        enough: stops after so many characters of text (white space between tags not counted).
        quotes: False: without quoted messages, as mail programs mark them.
    """
    if not quotes:
        source = _without_quotes(source)
    out: list[str] = []
    at = 0
    left = enough
    length = len(source)
    while left > 0:
        opened = source.find("<", at)
        if opened < 0:
            out.append(source[at : at + left])
            break
        if opened > at:
            piece = source[at:opened]
            if not piece.isspace():
                left -= len(piece)
            out.append(piece)
        at = _markup(source, opened, length, out)
        if at < 0:
            break
    return html.unescape("".join(out)).replace("\0", " ")


def _markup(source: str, opened: int, length: int, out: list[str]) -> int:
    """Reads what begins with "<"; gives where text goes on, -1: nowhere."""
    found = _NAME.match(source, opened + 1)
    if found is None:
        return _other(source, opened, out)
    tag = found[0].lower()
    name = tag.lstrip("/")
    if name not in _INLINE:
        out.append("\n")
    closed = _tag_end(source, found.end())
    if closed < 0:
        return -1
    if name in _HIDDEN and tag == name and source[closed - 1] != "/":
        return _hidden_end(source, name, closed + 1)
    if name == "img":
        alt = _ALT.search(source, found.end(), min(closed, found.end() + 2_000))
        if alt is not None:
            out.append(alt[1] or alt[2])
            out.append("\n")
    return closed + 1


def _other(source: str, opened: int, out: list[str]) -> int:
    """Comments, declarations, and a "<" that is nothing but itself."""
    following = source[opened + 1 : opened + 2]
    if source.startswith("<!--", opened):
        closed = source.find("-->", opened + 2)
        return closed + 3 if closed >= 0 else -1
    if following in ("!", "?", "/"):
        closed = source.find(">", opened)
        return closed + 1 if closed >= 0 else -1
    out.append("<")
    return opened + 1


def _tag_end(source: str, at: int) -> int:
    """Where a tag's ">" is; the first one when its quotes make no sense."""
    first = closed = source.find(">", at)
    if closed < 0:
        return -1
    for _ in range(_MAX_QUOTED_ENDS):
        inner = source[at:closed]
        if "=" not in inner or _UNCLOSED.search(_QUOTED.sub("", inner)) is None:
            return closed
        closed = source.find(">", closed + 1)
        if closed < 0:
            break
    return first


def _hidden_end(source: str, name: str, at: int) -> int:
    """Behind an element nobody reads; one that is not closed hides the rest."""
    found = _END_TAGS[name].search(source, at)
    return found.end() if found is not None else -1


_END_TAGS = {name: re.compile(f"</{name}[^>]*>", re.IGNORECASE) for name in _HIDDEN}

# What mail programs put around the message they answer to; it is the last of a message.
_QUOTE_BEGINS = re.compile(
    r"<div[^<>]{1,200}(?:gmail_quote|yahoo_quoted|moz-cite-prefix|divRplyFwdMsg|appendonsend)", re.IGNORECASE
)
_BLOCKQUOTE = re.compile(r"<(/?)blockquote\b", re.IGNORECASE)


def _without_quotes(source: str) -> str:
    begins = _QUOTE_BEGINS.search(source)
    if begins is not None:
        source = source[: begins.start()]
    kept: list[str] = []
    depth = at = 0
    for tag in _BLOCKQUOTE.finditer(source):
        if not depth:
            kept.append(source[at : tag.start()])
        depth = max(depth - 1, 0) if tag[1] else depth + 1
        at = tag.start()
    if not depth:
        kept.append(source[at:])
    return "".join(kept)
