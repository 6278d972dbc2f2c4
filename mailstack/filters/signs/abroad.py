"""Mail in the language of some countries from another country, as from sites and mailboxes broken into.

English and the domains of no country say nothing, nor do countries whose companies sell to each other.

No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Final

#: Small words that are written on every page of a language, folded.
_WORDS: Final = {
    "de": "und nicht ihre ihr wir bitte wurde werden fur auf ist eine einen oder durch bei uns zum zur",
    "fr": "vous votre vos nous est pour dans avec cette sont afin veuillez bonjour ete aux les des une sur",
    "es": "usted sus nuestro esta una para con los las del puede hola gracias este como por que desde hasta",
    "it": "della del gentile per che con non sono suo sua nostro stato puo questo gli nel delle alla dei",
    "pt": "voce nao sua seu uma para com dos das foi ate pelo nosso prezado pela mais por voces ao",
    "nl": "uw het een niet voor van wij met naar zijn wordt deze bij dat geen je wij om",
    "pl": "nie jest sie prosimy aby oraz przez panstwa zostanie dla lub jak tego moze przed zostala zostal",
    "cs": "neni jste vas vase prosim byl aby nebo pokud jsme pro bude vasi byla ktery jeho tento",
    "hu": "nem egy hogy kerjuk meg vagy ezt es onnek kell az tisztelt kerem",
    "ro": "dumneavoastra este pentru sau din fost acest prin sunt care dvs va rugam cand fi",
    "tr": "icin bir olarak lutfen sizin bu ile veya degil tarafindan olan gibi kadar merhaba sayin",
    "sv": "och att inte ar med eller som oss ditt din for har fran till kommer",
    "da": "og ikke er med eller som dit din for har fra til kommer blev af",
    "no": "og ikke er med eller som ditt din for har fra til kommer ble av",
    "fi": "on ja etta tai ei ole sinun olet voit ovat mutta kun jos hei",
}
#: Domains of the countries where it is at home, and of their neighbours.
_HOMES: Final = {
    "de": "de at ch li lu be it nl dk pl cz",
    "fr": "fr be ch lu ca mc ma tn dz sn ci cm re ht mg",
    "es": "es mx ar cl pe ve uy ec bo py cr pa gt sv hn ni do pr cu ad",
    "it": "it ch va mt",
    "pt": "pt br ao mz cv",
    "nl": "nl be sr cw aw de",
    "pl": "pl de",
    "cs": "cz sk",
    "hu": "hu ro sk rs at",
    "ro": "ro md",
    "tr": "tr cy de",
    "sv": "se fi ax no dk",
    "da": "dk fo no se",
    "no": "no dk se",
    "fi": "fi se ee",
    "ja": "jp",
    "ko": "kr",
    "he": "il",
    "el": "gr cy",
    "ru": "ru by kz ua kg uz am ge az ee lv lt md",
}
#: Countries whose names are sold to everybody, and the union.
_SOLD: Final = """
ac ag ai am bz cc cf co eu fm ga gd gg gl gq gs im io is la li ly me ml ms mu nu pw sc sh st su tk to tv uk
us vc ws
"""
_EVERYBODYS: Final = frozenset(_SOLD.split())
#: Characters of an account's number by country (ISO 13616), and what looks like one.
_LENGTHS: Final = """
no15 be16 dk18 fi18 nl18 at20 ba20 ee20 lt20 lu20 ch21 hr21 li21 lv21 bg22 de22 gb22 ge22 ie22 me22
rs22 ae23 gi23 il23 ad24 cz24 es24 md24 ro24 sa24 se24 sk24 tn24 pt25 is26 tr26 fr27 gr27 it27 mc27
sm27 al28 az28 cy28 hu28 lb28 pl28 ua29 mt31
"""
_ACCOUNTS: Final = {one[:2]: int(one[2:]) for one in _LENGTHS.split()}
_ACCOUNT: Final = re.compile(r"\b[A-Z]{2}\d\d(?: ?[A-Z0-9]){11,30}")
#: How each begins once capitals are "A" and what may be digits "0": most texts need no search then.
_BEGINS: Final = b"AA00"
_SHAPES: Final = bytes.maketrans(b"BCDEFGHIJKLMNOPQRSTUVWXYZ123456789?", b"A" * 25 + b"0" * 10)
#: Languages with letters of their own.
_LETTERS: Final = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("he", re.compile("[\u05d0-\u05ea]")),
    ("el", re.compile("[\u0391-\u03c9]")),
    ("ru", re.compile("[\u0410-\u044f]")),
)
#: So many of its letters, or of its small words, are no quotation.
_MIN_LETTERS, _MIN_WORDS = 20, 4
#: Languages that share most small words: whichever it is, all of them are at home.
_ALIKE: Final = frozenset({"sv", "da", "no"})
_BY_WORD: Final[dict[str, list[str]]] = {}
for _lang, _listed in _WORDS.items():
    for _word in dict.fromkeys(_listed.split()):
        _BY_WORD.setdefault(_word, []).append(_lang)
_AT_HOME: Final = {lang: frozenset(listed.split()) for lang, listed in _HOMES.items()}


def country(host: str) -> str:
    """The country a host belongs to; "" for none."""
    tail = host.rpartition(".")[2]
    return tail if len(tail) == 2 and tail.isalpha() and tail not in _EVERYBODYS else ""


def country_of_account(text: str) -> str:
    """The country of the first bank account a text names; "" for none."""
    shapes = text.encode("ascii", "replace").translate(_SHAPES)  # "?": digits of other scripts
    found = _ACCOUNT.search(text) if _BEGINS in shapes else None
    if found is None:
        return ""
    number = found[0].replace(" ", "")
    at = number[:2].lower()
    length = _ACCOUNTS.get(at, 0)
    if len(number) < length or sum(map(str.isdigit, number[:length])) * 2 <= length:
        return ""
    return at


def homes(text: str, words: Set[str]) -> frozenset[str]:
    """The countries a text is at home in; none when its language is that of many, or not known.

    Args:
        words: its folded words.
    """
    if not text.isascii():
        for lang, letters in _LETTERS:
            if len(letters.findall(text)) >= _MIN_LETTERS:
                return _AT_HOME[lang]
    counts: dict[str, int] = {}
    for word in words & _BY_WORD.keys():
        for lang in _BY_WORD[word]:
            counts[lang] = counts.get(lang, 0) + 1
    most = max(counts.values(), default=0)
    if most < _MIN_WORDS:
        return frozenset()
    first = frozenset(lang for lang, count in counts.items() if count == most)
    if len(first) > 1 and not first <= _ALIKE:
        return frozenset()
    return frozenset().union(*(_AT_HOME[lang] for lang in first))
