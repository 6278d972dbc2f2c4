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

from collections.abc import Iterable, Sequence

from mailstack.filters.document import Document
from mailstack.filters.spam import page_features, sender_features
from mailstack.filters.spam.hashing import MAX_PAIRED, MAX_WORDS, Tokens
from mailstack.filters.words import is_cjk

#: Changes whenever the same message gives other tokens: indexes kept from before are void then.
VERSION = 4


def tokens(document: Document) -> Tokens:
    """All features of a message, in a fixed order."""
    words = document.words
    split_up = _as_it_is if document.text.isascii() else pieces
    return Tokens(
        sender_features.find(document),
        page_features.find(document),
        pieces(words.subject.sequence),
        pieces(words.name.sequence),
        _text(split_up(words.head.sequence), map(split_up, words.more())),
    )


def pieces(words: Sequence[str]) -> Sequence[str]:
    """Words, and pairs of characters for runs of scripts without blanks."""
    if not is_cjk("".join(words)):
        return words
    return [piece for word in words for piece in _pairs(word)]


def _as_it_is(words: Sequence[str]) -> Sequence[str]:
    return words


def _pairs(word: str) -> Iterable[str]:
    if not is_cjk(word):  # a run of it is a word of its own
        return (word,)
    return (word[n : n + 2] for n in range(max(len(word) - 1, 1)))


def _text(head: Sequence[str], more: Iterable[Sequence[str]]) -> Sequence[str]:
    """Words until there are as many as count; beyond those that are looked at in pairs only new ones."""
    text, known = head, 0
    for piece in more:
        text = [*text, *piece] if len(text) < MAX_PAIRED else [*text, *dict.fromkeys(piece)]
        known = sum(len(word) > 1 and not word.isdigit() for word in dict.fromkeys(text))
        if known >= MAX_WORDS and len(text) >= MAX_PAIRED:
            break
    return text
