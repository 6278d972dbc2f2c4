"""Rules as data: what a mail page offers, as values that can be checked, stored and read.

A rule looks at a message (conditions, all or one of them) and says what becomes of it
(actions).  Conditions and actions have a short form in words, the same for the command
line and for lists:

    from is @shop.example          subject contains invoice       header List-Id contains qmail
    size over 5M                   attachment ends .pdf           class is promotions
    move Lists/Python              forward me@example.org         mark-read

Numbers: section 5 of the limits (64 KiB of script for the free plan hold the largest set).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import msgspec

from mailstack.model.address import Address, AddressError
from mailstack.model.errors import PermanentFailure

Subject: TypeAlias = Literal[
    "from", "to", "cc", "recipient", "written-to", "subject", "header", "body", "size", "attachment", "class"
]
How: TypeAlias = Literal["is", "contains", "begins", "ends", "over", "under", "exists"]
Deed: TypeAlias = Literal["move", "copy", "mark-read", "flag", "label", "forward", "keep", "discard"]

#: Of one rule, and characters of one text.
MAX_CONDITIONS = 20
MAX_ACTIONS = 8
MAX_TEXT = 500
MAX_NAME = 100
#: Octets of a header field's name (RFC 5322 lines hold no more than 998 with its value).
MAX_HEADER_NAME = 76
#: Octets of a keyword, and of a folder's name (limits, section 6).
MAX_LABEL = 50
MAX_FOLDER_OCTETS = 255

_TEXT: tuple[How, ...] = ("contains", "is", "begins", "ends")
#: What may be said of each subject; the first is meant when only a value is given.
HOWS: dict[Subject, tuple[How, ...]] = {
    "from": _TEXT,
    "to": _TEXT,
    "cc": _TEXT,
    "recipient": _TEXT,
    "written-to": ("is",),
    "subject": _TEXT,
    "header": (*_TEXT, "exists"),
    "body": ("contains",),
    "size": ("over", "under"),
    "attachment": ("exists", *_TEXT),
    "class": ("is",),
}
#: Every deed by its word.
DEEDS: dict[str, Deed] = {deed: deed for deed in get_args(Deed)}
CLASSES = ("ham", "spam", "promotions", "social")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_HEADER_NAME = re.compile(r"[!-9;-~]+\Z")
_LABEL = re.compile(r"[A-Za-z0-9$_.&'+,/:;<=>?@^`|~!#-]+\Z")
#: Deeds that take the message away from where it would be kept.
_TAKES = frozenset({"move", "discard"})
_WITH_VALUE = frozenset({"move", "copy", "label", "forward"})


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a message must have, or with `negated` must not have.

    Attributes:
        header: name of the field, for the subject "header".
        value: a text; octets for "size", such as "5M"; "" for "exists".
    """

    subject: Subject
    how: How
    value: str = ""
    header: str = ""
    negated: bool = False

    def __str__(self) -> str:
        words = [self.subject, self.header, self.how, self.value]
        if self.how == "exists" and self.subject == "attachment":
            words = ["attachment"]
        return ("not " if self.negated else "") + " ".join(word for word in words if word)

    @property
    def octets(self) -> int:
        """The value as a size."""
        return size_octets(self.value)


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What becomes of the message.

    Attributes:
        value: a folder, a keyword or an address, as the deed wants it.
    """

    deed: Deed
    value: str = ""

    def __str__(self) -> str:
        return f"{self.deed} {self.value}".rstrip()


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which messages: all conditions hold, or with `any_of` one of them does."""

    conditions: tuple[Condition, ...]
    any_of: bool = False

    def __str__(self) -> str:
        return (" or " if self.any_of else " and ").join(str(one) for one in self.conditions)


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A rule without its name.

    Attributes:
        stop: no later rule runs, nor the owner's script.
        also_spam: runs for what goes to Spam too.
    """

    choice: Choice
    actions: tuple[Action, ...]
    stop: bool = False
    also_spam: bool = False


class Rule(msgspec.Struct, frozen=True):
    """A rule of an account.

    Attributes:
        number: its place in the list, from 1.
        template: name of the domain's template it was made from; "" for none.
    """

    number: int
    name: str
    plan: Plan
    enabled: bool = True
    template: str = ""


class Template(msgspec.Struct, frozen=True):
    """A condition a domain offers; the user picks the action.

    Attributes:
        visible: shown to users; else only to who administers the domain.
    """

    name: str
    choice: Choice
    visible: bool = True


def condition(text: str) -> Condition:
    """Reads the short form.

    Raises:
        PermanentFailure: it cannot be read; the sentence says what would.
    """
    word, rest = _split(text)
    negated = word == "not"
    if negated:
        word, rest = _split(rest)
    if word not in HOWS:
        subjects = ", ".join(HOWS)
        raise PermanentFailure(f"a condition begins with one of {subjects}, not {_shown(word)}")
    subject: Subject = word
    header = ""
    if subject == "header":
        header, rest = rest.partition(" ")[::2]
        rest = rest.strip()
    how, value = _how(subject, rest)
    found = Condition(subject, how, unicodedata.normalize("NFC", value), header.rstrip(":"), negated)
    check_condition(found)
    return found


def _how(subject: Subject, text: str) -> tuple[How, str]:
    word, value = _split(text)
    allowed = HOWS[subject]
    if word in allowed:
        how: How = word
        return how, value
    if not text and "exists" in allowed:
        return "exists", ""
    raise PermanentFailure(f"after '{subject}' comes one of {', '.join(allowed)}, not {_shown(word)}")


def action(text: str) -> Action:
    """Reads the short form.

    Raises:
        PermanentFailure: it cannot be read; the sentence says what would.
    """
    word, value = _split(text)
    if word not in DEEDS:
        raise PermanentFailure(f"an action begins with one of {', '.join(DEEDS)}, not {_shown(word)}")
    found = Action(DEEDS[word], unicodedata.normalize("NFC", value))
    check_action(found)
    return found


def check_choice(choice: Choice) -> None:
    """Refuses what no page would offer.

    Raises:
        PermanentFailure: with the sentence for people.
    """
    if not 0 < len(choice.conditions) <= MAX_CONDITIONS:
        raise PermanentFailure(f"a rule has 1 to {MAX_CONDITIONS} conditions")
    for one in choice.conditions:
        check_condition(one)


def check_plan(plan: Plan) -> None:
    """Refuses what cannot be carried out, or says two things at once.

    Raises:
        PermanentFailure: with the sentence for people.
    """
    check_choice(plan.choice)
    if not 0 < len(plan.actions) <= MAX_ACTIONS:
        raise PermanentFailure(f"a rule has 1 to {MAX_ACTIONS} actions")
    for one in plan.actions:
        check_action(one)
    deeds = [one.deed for one in plan.actions]
    homes = [deed for deed in deeds if deed in _TAKES or deed == "keep"]
    if len(homes) > 1:
        raise PermanentFailure(
            f"a rule says one of move, keep and discard, not {' and '.join(homes)};"
            " 'copy' files a second copy"
        )
    _check_spam(plan, deeds)


def _check_spam(plan: Plan, deeds: Sequence[Deed]) -> None:
    if plan.also_spam and "forward" in deeds:
        # T31: what we send on carries our good name.
        raise PermanentFailure("spam is not sent on: a rule that forwards cannot run for spam too")
    never = Condition("class", "is", "spam")
    if not plan.also_spam and not plan.choice.any_of and never in plan.choice.conditions:
        raise PermanentFailure("only rules marked 'also for spam' see spam: without it this one never runs")


def check_name(text: str) -> str:
    """The name of a rule or template, without spaces around it.

    Raises:
        PermanentFailure: empty, too long, a number, or with control characters.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not 0 < len(name) <= MAX_NAME:
        raise PermanentFailure(f"a rule's name has 1 to {MAX_NAME} characters")
    if not name.isprintable():
        raise PermanentFailure("a rule's name holds a control character")
    if name.isdecimal():
        raise PermanentFailure(f"{name!r} would be taken for the rule's number; a name has letters")
    return name


def check_condition(one: Condition) -> None:
    """As `check_choice`, for one condition."""
    if one.how not in HOWS[one.subject]:
        raise PermanentFailure(f"after '{one.subject}' comes one of {', '.join(HOWS[one.subject])}")
    if one.subject == "header":
        if len(one.header) > MAX_HEADER_NAME or not _HEADER_NAME.match(one.header):
            raise PermanentFailure(f"{_shown(one.header)} is not the name of a header field")
    elif one.header:
        raise PermanentFailure(f"a condition about '{one.subject}' names no header field")
    if one.how == "exists":
        if one.value:
            raise PermanentFailure(f"'exists' stands alone, without {_shown(one.value)}")
        return
    _check_text(one.value, "a condition")
    if one.subject == "size":
        size_octets(one.value)
    elif one.subject == "class" and one.value not in CLASSES:
        raise PermanentFailure(f"a class is one of {', '.join(CLASSES)}, not {_shown(one.value)}")


def check_action(one: Action) -> None:
    """As `check_plan`, for one action."""
    if one.deed not in _WITH_VALUE:
        if one.value:
            raise PermanentFailure(f"'{one.deed}' stands alone, without {_shown(one.value)}")
        return
    _check_text(one.value, f"'{one.deed}'")
    if one.deed == "label":
        if len(one.value) > MAX_LABEL or not _LABEL.match(one.value):
            raise PermanentFailure(
                f"{_shown(one.value)} is not a label: {MAX_LABEL} letters, digits and - _ $ ."
            )
    elif one.deed == "forward":
        try:
            Address.parse(one.value)
        except AddressError as error:
            raise PermanentFailure(
                f"{_shown(one.value)} cannot be an address: {error}; write it like ann@example.org"
            ) from error
    elif len(one.value.encode()) > MAX_FOLDER_OCTETS or not all(p.strip() for p in one.value.split("/")):
        raise PermanentFailure(f"{_shown(one.value)} is not the name of a folder")


def size_octets(text: str) -> int:
    """Octets of "5M", "300K", "1000".

    Raises:
        PermanentFailure: not a size.
    """
    plain = text.upper()
    number, unit = (plain[:-1], plain[-1:]) if plain[-1:] in _UNITS and plain else (plain, "")
    if not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise PermanentFailure(f"{_shown(text)} is not a size; write it like 300K or 5M")
    return int(number) * _UNITS[unit]


def _check_text(text: str, what: str) -> None:
    if not text.strip():
        raise PermanentFailure(f"{what} needs a value")
    if len(text) > MAX_TEXT:
        raise PermanentFailure(f"a value has at most {MAX_TEXT} characters")
    if not text.isprintable():
        raise PermanentFailure("a value holds a control character")


def _split(text: str) -> tuple[str, str]:
    word, _, rest = text.strip().partition(" ")
    return word.lower(), rest.strip()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
