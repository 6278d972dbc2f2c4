"""Promotions and social notifications among the mail that is wanted.

Points of rules (evidence.py) and what the shared prior learned about both classes.
Never for replies, discussion lists, one-time codes, invoices and orders, calendar
invitations, bounces and automatic answers (product page, section 2.4; T46).

Standards: RFC 2369, RFC 2919, RFC 8058 (list fields), RFC 3834 (Auto-Submitted).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mailstack.filters.classes import evidence, services, words
from mailstack.filters.classes.evidence import Sight
from mailstack.filters.document import Document
from mailstack.filters.spam.model import NEUTRAL_CLASS, Model
from mailstack.model.verdict import Authentication, Class, Reason

#: Points from which mail is filed as promotion or social.
THRESHOLD = 2.5
#: What the prior may add to the points of a class; and what it may take away: less, because it takes
#: long mail of a kind it has not seen for letters.
MAX_LEARNED, MIN_LEARNED = 1.5, -0.5
#: Its share of the prior's logit.
_LEARNED_SHARE = 0.5
#: Smaller shares are no reason.
_LEAST = 0.05
#: Characters of text in which a code stands.
_CODE_TEXT = 2_000
#: Written by list managers where people talk, not by mailing tools.
_LIST_FIELDS = frozenset(
    {
        b"mailing-list",
        b"x-mailing-list",
        b"x-mailman-version",
        b"x-beenthere",
        b"list-subscribe",
        b"x-google-group-id",
    }
)
#: Written by automatic answers older than RFC 3834.
_ANSWER_FIELDS = frozenset({b"x-autoreply", b"x-autorespond", b"x-autoresponder"})
_REPLY = "it is a reply"


@dataclass(frozen=True, slots=True)
class Classified:
    """The class of mail that is not spam, and why.

    Attributes:
        reasons: named after the class they speak for ("promotions.offer_text"), so that they are told
            from those of the spam score.
        logits: of the classes by name, from 0 on it is filed; those nothing speaks for are missing.
    """

    klass: Class
    reasons: tuple[Reason, ...] = ()
    logits: Mapping[str, float] = field(default_factory=dict)


def classify(
    document: Document,
    found: Authentication,
    *,
    known: services.Services | None = None,
    model: Model | None = None,
    indexes: Callable[[], Sequence[int]] = tuple,
) -> Classified:
    """Says whether wanted mail is a promotion or a social notification.

    Args:
        known: social services; None: those that come with mailstack.
        model: the prior; None: rules alone.
        indexes: gives the message's features for it; asked only for mail to many.
    """
    sight = Sight(document)
    is_to_many = sight.is_to_many
    known = known or services.shipped()
    # What most lists of people need not be read for is asked first.
    why_not = _shared_exemption(sight, found, known) if is_to_many else ""
    social = () if why_not else tuple(evidence.social(sight, found, known, is_bulk=is_to_many))
    if not is_to_many:
        if not social:
            return Classified("ham")  # nine of ten messages
        why_not = _shared_exemption(sight, found, known)
    if why_not:
        return Classified("ham", (Reason("personal", 0.0, why_not),))
    points: dict[str, tuple[Reason, ...]] = {}
    if social:
        points["social"] = (*social, *_learned("social", model, indexes, most=MAX_LEARNED))
    if is_to_many:
        points["promotions"] = tuple(_promotion(sight, found, known, model, indexes))
    logits = {name: sum(reason.weight for reason in found_) - THRESHOLD for name, found_ in points.items()}
    klass = best(logits)
    if klass == "ham":
        return Classified("ham", logits=logits)
    why_not = _spoken_exemption(sight) or _doubt(sight)
    if why_not:
        return Classified("ham", (Reason("personal", 0.0, why_not),))
    reasons = tuple(Reason(f"{klass}.{one.name}", one.weight, one.why) for one in points[klass])
    return Classified(klass, reasons, logits)


def best(logits: Mapping[str, float]) -> Class:
    """Social goes first: its notices come from mailing tools too."""
    if logits.get("social", -1.0) >= 0:
        return "social"
    return "promotions" if logits.get("promotions", -1.0) >= 0 else "ham"


def _promotion(
    sight: Sight,
    found: Authentication,
    known: services.Services,
    model: Model | None,
    indexes: Callable[[], Sequence[int]],
) -> Iterator[Reason]:
    rules = list(evidence.promotion(sight, found, known))
    yield from rules
    is_silent = any(one.name == evidence.SILENT for one in rules)
    yield from _learned("promotions", model, indexes, most=0.0 if is_silent else MAX_LEARNED)


def _learned(
    name: str, model: Model | None, indexes: Callable[[], Sequence[int]], *, most: float
) -> tuple[Reason, ...]:
    if model is None:
        return ()
    share = _LEARNED_SHARE * (model.head_logit(name, indexes()) - NEUTRAL_CLASS)
    weight = round(max(MIN_LEARNED, min(most, share)), 4)
    return (Reason("learned", weight, "its words and links"),) if abs(weight) >= _LEAST else ()


def exemption(document: Document) -> str:
    """Why a message is never a promotion or social, whatever its reader taught; "" when it may be."""
    sight = Sight(document)
    return _plain_exemption(sight) or _spoken_exemption(sight)


def _doubt(sight: Sight) -> str:
    """Why a message stays where it is until its reader says otherwise; "" when nothing speaks for that."""
    if sight.is_offer or words.NEWSLETTER in sight.whole_subject_says:
        return ""
    if sight.speaks_of_order:
        return "it seems to be about an order, a bill or an account"
    if words.APPOINTMENT in sight.subject_says:
        return "it seems to be about something its reader takes part in"
    return ""


def _plain_exemption(sight: Sight) -> str:
    """What its fields and parts tell."""
    document = sight.document
    if document.is_reply:
        return _REPLY
    if sight.is_forwarded:
        return "somebody sent it on"
    if "text/calendar" in document.types or any(one.extension == "ics" for one in document.attachments):
        return "it is an invitation"
    if _is_answer(document):
        return "it is an automatic answer"
    if is_discussion(document):
        return "it is a discussion list"
    return ""


def _shared_exemption(sight: Sight, found: Authentication, known: services.Services) -> str:
    """Of these, what holds for every reader."""
    why = _plain_exemption(sight)
    # Networks thread their own notices; whether one answers its reader's mail is known per account.
    return "" if why == _REPLY and evidence.find_service(sight.document, found, known) else why


def _is_answer(document: Document) -> bool:
    header = document.header
    return (
        header.first(b"auto-submitted").lower().startswith(b"auto-replied")
        or header.first(b"precedence").lower() == b"auto_reply"
        or not _ANSWER_FIELDS.isdisjoint(header.names)
        or "multipart/report" in document.types
    )


def _spoken_exemption(sight: Sight) -> str:
    """What it says."""
    document = sight.document
    if words.TRANSACTION in sight.subject_says:
        return "it is about an order, a bill or an account"
    if words.is_code(document.subject, document.text[:_CODE_TEXT]):
        return "it holds a one-time code"
    return ""


def is_discussion(document: Document) -> bool:
    """A list people write to: there is an address to post to, or list software for people."""
    header = document.header
    post = header.first(b"list-post").strip()
    if post and b"mailto:" not in post.lower() and header.has(b"list-unsubscribe-post"):
        return False  # some newsletters name their page there; lists of people have no one-click
    if post:
        return post.upper() != b"NO"
    return not _LIST_FIELDS.isdisjoint(header.names) or header.first(b"precedence").lower() == b"list"
