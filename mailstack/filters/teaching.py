"""What follows from putting mail into folders and marking it: pure decisions.

A message is learned once, however often it is moved; back where the filter had put it, it
is forgotten again, so that a slip of the hand leaves no trace.  Trash, Sent and Drafts say
nothing, nor does what vanishes.

Source: product page, section 2, "Feedback"; T45, T46.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mailstack.model.directory import FilterSettings
from mailstack.model.lessons import Evidence, Label, Lesson, Place
from mailstack.model.roles import ARCHIVE, DRAFTS, JUNK, SENT, TRASH, role_of_name

#: What a person surely did.
FULL = 1.0
#: The work of a program, perhaps; and mail taken along as a sample.
WEAK = 0.2
#: Mail to a trap: whoever knows its address can send there what others shall not get (T45).
TRAPPED = 0.1

#: `placed`: put into a folder; `automatic`: the same, within seconds and unseen; `uploaded`: stored by a
#: program that may have had it from anywhere; the others are keywords set and taken away.
What: TypeAlias = Literal[
    "placed", "automatic", "uploaded", "junk", "phishing", "notjunk", "unjunk", "unnotjunk"
]
List: TypeAlias = Literal["", "block", "allow"]

#: Keywords by the names mail programs give them, lower case: RFC 5788, Thunderbird, Apple Mail.
MARKS: dict[str, Literal["junk", "phishing", "notjunk"]] = {
    "$junk": "junk",
    "junk": "junk",
    "$phishing": "phishing",
    "$notjunk": "notjunk",
    "nonjunk": "notjunk",
    "notjunk": "notjunk",
}
_MUTE = (TRASH, SENT, DRAFTS)
_CLASSES = {"Promotions": "promotions", "SocialNetworks": "social"}


@dataclass(frozen=True, slots=True)
class Deed:
    """Something somebody did with a message.

    Attributes:
        source: class of the folder it came from; of a mark: of the folder it lies in.
        target: class of the folder it was put into; of a mark: the same.
    """

    what: What
    source: Place
    target: Place


@dataclass(frozen=True, slots=True)
class Opinion:
    """What is thought of a message; as in `Lesson`."""

    label: Label
    origin: Place
    weight: float
    evidence: Evidence


def place_of(name: str, use: str, filters: FilterSettings) -> Place:
    """The class a folder stands for, by its role, the account's settings, and names in any language.

    Args:
        name: IMAP name in Unicode with "/".
        use: RFC 6154 attribute; "" for none.
    """
    found = _by_name(name, use, filters)
    parent = name.rpartition("/")[0]
    while parent and found == "ham":
        above = _by_name(parent, "", filters)
        if above != "ham" and parent.upper() != "INBOX":
            return above
        parent = parent.rpartition("/")[0]
    return found


def _by_name(name: str, use: str, filters: FilterSettings) -> Place:
    if use == JUNK or name == filters.spam_folder:
        return "spam"
    if use in _MUTE:
        return ""
    if name == filters.promotions_folder:
        return "promotions"
    if name == filters.social_folder:
        return "social"
    if use == ARCHIVE:
        return "ham"
    role = role_of_name(name)
    if role == JUNK:
        return "spam"
    if role in _MUTE:
        return ""
    return _CLASSES.get(name, "ham")  # type: ignore[return-value]


def marks_of(keywords: Iterable[str]) -> set[Literal["junk", "phishing", "notjunk"]]:
    """What keywords say."""
    return {MARKS[word.lower()] for word in keywords if word.lower() in MARKS}


def think(before: Opinion | None, deeds: Sequence[Deed], *, filed: Place) -> Opinion | None:
    """What is thought of a message after some deeds, oldest first; None: nothing.

    Args:
        filed: the class the filter filed it as when it came; "" when it never saw it.
    """
    opinion = before
    for deed in deeds:
        if deed.what in ("placed", "automatic", "uploaded"):
            opinion = _placed(opinion, deed, filed)
        else:
            opinion = _marked(opinion, deed, filed)
    return opinion


def _placed(opinion: Opinion | None, deed: Deed, filed: Place) -> Opinion | None:
    target = deed.target
    known = deed.source or filed
    origin = opinion.origin if opinion is not None else known
    thought = opinion.label if opinion is not None else known
    if not target or target == deed.source:
        return opinion
    if target == thought:
        if opinion is None or opinion.weight >= FULL or deed.what != "placed":
            return opinion
        return Opinion(target, origin, FULL, "place")
    if target == origin or (opinion is None and target == filed):
        return None
    if target == "ham" and (not thought or (opinion is None and not deed.source and deed.what != "uploaded")):
        return opinion  # back from the Trash, or brought from elsewhere
    return Opinion(target, origin, _weight(deed, target), "place")


def _weight(deed: Deed, target: Label) -> float:
    """Programs move spam by themselves, and migrations bring whole folders of it.

    Our verdict in what was uploaded may be anybody's, and makes nothing surer.
    """
    is_weak = target == "spam" and deed.what == "automatic"
    return WEAK if is_weak or deed.what == "uploaded" else FULL


def _marked(opinion: Opinion | None, deed: Deed, filed: Place) -> Opinion | None:
    place, what = deed.target, deed.what
    thought = opinion.label if opinion is not None else place
    if what in ("unjunk", "unnotjunk"):
        label = "spam" if what == "unjunk" else "ham"
        by_mark = opinion is not None and opinion.evidence == "mark" and opinion.label == label
        return None if by_mark else opinion
    if not place:
        return opinion
    if what == "notjunk":
        # Nothing was learned of what it does in Spam: the filter thinks so too.
        agrees = opinion is None and place == "spam" and filed not in ("", "spam")
        return None if agrees else _not_junk(opinion, place)
    weight = FULL if what == "phishing" else WEAK
    if thought == "spam":
        if opinion is None or opinion.weight >= weight:
            return opinion
        return Opinion("spam", opinion.origin, weight, opinion.evidence)
    if opinion is not None and opinion.origin == "spam":
        return None
    return Opinion("spam", opinion.origin if opinion is not None else place, weight, "mark")


def _not_junk(opinion: Opinion | None, place: Place) -> Opinion | None:
    if opinion is None:
        # Elsewhere programs set it on whatever they do not take for spam.
        return Opinion("ham", "spam", FULL, "mark") if place == "spam" else None
    if opinion.label != "spam":
        return opinion
    return Opinion("ham", "spam", FULL, "mark") if opinion.origin in ("", "spam") else None


def list_for(opinion: Opinion | None) -> List:
    """The list an opinion puts an authenticated author in; weak evidence changes none."""
    if opinion is None or opinion.weight < FULL or opinion.evidence == "sample":
        return ""
    if opinion.label == "spam":
        return "block"
    return "allow" if opinion.label == "ham" and opinion.origin in ("", "spam") else ""


def opinion_of(lesson: Lesson | None) -> Opinion | None:
    """What a lesson holds; samples are nobody's opinion."""
    if lesson is None or lesson.evidence == "sample":
        return None
    return Opinion(lesson.label, lesson.origin, lesson.weight, lesson.evidence)


def within(lessons: Sequence[Lesson], *, most: int, most_weak: int, features: int) -> list[Lesson]:
    """At most so many, oldest first: weak ones go before those of a person, the oldest first."""
    kept: set[bytes] = set()
    weak = room = 0
    sure_first = sorted(reversed(lessons), key=lambda one: one.weight < FULL)
    for one in sure_first:
        is_weak = one.weight < FULL
        room += len(one.indexes) // 4
        if len(kept) >= most or room > features:
            break
        if not is_weak or weak < most_weak:
            kept.add(one.id)
            weak += is_weak
    return [one for one in lessons if one.id in kept]
