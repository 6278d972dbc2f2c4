"""The features the classifier sees, in three views that are trained apart.

    header   how subject, names, identifiers and addresses are made and fit together ("h:")
    body     elements, links, punctuation, how lines begin ("b:")
    text     words of text ("word"), subject ("s:word") and author ("f:word"), and pairs of them

Left out on purpose: Received, list and mail-program fields, dates, time zones, countries of
senders, recipients and charsets: they mark a mailbox, a collection or a language, not spam.
The reader's own address is only compared with.

Limits, section 3: 2000 tokens; T45: at most 40 octets each.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

from mailstack.filters.document import Document
from mailstack.filters.spam import page_features, sender_features
from mailstack.filters.spam.model import Tokens
from mailstack.filters.symbols import without_symbols

#: Changes whenever the same message gives other tokens: indexes kept from before are void then.
VERSION = 3
MAX_TOKENS = 2_000
#: Of them, views and words leave room for each other.
MAX_HEADER_TOKENS = 300
MAX_BODY_TOKENS = 400
MAX_WORDS = 700
MAX_PAIRS = MAX_TOKENS - MAX_HEADER_TOKENS - MAX_BODY_TOKENS - MAX_WORDS
#: Words of the text that are looked at in pairs.
MAX_PAIRED = 200
MAX_TOKEN_OCTETS = 40
#: Characters of text that are looked at; 700 different words rarely need more.
MAX_CHARACTERS = 65_536
#: Characters that are made words at a time.
PIECE = 6_144

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:['\x01][a-z0-9]+)?")
#: The characters of such words in lower case, blanks for all others: splitting is three times
#: faster than searching.
_ASCII_LETTERS = str.maketrans(
    {chr(n): chr(n).lower() if chr(n).isalnum() else " " for n in range(128) if n not in (0x01, 0x27)}
)
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")


def words(text: str) -> list[str]:
    """Different useful words in folded form, in order; runs of CJK characters as pairs.

    Source: Unicode NFKC and case folding.
    """
    return list(_useful(sequence(text[:MAX_CHARACTERS])))


def _useful(found: Iterable[str]) -> dict[str, None]:
    """Without repeats, single letters, numbers and giants."""
    once = dict.fromkeys(found)
    most = MAX_TOKEN_OCTETS
    return dict.fromkeys(
        [
            w
            for w in once
            if 1 < len(w) <= most and not w.isdigit() and (w.isascii() or len(w.encode()) <= most)
        ]
    )


def sequence(text: str) -> list[str]:
    """The words of a text as they follow each other."""
    plain = without_symbols(text, keep="’").replace("\x01", " ").replace("’", "\x01")
    if plain.isascii():
        found = plain.translate(_ASCII_LETTERS).split()
        if "'" in plain or "\x01" in plain:
            found = [one for word in found for one in (_parts(word) if not word.isalnum() else (word,))]
        return found
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = _WORD.findall(folded)
    if _CJK.search(folded) is not None:
        return [piece for word in found for piece in _pieces(word)]
    return found


def _parts(word: str) -> list[str]:
    """What is in a word of ASCII with apostrophes; the octet 1 stands for a curly one."""
    return [one.replace("\x01", "’") for one in _ASCII_WORD.findall(word)]


def _pieces(word: str) -> Iterable[str]:
    if word.isascii() or _CJK.search(word) is None:
        return (word,)
    return (word[n : n + 2] for n in range(max(len(word) - 1, 1)))


def _pieces_of(text: str) -> Iterator[str]:
    """A text in pieces that end between words: of a long one the first have all words that count."""
    at = 0
    while len(text) - at > PIECE:
        end = max(text.rfind("\n", at, at + PIECE), text.rfind(" ", at, at + PIECE))
        if end <= at:
            break
        yield text[at:end]
        at = end
    yield text[at:]


def tokens(document: Document) -> Tokens:
    """All features of a message, without repeats, in a fixed order, at most `MAX_TOKENS`."""
    header = list(islice(dict.fromkeys(sender_features.find(document)), MAX_HEADER_TOKENS))
    body = list(islice(dict.fromkeys(page_features.find(document)), MAX_BODY_TOKENS))
    subject = sequence(document.subject)
    found = dict.fromkeys(["s:" + word for word in _useful(subject)])
    found.update(dict.fromkeys(["f:" + word for word in words(document.author_name)]))
    text: list[str] = []
    for piece in _pieces_of(document.text[:MAX_CHARACTERS]):
        more = sequence(piece)
        if len(text) < MAX_PAIRED:
            text += more
        found.update(_useful(more))
        if len(found) >= MAX_WORDS and len(text) >= MAX_PAIRED:
            break
    pairs = [f"s:{one} {other}" for one, other in pairwise(["^", *subject, "$"])]
    pairs += map(" ".join, pairwise(text[:MAX_PAIRED]))
    return Tokens(header, body, list(islice(found, MAX_WORDS)), list(islice(dict.fromkeys(pairs), MAX_PAIRS)))
