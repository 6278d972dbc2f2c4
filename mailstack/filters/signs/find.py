"""All signs of a message, each a reason with its weight.

The strongest are contradictions: who it says it is, where it comes from, where it leads, what
it demands.  What it demands alone says little: banks and parcel services write about the
same things.

Weights: data/weights.toml (how they were found: docs/classifier.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mailstack.filters.authentication.dmarc import Author
from mailstack.filters.document import Document
from mailstack.filters.signs import claims, contradictions, intents, links, sender, shape
from mailstack.filters.signs.knowledge import Intent, Knowledge, shipped
from mailstack.filters.signs.look import Found, Look
from mailstack.model.verdict import Authentication, Reason

#: What speaks for fraud counts more than the fit gives it, which learns from mail whose words are known too.
STRENGTH = 1.2


@dataclass(frozen=True, slots=True)
class Signs:
    """What was found.

    Attributes:
        reasons: for everybody.
        for_strangers: only for accounts that do not know the sender.
    """

    reasons: tuple[Reason, ...]
    for_strangers: tuple[Reason, ...] = ()


def find(
    document: Document, found: Authentication, author: Author, knowledge: Knowledge | None = None
) -> Signs:
    """The signs of one message.

    Args:
        author: as the strict reader of From sees it.
        knowledge: what comes with the package when left out.
    """
    knowledge = knowledge or shipped()
    look = Look(document, found, knowledge)
    wishes = list(intents.find(look))
    reasons = [reason for one in collect(look, wishes, author) if (reason := _reason(knowledge, one)).weight]
    stranger = next((intent for intent, _ in wishes if intent.for_strangers), None)
    if stranger is None:
        return Signs(tuple(reasons))
    weight = knowledge.signs["stranger_asks"].weight
    return Signs(tuple(reasons), (Reason("stranger_asks", weight, f"from somebody unknown: {stranger.why}"),))


def collect(look: Look, wishes: list[tuple[Intent, Found]], author: Author) -> Iterator[Found]:
    """Every sign there is, weighed or not; the training of the weights sees the same."""
    claimed = claims.Claims(look)
    signs = [*claims.find(look, claimed), *sender.find(look), *links.find(look), *shape.find(look)]
    names = {sign.name for sign in signs}
    relayed = list(contradictions.relayed(look, claimed, names, wishes))
    if relayed or names & contradictions.LOOSE:
        signs = [sign for sign in signs if sign.name not in contradictions.VOUCHING]
    yield from signs
    yield from relayed
    if "brand_own_leads_elsewhere" in names and names & contradictions.ASTRAY:
        yield Found("brand_own_astray", look.ways[0].host)
    yield from _authors(author)
    yield from contradictions.find_always(look, claimed, names)
    if wishes:
        yield from (wish for _, wish in wishes)
        yield from contradictions.find(look, claimed, names, wishes)


def _authors(author: Author) -> Iterator[Found]:
    if author.count and author.problem:
        yield Found("author_unreadable", author.problem)
    elif not author.count:
        yield Found("author_missing", author.problem)
    elif len(author.domains) > 1:
        yield Found("authors_several")


def _reason(knowledge: Knowledge, found: Found) -> Reason:
    sign = knowledge.signs[found.name]
    why = f"{sign.why}: {found.detail}" if found.detail else sign.why
    strength = STRENGTH if sign.weight > 0 else 1.0
    return Reason(found.name, round(sign.weight * strength * found.share, 4), why)
