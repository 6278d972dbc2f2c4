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
from mailstack.filters.signs import claims, intents, links, sender, shape
from mailstack.filters.signs.knowledge import Intent, Knowledge, shipped
from mailstack.filters.signs.look import Found, Look
from mailstack.model.verdict import Authentication, Reason

#: Links under names without an owner, or that are hidden.
ASTRAY = frozenset(
    {
        *("link_site", "link_storage", "link_form", "link_short", "link_redirect", "link_ip", "link_hacked"),
        *("link_odd_tld", "link_random", "link_punycode", "link_user", "link_port", "lookalike_link"),
        *("link_keyword", "link_carries_address", "link_lies", "mailto_free", "link_program"),
    }
)
#: Senders nobody can be held to.
LOOSE = frozenset(
    {
        *("sender_tenant", "sender_odd_tld", "sender_random_domain", "name_other_address"),
        *("official_free_mail", "brand_name", "brand_name_free", "brand_disguised", "lookalike_sender"),
        *(
            "brand_local",
            "name_other_domain",
            "reply_to_free",
            "name_unseen",
            "official_unrelated",
            "sender_doubtful_tld",
        ),
    }
)
#: Wishes that use the name of somebody the reader trusts.
TRUSTED = frozenset(
    {
        *("account", "password", "storage", "payment", "expired", "parcel", "refund", "document", "wallet"),
        *("call_back", "legal", "prize"),
    }
)
#: What contradicts a wish that is hardly one counts less: at least that share and the wish's own.
LEAST_PLAIN = 0.35
#: Wishes no company has.
STRANGE = frozenset(
    {
        *("advance_fee", "letter", "dating", "invest", "prize", "wallet", "gambling", "extortion"),
        *("errand", "loan"),
    }
)


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
    yield from signs
    names = {sign.name for sign in signs}
    yield from _authors(author)
    yield from _relayed(look, names, {intent.name for intent, _ in wishes})
    if wishes:
        yield from (wish for _, wish in wishes)
        yield from _contradictions(look, claimed, names, wishes)


def _authors(author: Author) -> Iterator[Found]:
    if author.count and author.problem:
        yield Found("author_unreadable", author.problem)
    elif not author.count:
        yield Found("author_missing", author.problem)
    elif len(author.domains) > 1:
        yield Found("authors_several")


def _relayed(look: Look, names: set[str], wishes: set[str]) -> Iterator[Found]:
    """What companies never write themselves, in a notice that passes on somebody else's words."""
    if look.address not in look.knowledge.words_of("relay"):
        return
    wanted = wishes & STRANGE
    if "phone_to_call" in names and "call_back" in wishes:
        yield Found("relayed", "a number to call")
    elif wanted or (wishes and names & ASTRAY - {"link_form", "link_storage"}):
        yield Found("relayed", " ".join(sorted(wanted or wishes)))


def _contradictions(
    look: Look, claimed: claims.Claims, names: set[str], wishes: list[tuple[Intent, Found]]
) -> Iterator[Found]:
    """What it wants, against who it is and where it leads."""
    if len(wishes) > 1:
        yield Found("wants_several", share=min(len(wishes) - 1, 3) / 3)
    astray, loose = names & ASTRAY, names & LOOSE
    plain = min(1.0, LEAST_PLAIN + max(wish.share for _, wish in wishes))
    if astray:
        yield Found("wish_leads_astray", " ".join(sorted(astray)), plain)
    if loose:
        yield Found("wish_of_nobody", " ".join(sorted(loose)), plain)
    if "name_unrelated" in names or "official_unrelated" in names:
        yield Found("wish_unrelated", look.domain, plain)
    if look.is_free_mail:
        yield Found("wish_free_mail", look.domain, plain)
    if "links_elsewhere" in names:
        yield Found("wish_leads_elsewhere")
    if not (look.ways or look.document.mail_addresses or look.document.attachments):
        return  # nothing can be done but write back
    if claimed.own or not any(intent.name in TRUSTED for intent, _ in wishes):
        return
    if claimed.foreign:
        yield Found("brand_and_wish", claimed.foreign[0].name)
    elif claimed.in_text and not claimed.leads_home and not look.document.is_reply:
        yield Found("brand_text_and_wish", claimed.in_text[0].name)


def _reason(knowledge: Knowledge, found: Found) -> Reason:
    sign = knowledge.signs[found.name]
    why = f"{sign.why}: {found.detail}" if found.detail else sign.why
    return Reason(found.name, round(sign.weight * found.share, 4), why)
