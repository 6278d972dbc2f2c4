"""Extension "regex": match type `:regex`, and the modifier `:quoteregex` of `set`.

RE2 carries it out: time grows with the length of the value, whatever the pattern (V2).  A
pattern is a POSIX extended regular expression; of several matches the longest counts.

Standard: draft-ietf-sieve-regex-01.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.variables import MODIFIED, modifier_tag
from mailstack.sieve.context import Context
from mailstack.sieve.control import LimitReached, SieveError
from mailstack.sieve.definition import COMPARATOR_GROUP, Extension
from mailstack.sieve.glob import MAX_CAPTURES
from mailstack.sieve.match import OCTET, Captures, Matching, MatchType, Want
from mailstack.sieve.syntax import CommandNode

#: Octets of memory one pattern may take; RE2 refuses those that need more.
_MAX_OCTETS = 1 << 20
#: Where its tables do not suffice, RE2 looks at each instruction for each character.
_WORK_PER_STEP = 512
_STEPS_PER_PATTERN = 10
_SURROGATE = re.compile("[\ud800-\udfff]")


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


_cached = lru_cache(maxsize=128)(_compile)


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
    return text.encode("utf-8", "replace").decode("utf-8") if _SURROGATE.search(text) else text


def _folds(comparator: str) -> bool:
    return comparator != OCTET.name


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    """Constant patterns must be regular expressions, and all of a script's not too large."""
    assert node.definition is not None
    comparator = node.get(COMPARATOR_GROUP)
    folds = comparator is None or not comparator.is_constant or _folds(comparator.text)
    sizes: dict[str, int] = vars(vctx).setdefault("regex_sizes", {})
    for item in node.constants(node.definition.positional[-1].name):
        if sum(sizes.values()) > vctx.limits.max_regex_size:
            return
        try:
            sizes[item.value] = _cached(item.value, folds=folds).programsize
        except SieveError as error:
            vctx.error(item.pos, error.message)
            return
        if sum(sizes.values()) > vctx.limits.max_regex_size:
            vctx.error(item.pos, "the regular expressions of the script are too large (only reported once)")


class _Patterns:
    """The patterns of one test; compiled when they are first needed, and that counts as steps."""

    def __init__(self, keys: Sequence[str], *, folds: bool) -> None:
        self._keys = keys
        self._folds = folds
        self._found: tuple[list[Any], list[str], int] | None = None

    def read(self, context: Context) -> tuple[list[Any], list[str], int]:
        """The patterns, what is wrong with others, and how large all are together.

        Raises:
            LimitReached: they are too large.
        """
        if self._found is None:
            # One assignment at the end: threads may race for it without harm.
            self._found = self._compile(context)
        return self._found

    def _compile(self, context: Context) -> tuple[list[Any], list[str], int]:
        patterns, wrong, size = [], [], 0
        for key in self._keys:
            context.charge(_STEPS_PER_PATTERN)
            try:
                pattern = _cached(key, folds=self._folds)
            except SieveError as error:
                wrong.append(error.message)
                continue
            patterns.append(pattern)
            size += pattern.programsize
            if size > context.limits.max_regex_size:
                raise LimitReached("the regular expressions of a test are too large")
        return patterns, wrong, size


def _prepare(keys: Sequence[str], want: Want) -> Matching:
    prepared = _Patterns(keys, folds=_folds(want.comparator.name))

    def matching(values: Iterable[str], context: Context) -> Captures:
        patterns, wrong, size = prepared.read(context)
        for message in wrong:
            # Only patterns put together from variables come here; they match nothing.
            context.complain(message)
        for value in values:
            context.charge(len(value) * size // _WORK_PER_STEP)
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
    match_types=[MatchType(":regex", _prepare, substring=True, validate=_validate)],
    tags={name: [modifier_tag("quoteregex")] for name in MODIFIED},
)
