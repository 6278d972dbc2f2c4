"""Extension "regex": match type `:regex`, and the modifier `:quoteregex` of `set`.

RE2 carries it out: time grows with the length of the value, whatever the pattern (V2).  A
pattern is a POSIX extended regular expression; of several matches the longest counts.

Standard: draft-ietf-sieve-regex-01.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from mailstack.sieve.commands.variables import modifier_tag
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import Extension
from mailstack.sieve.glob import MAX_CAPTURES
from mailstack.sieve.match import OCTET, Captures, Matching, MatchType, Want

#: Octets of memory one pattern may take; RE2 refuses those that need more.
_MAX_OCTETS = 1 << 20
_OCTETS_PER_STEP = 64


def _compile(pattern: str, *, folds: bool) -> Any:
    """Raises SieveError with the library's words when it is no regular expression."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.longest_match = True
    options.max_mem = _MAX_OCTETS
    options.case_sensitive = not folds
    options.dot_nl = True
    try:
        return re2.compile(_text(pattern), options)
    except re2.error as error:
        why = error.args[0] if error.args else "it cannot be read"
        words = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise SieveError(f"invalid regular expression '{pattern[:60]}' for regex match: {words}") from None


_cached = lru_cache(maxsize=256)(_compile)


def first_group(pattern: str, text: str) -> str | None:
    """What the first group of an operator's pattern finds in a text; all of it without groups.

    None when it finds nothing, or is no regular expression.
    """
    try:
        found = _cached(pattern, folds=False).search(_text(text))
    except SieveError:
        return None
    return None if found is None else str(found.group(1) if found.groups() else found.group(0))


def _text(text: str) -> str:
    """Octets that are no UTF-8 as replacement characters, one for one: RE2 reads UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8") if _has_surrogates(text) else text


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def _check(keys: Sequence[str], argument: str) -> str | None:
    for key in keys:
        try:
            _cached(key, folds=False)
        except SieveError as error:
            return error.message
    return None


def _prepare(keys: Sequence[str], want: Want) -> Matching:
    folds = want.comparator.name != OCTET.name
    patterns, wrong = [], []
    for key in keys:
        try:
            patterns.append(_cached(key, folds=folds))
        except SieveError as error:
            wrong.append(error.message)

    def matching(values: Iterable[str], context: Context) -> Captures:
        for message in wrong:
            # Only patterns put together from variables come here; they match nothing.
            context.complain(message)
        for value in values:
            context.charge(len(value) * len(patterns) // _OCTETS_PER_STEP)
            text = _text(value)
            for pattern in patterns:
                found = pattern.search(text)
                if found is not None:
                    return _captures(found) if want.captures else ()
        return None

    return matching


def _captures(found: Any) -> Sequence[str]:
    parts = [found.group(0), *found.groups()]
    return [part or "" for part in parts[: MAX_CAPTURES + 1]]


REGEX = Extension(
    "regex",
    match_types=[MatchType(":regex", _prepare, substring=True, check=_check)],
    tags={"set": [modifier_tag("quoteregex")]},
)
