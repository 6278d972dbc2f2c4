"""Promotions and social notifications among the mail that is wanted.

Points from how bulk senders mark themselves, whom they send as, and what they say.
Never for replies, discussion lists, one-time codes, invoices and orders, calendar
invitations, bounces and automatic answers (product page, section 2.4; T46).

Standards: RFC 2369, RFC 2919, RFC 8058 (list fields), RFC 3834 (Auto-Submitted).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mailstack.filters.classes import words
from mailstack.filters.classes.phrases import prepare
from mailstack.filters.document import Document
from mailstack.model.verdict import Authentication, Class, Reason

#: Points from which mail is filed as promotion or social.
THRESHOLD = 2.5
#: Characters of text that are searched for offers, and at its end for how to unsubscribe.
_HEAD = 8_192
#: Written by list managers where people talk, not by mailing tools.
_LIST_FIELDS = (
    b"mailing-list",
    b"x-mailing-list",
    b"x-mailman-version",
    b"x-beenthere",
    b"list-subscribe",
    b"x-google-group-id",
)
_TAIL = 2_000


@dataclass(frozen=True, slots=True)
class Classified:
    """The class of mail that is not spam, and why.

    Attributes:
        logits: of the classes by name, from 0 on it is filed; those nothing speaks for are missing.
    """

    klass: Class
    reasons: tuple[Reason, ...] = ()
    logits: Mapping[str, float] = field(default_factory=dict)


def classify(document: Document, found: Authentication) -> Classified:
    """Says whether wanted mail is a promotion or a social notification."""
    is_to_many = is_bulk(document)
    social = tuple(_social_points(document, found, is_to_many=is_to_many))
    is_social = sum(r.weight for r in social) >= THRESHOLD
    if not is_to_many and not is_social:
        return Classified("ham")  # nine of ten messages
    why_not = exemption(document)
    if why_not:
        return Classified("ham", (Reason("personal", 0.0, why_not),))
    points = tuple(_promotion_points(document))
    logits = {
        name: sum(r.weight for r in p) - THRESHOLD for name, p in (("promotions", points), ("social", social))
    }
    if is_social:
        return Classified("social", social, logits=logits)
    if logits["promotions"] >= 0:
        return Classified("promotions", points, logits=logits)
    return Classified("ham", logits=logits)


def exemption(document: Document) -> str:
    """Why a message is never a promotion or social; "" when it may be."""
    header = document.header
    if document.is_reply:
        return "it is a reply"
    if "text/calendar" in document.types:
        return "it is an invitation"
    submitted = header.first(b"auto-submitted").lower()
    if submitted.startswith(b"auto-replied") or "multipart/report" in document.types:
        return "it is an automatic answer"
    if is_discussion(document):
        return "it is a discussion list"
    if words.TRANSACTION.find(prepare(document.subject)):
        return "it is about an order, a bill or an account"
    if words.is_code(document.subject, document.text[:2_000]):
        return "it holds a one-time code"
    return ""


def is_discussion(document: Document) -> bool:
    """A list people write to: there is an address to post to, or list software for people."""
    header = document.header
    post = header.first(b"list-post")
    if post:
        return post.strip().upper() != b"NO"
    return any(header.has(field) for field in _LIST_FIELDS) or header.first(b"precedence").lower() == b"list"


def is_bulk(document: Document) -> bool:
    """The sender itself says, or its tools do, that this goes to many."""
    header = document.header
    return (
        header.has(b"list-unsubscribe")
        or header.first(b"precedence").lower() in (b"bulk", b"junk")
        or any(header.has(field) for field in words.CAMPAIGN_FIELDS)
        or _says_unsubscribe(document)
    )


def _says_unsubscribe(document: Document) -> bool:
    if not document.urls and "@" not in document.text[-_TAIL:]:
        return False  # nothing to click on, nobody to write to
    return words.UNSUBSCRIBE.find(prepare(document.text[-_TAIL:]))


def _promotion_points(document: Document) -> Iterator[Reason]:
    header = document.header
    if header.has(b"list-unsubscribe"):
        yield Reason("list_unsubscribe", 1.5, "it can be unsubscribed from")
    if header.has(b"list-unsubscribe-post"):
        yield Reason("one_click", 0.5, "with one click (RFC 8058)")
    if header.first(b"precedence").lower() in (b"bulk", b"junk"):
        yield Reason("precedence", 1.0, "its precedence is bulk")
    if any(header.has(field) for field in words.CAMPAIGN_FIELDS) or words.MAILERS.find(
        prepare(header.first(b"x-mailer")[:200].decode("latin-1"))
    ):
        yield Reason("campaign", 1.0, "a marketing tool sent it")
    if words.MARKETING_SENDERS.match(document.author_address.partition("@")[0]):
        yield Reason("marketing_sender", 1.0, "its sender's name says so")
    if words.OFFER.find(prepare(document.subject)):
        yield Reason("offer_subject", 1.5, "the subject is an offer or a newsletter")
    if words.OFFER.find(prepare(document.text[:_HEAD])):
        yield Reason("offer_text", 0.7, "the text is an offer or a newsletter")
    if _says_unsubscribe(document):
        yield Reason("unsubscribe_text", 0.7, "the text says how to unsubscribe")
    html = document.html
    if html.images >= 5 or html.links >= 10:
        yield Reason("many_links", 0.5, "it is full of pictures and links")
    if html.tiny_images or any("utm_" in url for url in document.urls[:100]):
        yield Reason("tracking", 0.7, "it counts its readers")


def _social_points(document: Document, found: Authentication, *, is_to_many: bool) -> Iterator[Reason]:
    header, domain = document.header, document.author_domain
    if words.is_social_domain(domain) and found.dmarc.result != "fail" and found.spf.result != "fail":
        yield Reason("social_sender", 2.5, f"{domain} is a social network")
    if any(header.has(field) for field in words.SOCIAL_FIELDS):
        yield Reason("social_field", 2.5, "a social network's own field")
    if words.SOCIAL_EVENT.find(prepare(document.subject)):
        yield Reason("social_subject", 1.5, "the subject is a notification")
        local = document.author_address.partition("@")[0]
        if is_to_many or words.NOTIFIERS.match(local):
            yield Reason("notifier", 1.0, "a machine sent it")
