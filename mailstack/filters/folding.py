"""Letters that are not what they look like, made what they look like.

Two strengths.  `undisguise` undoes what writing in good faith never needs: invisible characters
inside words, letters of the mathematical alphabets, words mixed from look-alike letters of
several scripts.  `skeleton` makes everything that may look alike the same, so that names can be
compared with each other (never shown).

Both are for the machine: Russian stays Russian, and Persian keeps its joiners between words.

Standards: Unicode TR39 (confusables, mixed scripts), TR15 (NFKC).  No I/O.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from mailstack.filters.lookalikes import LOOKALIKES

#: Characters of a text that are looked at; the rest stays as it is.
MAX_CHARACTERS = 65_536
#: Disguised words that are remembered.
MAX_WORDS = 20
_MAX_WORD = 64

_ZERO_WIDTH = "\u200b\u200c\u200d\u2060-\u2064\ufeff\u180e\u034f\u115f\u1160\u3164\uffa0\u17b4\u17b5"
_BIDI = "\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c"
_SELECTORS = "\ufe00-\ufe0f\U000e0000-\U000e01ef"
_SOFT_HYPHEN = "\u00ad"
_UNSEEN = re.compile(f"[{_ZERO_WIDTH}{_BIDI}{_SELECTORS}{_SOFT_HYPHEN}]+")
#: Where words are cut in two by something no reader sees; joiners belong to other scripts.
_CUT_WORD = re.compile(f"(?<=[A-Za-z\u00c0-\u04ff])[{_ZERO_WIDTH}]+(?=[A-Za-z\u00c0-\u04ff])")
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
#: Letters in fancy dress: mathematical, enclosed, full-width.
_STYLED = re.compile("[\U0001d400-\U0001d7ff\u24b6-\u24e9\U0001f110-\U0001f189\uff21-\uff3a\uff41-\uff5a]+")
_WIDE = re.compile("[\uff21-\uff3a\uff41-\uff5a]")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")

# The cheap tests before the searches: single characters and octets are found ten times as fast.
_UNSEEN_SIGNS = tuple(
    map(chr, (0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, *range(0x200B, 0x2010),
              *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0x3164, 0xFE0F, 0xFEFF, 0xFFA0))
)  # fmt: skip
_STYLED_SIGNS = ((b"\xf0", b"\xf0\x9d"), (b"\xf0", b"\xf0\x9f\x84"), (b"\xf0", b"\xf0\x9f\x85"),
                 (b"\xf0", b"\xf0\x9f\x86"), (b"\xe2", b"\xe2\x92"), (b"\xe2", b"\xe2\x93"),
                 (b"\xef", b"\xef\xbc"), (b"\xef", b"\xef\xbd"))  # fmt: skip

_TO_LATIN = {ord(other): latin for latin, others in LOOKALIKES.items() for other in others}
_LATIN = "A-Za-z\u00c0-\u024f\u1e00-\u1eff"
#: Those that nobody tells apart, for words that hold nothing else.
_ALL_LOOKS = re.compile(r"\b[асеорхуіјѕһӏԁԛԝАВЕКМНОРСТХУІЅЈορνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ]{3,}\b")
_WORD = re.compile(r"[^\W_]+")
_LATIN_WORD = re.compile(r"\b[A-Za-z]{2}")
_IS_LATIN = re.compile(f"[{_LATIN}]")
_IS_FOREIGN = re.compile("[\u0370-\u1dff\u1f00-\u1fff\u2c80-\u2dff\ua4d0-\uabff]")
_IS_CYRILLIC = re.compile("[\u0400-\u052f]+\\Z")
#: Letters that no Latin letter looks like: their text is written in that script in earnest.
_EARNEST = re.compile(
    "["
    + "".join(
        chr(n)
        for n in (*range(0x0370, 0x0600), *range(0x10A0, 0x1400))
        if chr(n).isalpha() and n not in _TO_LATIN
    )
    + "]"
)
# Cyrillic for Latin letters inside Russian words, the other way round.
_TO_CYRILLIC = str.maketrans("aAcCeEoOpPxXyYBHKMTk", "аАсСеЕоОрРхХуУВНКМТк")

# What readers take for each other once case is gone.
_SAME = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "!": "l", "3": "e", "4": "a", "5": "s",
                       "$": "s", "@": "a", "8": "b", "€": "e", "£": "l"})  # fmt: skip
_SAME_PAIRS = (("rn", "m"), ("vv", "w"), ("nn", "m"), ("cl", "d"))


@dataclass(slots=True)
class Disguise:
    """How letters were disguised in subject, author name and seen text, before it was undone.

    Attributes:
        invisible: words cut by zero-width characters.
        mixed_words: words of letters of several scripts that look alike (`pаypal`), or all of
            letters of another script than the text around.
        styled: runs of letters from the mathematical, enclosed or full-width alphabets.
        words: the first few such words as they read, lower case.
    """

    invisible: int = 0
    mixed_words: int = 0
    styled: int = 0
    words: list[str] = field(default_factory=list)

    def note(self, word: str) -> None:
        """Remembers a word as it reads."""
        word = word[:_MAX_WORD].lower()
        if len(self.words) < MAX_WORDS and word not in self.words:
            self.words.append(word)


def undisguise(text: str, found: Disguise | None = None) -> str:
    """The text as it reads: nothing unseen in it, no letters that play others.

    Args:
        found: what was undone is counted here.
    """
    if text.isascii():
        return text
    found = Disguise() if found is None else found
    head, rest = text[:MAX_CHARACTERS], text[MAX_CHARACTERS:]
    if any(sign in head for sign in _UNSEEN_SIGNS):
        head = _without_unseen(head, found)
    octets = head.encode("utf-8", "surrogatepass")
    if any(lead in octets and sign in octets for lead, sign in _STYLED_SIGNS):
        head = _plain(head, found)
    if _IS_FOREIGN.search(head) is not None:
        head = _one_script(head, found)
    return head + rest


def _without_unseen(text: str, found: Disguise) -> str:
    found.invisible += len(_CUT_WORD.findall(text))
    for cut in _CUT_WORD.finditer(text):
        if len(found.words) >= MAX_WORDS:
            break
        near = _UNSEEN.sub("", text[max(cut.start() - _MAX_WORD, 0) : cut.end() + _MAX_WORD])
        at = len(_UNSEEN.sub("", text[max(cut.start() - _MAX_WORD, 0) : cut.start()]))
        word = next((w[0] for w in _WORD.finditer(near) if w.start() < at <= w.end()), "")
        if word:
            found.note(word)
    return _UNSEEN.sub("", text)


def _plain(text: str, found: Disguise) -> str:
    is_asian = _CJK.search(text) is not None

    def write(run: re.Match[str]) -> str:
        plain = unicodedata.normalize("NFKC", run[0])
        if not (is_asian and _WIDE.match(run[0])):
            found.styled += 1
            found.note(plain)
        return plain

    return _STYLED.sub(write, text)


def _one_script(text: str, found: Disguise) -> str:
    def note(old: str, new: str) -> str:
        if new != old:
            found.mixed_words += 1
            found.note(new)
        return new

    if any(is_mixed(word) for word in set(text.split())):
        text = _WORD.sub(lambda word: note(word[0], _unmixed(word[0])), text)
    # A word of look-alikes alone is meant in earnest where all is written in its script.
    if _EARNEST.search(text) is None and _LATIN_WORD.search(text) is not None:
        text = _ALL_LOOKS.sub(lambda word: note(word[0], word[0].translate(_TO_LATIN)), text)
    return text


def _unmixed(word: str) -> str:
    """One word in one script: the Latin one if it can be, else that of its other letters."""
    if not is_mixed(word):
        return word
    latin = word.translate(_TO_LATIN)
    if _IS_FOREIGN.search(latin) is None:
        return latin
    other = word.translate(_TO_CYRILLIC)
    return other if _IS_CYRILLIC.match(other) is not None else word


def skeleton(text: str) -> str:
    """A form that is the same for names that look alike: `PayPaI`, `pаypal`, `paypa1`.

    Lower-case ASCII as far as possible, without accents; only to be compared with other
    skeletons.

    Source: Unicode TR39 section 4, and what people take for each other in addresses.
    """
    text = text[:MAX_CHARACTERS]
    if not text.isascii():
        text = _UNSEEN.sub("", unicodedata.normalize("NFKD", text)).translate(_TO_LATIN)
        text = "".join(c for c in text if not unicodedata.combining(c))
    text = text.lower().translate(_SAME)
    for pair, letter in _SAME_PAIRS:
        text = text.replace(pair, letter)
    return text


def is_mixed(word: str) -> bool:
    """A word whose letters come from Latin and from a script that looks like it."""
    return not word.isascii() and _IS_LATIN.search(word) is not None and _IS_FOREIGN.search(word) is not None


def without_unseen(text: str) -> str:
    """The text without zero-width characters, direction marks, soft hyphens and selectors."""
    return text if text.isascii() else _UNSEEN.sub("", text)


def turns_round(text: str) -> bool:
    """It holds characters that turn the reading direction over."""
    return not text.isascii() and _TURNS.search(text) is not None
