"""Comparators, match types and address parts: tables that extensions add to.

Standards: RFC 5228 section 2.7, RFC 4790 (collations).
Imports: glob.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mailstack.sieve.glob import Glob, prepare, prepare_characters

if TYPE_CHECKING:
    from mailstack.sieve.context import Context
    from mailstack.sieve.definition import ArgType, Validate

#: Octets of a value compared for the price of one step.
OCTETS_PER_STEP = 4_096

#: Characters from which on, or else with others than ASCII, the fold of a value is kept for the
#: tests after this one.
_LONG = 256

#: Fills a text up in `Comparator.spread`; no text holds it.
FILLER = "\udbff"

#: What a match gives for numbered variables: the whole value, then each wildcard's part;
#: () for a match without such parts; None for no match.
Captures: TypeAlias = "Sequence[str] | None"


def ascii_lower(text: str) -> str:
    """Lower case for A to Z only; every other character stays, the length too."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")


def ascii_upper(text: str) -> str:
    """Upper case for a to z only; every other character stays."""
    if text.isascii():
        return text.upper()
    return text.encode("utf-8", "surrogateescape").upper().decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Comparator:
    """A collation.

    Attributes:
        name: e.g. "i;octet".
        fold: a text as it is compared: two are equal when their folds are; None for a text
            this comparator cannot read ("undefined", which never matches).
        substring: may be used with :contains and :matches (`fold` then never gives None, and
            keeps the length unless there is `spread`).
        sort_key: for order, as :value and :count need it; None: by octets of the fold.
        spread: only for comparators whose `fold` changes the length: the fold, and the text
            with fillers so that both are equally long.
    """

    name: str
    fold: Callable[[str], str | None]
    substring: bool = True
    sort_key: Callable[[str], object] | None = None
    spread: Callable[[str], tuple[str, str]] | None = None

    def folded(self, text: str) -> str:
        """As `fold`, for comparators that always give a text."""
        return self.fold(text) or ""

    def order(self, text: str) -> object:
        """What texts are ordered by."""
        if self.sort_key is not None:
            return self.sort_key(text)
        return self.folded(text).encode("utf-8", "surrogatepass")


OCTET = Comparator("i;octet", lambda text: text)
ASCII_CASEMAP = Comparator("i;ascii-casemap", ascii_lower)


class Want(NamedTuple):
    """How a test wants things compared.

    Attributes:
        argument: value of the match tag, such as "gt" of `:value "gt"`; "" for none.
        captures: the script reads numbered variables.
    """

    comparator: Comparator
    argument: str = ""
    captures: bool = False


#: Compares values with the keys it was prepared for.
Matching: TypeAlias = "Callable[[Iterable[str], Context], Captures]"
#: Prepares keys once; constant ones are prepared once per script.
Prepare: TypeAlias = "Callable[[Sequence[str], Want], Matching]"


@dataclass(frozen=True, slots=True)
class MatchType:
    """One match type.

    Attributes:
        tag: with colon, e.g. ":contains".
        prepare: makes the function that compares.
        value: type of the tag's argument; None for none.
        substring: wants a comparator that supports substrings.
        check: says what is wrong with a constant key or argument, for the compiler:
            check(keys, argument) -> message or None.
        validate: `validate(node, vctx)` where this match type is given, as that of a command.
    """

    tag: str
    prepare: Prepare
    value: ArgType | None = None
    substring: bool = False
    check: Callable[[Sequence[str], str], str | None] | None = None
    validate: Validate | None = None


class Matcher:
    """What one test in a script wants; shared by all runs.

    `prepared` remembers the last constant key list; writing it is one assignment, so
    that threads may race for it without harm.
    """

    __slots__ = ("_prepared", "match_type", "want")

    def __init__(self, match_type: MatchType, want: Want) -> None:
        self.match_type = match_type
        self.want = want
        self._prepared: tuple[Sequence[str], Matching] | None = None

    def match(self, context: Context, values: Iterable[str], keys: Sequence[str]) -> bool:
        """True when any value matches any key; sets numbered variables when it does.

        Raises:
            LimitReached: the run has cost too much.
        """
        prepared = self._prepared
        matching = prepared[1] if prepared is not None and prepared[0] is keys else self.matching(keys)
        captures = matching(values, context)
        if captures is None:
            return False
        if captures and self.want.captures:
            context.variables.set_match(captures)
        return True

    def matching(self, keys: Sequence[str]) -> Matching:
        """The comparing function for these keys."""
        prepared = self._prepared
        if prepared is not None and prepared[0] is keys:
            return prepared[1]
        matching = self.match_type.prepare(keys, self.want)
        if type(keys) is tuple:  # a list could be changed behind our back
            self._prepared = (keys, matching)
        return matching


class BoundMatcher:
    """`args.match`: a matcher in one run."""

    __slots__ = ("_context", "_matcher")

    def __init__(self, matcher: Matcher, context: Context) -> None:
        self._matcher = matcher
        self._context = context

    @property
    def comparator(self) -> Comparator:
        """The comparator the script asked for."""
        return self._matcher.want.comparator

    @property
    def match_type(self) -> str:
        """The tag, e.g. ":contains"."""
        return self._matcher.match_type.tag

    def match(self, values: Iterable[str], keys: Sequence[str]) -> bool:
        """As that of the matcher, in this run."""
        return self._matcher.match(self._context, values, keys)

    def match_without_variables(self, values: Iterable[str], keys: Sequence[str]) -> bool:
        """As `match`, but numbered variables stay what they were (RFC 5173 section 6).

        Raises:
            LimitReached: the run has cost too much.
        """
        return self._matcher.matching(keys)(values, self._context) is not None


def _prepare_is(keys: Sequence[str], want: Want) -> Matching:
    fold = want.comparator.fold
    wanted = frozenset(folded for key in keys if (folded := fold(key)) is not None)

    def matching(values: Iterable[str], context: Context) -> Captures:
        for value in values:
            if len(value) >= OCTETS_PER_STEP:
                context.charge(len(value) // OCTETS_PER_STEP)
            if fold(value) in wanted:
                return ()
        return None

    return matching


def _prepare_contains(keys: Sequence[str], want: Want) -> Matching:
    fold = want.comparator.folded
    wanted = tuple(dict.fromkeys(fold(key) for key in keys))
    many = len(wanted) >= 16

    def matching(values: Iterable[str], context: Context) -> Captures:
        for value in values:
            if len(value) >= OCTETS_PER_STEP or many:
                context.charge((len(value) // OCTETS_PER_STEP + 1) * len(wanted) // 16)
            short = len(value) < _LONG and value.isascii()
            folded = fold(value) if short else context.folded(value, want.comparator)
            for key in wanted:
                if key in folded:
                    return ()
        return None

    return matching


def _prepare_matches(keys: Sequence[str], want: Want) -> Matching:
    fold, spread = want.comparator.folded, want.comparator.spread
    prepared = prepare if spread is None else prepare_characters
    globs: tuple[Glob, ...] = tuple(prepared(key, fold) for key in keys)
    cost = sum(glob.cost for glob in globs)

    def matching(values: Iterable[str], context: Context) -> Captures:
        for value in values:
            context.charge((len(value) * cost >> 6) + len(globs) // 4)
            folded, text = (fold(value), value) if spread is None else spread(value)
            for glob in globs:
                found = glob.match(folded, text, captures=want.captures)
                if found is not None:
                    return found if spread is None else [part.replace(FILLER, "") for part in found]
        return None

    return matching


IS = MatchType(":is", _prepare_is)
CONTAINS = MatchType(":contains", _prepare_contains, substring=True)
MATCHES = MatchType(":matches", _prepare_matches, substring=True)


class SplitAddress(NamedTuple):
    """An address for comparing.

    Attributes:
        local, domain: None when it is no valid address.
        text: the whole, as far as there is one.
    """

    local: str | None
    domain: str | None
    text: str


@dataclass(frozen=True, slots=True)
class AddressPart:
    """Which part of an address is compared.

    Attributes:
        tag: with colon, e.g. ":domain".
        extract: gives the part; None: this address is not compared at all.
        configured: for parts that depend on settings: gives `extract` for those of a run.
    """

    tag: str
    extract: Callable[[SplitAddress], str | None]
    configured: Callable[[Mapping[str, object]], Callable[[SplitAddress], str | None]] | None = None

    def values(self, addresses: Iterable[SplitAddress]) -> list[str]:
        """The parts of those addresses that have one."""
        extract = self.extract
        return [part for address in addresses if (part := extract(address)) is not None]

    def under(self, settings: Mapping[str, object]) -> AddressPart:
        """This part as the settings of a run want it."""
        return self if self.configured is None else replace(self, extract=self.configured(settings))


# RFC 5228 section 2.7.4: an address that is not valid has no :localpart and no :domain.
LOCALPART = AddressPart(":localpart", lambda address: address.local)
DOMAIN = AddressPart(":domain", lambda address: address.domain)
ALL = AddressPart(":all", lambda address: address.text)
