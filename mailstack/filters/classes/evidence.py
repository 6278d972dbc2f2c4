"""What speaks for a promotion, and what for a social notification: named points.

Points come from how senders mark their mail (list fields, sending services, addresses),
how it is built (links to leave a list, pictures, tracking) and what it says.  Being sent
by a tool alone proves nothing, as receipts go the same way: words must say so too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mailstack.filters.classes import words
from mailstack.filters.classes.services import MAX_DOMAIN, Services, find
from mailstack.filters.document import Document
from mailstack.filters.once import once
from mailstack.filters.words import HEAD, TAIL, Text, prepare, split
from mailstack.model.verdict import Authentication, Reason

#: Characters that are searched for numbers, names and speech.
_START = 2_000
#: Links that are looked at.
_LINKS = 100
_LINK = 300
#: Letters of a name that show it in an address.
_NAME = 4
_MANY_IMAGES, _MANY_LINKS = 5, 10
#: Name of the reason that nothing in it sells or reports: then the prior has no say for a promotion.
SILENT = "no_offer"


class Sight:
    """One message, as the rules look at it; everything is made ready once, when first asked for."""

    def __init__(self, document: Document) -> None:
        self.document = document

    @once
    def subject_says(self) -> frozenset[str]:
        """Lists of words the subject is in, without phrases that only sound like an order."""
        subject = self.document.words.subject
        return words.LISTS.say(words.LISTS.taken_out(subject, words.NOT_TRANSACTION))

    @once
    def whole_subject_says(self) -> frozenset[str]:
        """Those of the whole subject."""
        return words.LISTS.say(self.document.words.subject)

    @once
    def text_says(self) -> frozenset[str]:
        """Those of the beginning of the text, and of what stands in for pictures."""
        return words.LISTS.say(self.document.words.said)

    @once
    def speaks_of_newsletter(self) -> bool:
        """The text speaks of a newsletter, and not only of how to leave one."""
        if words.NEWSLETTER not in self.text_says:
            return False
        said = words.LISTS.taken_out(self.document.words.said, words.UNSUBSCRIBE)
        return words.NEWSLETTER in words.LISTS.say(said)

    @once
    def says_unsubscribe(self) -> bool:
        """The end of the text tells how to leave, and there is something to click on or to write to."""
        document = self.document
        if not document.urls and "@" not in document.text[-TAIL:]:
            return False
        return words.UNSUBSCRIBE in self._tail_says

    @once
    def says_subscribed(self) -> bool:
        """The end of the text says that the reader is on somebody's list."""
        return words.SUBSCRIBED in self._tail_says

    @once
    def _tail_says(self) -> frozenset[str]:
        return words.LISTS.say(self.document.words.tail)

    @once
    def is_marked(self) -> bool:
        """Fields say that this goes to many, or was sent by a tool for that."""
        header = self.document.header
        return (
            header.has(b"list-unsubscribe")
            or header.first(b"precedence").lower() in (b"bulk", b"junk")
            or not words.CAMPAIGN_FIELDS.isdisjoint(header.names)
            or not words.SENDING_FIELDS.isdisjoint(header.names)
        )

    @once
    def is_forwarded(self) -> bool:
        """A person sent it on."""
        return not self.is_marked and words.FORWARD.match(self.document.subject) is not None

    @once
    def is_to_many(self) -> bool:
        """Fields or the text say that this goes to many."""
        if self.is_marked:
            return True
        if self.has_leave_link or self.says_unsubscribe:
            return True
        return words.MARKETING_SENDERS.match(self.local) is not None and (self.is_newsletter or self.is_offer)

    @once
    def is_person(self) -> bool:
        """The author's address holds the author's name."""
        names = [name for name in self.document.words.name.sequence if len(name) >= _NAME]
        return any(name[:_NAME] in self.local for name in names)

    @once
    def has_leave_link(self) -> bool:
        """A link leads to leaving a list."""
        return self.has_link(words.LEAVE_LINKS)

    def has_link(self, pieces: Iterable[str]) -> bool:
        """One of these pieces stands in a link."""
        return any(piece in self._urls for piece in pieces)

    @once
    def _urls(self) -> str:
        return "\n".join(url[:_LINK] for url in self.document.urls[-_LINKS:]).lower()

    @once
    def is_offer(self) -> bool:
        """The subject sells something."""
        return (
            words.OFFER in self.whole_subject_says or words.PERCENT.search(self.document.subject) is not None
        )

    @once
    def is_newsletter(self) -> bool:
        """The subject, or the name it is sent under, is that of a newsletter."""
        if words.NEWSLETTER in self.whole_subject_says:
            return True
        name = Text([*self.document.words.name.sequence, *split(self.local)])
        return words.NEWSLETTER in words.LISTS.say(name)

    @once
    def local(self) -> str:
        """The author's address, up to its domain."""
        return self.document.author_address.partition("@")[0]

    @once
    def speaks_of_order(self) -> bool:
        """The text is about something ordered, owed or asked for."""
        return words.ORDER_TEXT in self.text_says or words.has_number(
            f"{self.document.subject}\n{self.document.text[:_START]}"
        )


def promotion(sight: Sight, found: Authentication, services: Services) -> Iterator[Reason]:
    """What speaks for a promotion, and against."""
    yield from _marks(sight)
    yield from _campaign(sight, found, services)
    yield from _build(sight)
    about = list(_sells(sight))
    publisher = find(sight.document.author_domain, services.newsletters)
    if publisher:
        about.append(Reason("newsletter_service", 2.0, f"{publisher} publishes newsletters"))
    yield from about
    tool = find(sight.document.author_domain, services.work)
    if tool:
        yield Reason("work_tool", -2.0, f"{tool} is a tool people work with")
    if not about:
        yield Reason(SILENT, -1.8, "nothing says that it sells or reports something")
    yield from _serves(sight)


def _marks(sight: Sight) -> Iterator[Reason]:
    header = sight.document.header
    if header.has(b"list-unsubscribe"):
        yield Reason("list_unsubscribe", 1.2, "it can be unsubscribed from")
    if header.has(b"list-unsubscribe-post"):
        yield Reason("one_click", 0.3, "with one click (RFC 8058)")
    if header.first(b"precedence").lower() in (b"bulk", b"junk"):
        yield Reason("precedence", 1.0, "its precedence is bulk")
    if header.has(b"list-id"):
        yield Reason("list_id", 0.5, "it names its list")
    if words.MARKETING_SENDERS.match(sight.local):
        yield Reason("marketing_sender", 1.0, "its sender's name says so")
    elif words.MARKETING_HOSTS.match(sight.document.author_domain.partition(".")[0]):
        yield Reason("marketing_host", 0.4, "its sender's domain is for mailings")


def _campaign(sight: Sight, found: Authentication, services: Services) -> Iterator[Reason]:
    document, header = sight.document, sight.document.header
    hosts = dict.fromkeys(
        [*(one.domain for one in found.dkim if one.result == "pass"), *document.hosts[:_LINKS]]
    )
    tool = next((name for host in hosts if (name := find(host, services.mailings))), "")
    if tool:
        yield Reason("campaign", 0.8, f"{tool} sent it")
    elif not words.CAMPAIGN_FIELDS.isdisjoint(header.names) or words.MAILERS.find(
        prepare(header.first(b"x-mailer")[:200].decode("latin-1"))
    ):
        yield Reason("campaign", 0.8, "a marketing tool sent it")
    elif not words.SENDING_FIELDS.isdisjoint(header.names):
        yield Reason("sending_service", 0.4, "a service for many senders sent it")


def _build(sight: Sight) -> Iterator[Reason]:
    document, html = sight.document, sight.document.html
    if sight.says_unsubscribe:
        yield Reason("unsubscribe_text", 0.8, "the text says how to unsubscribe")
    elif sight.has_leave_link:
        yield Reason("unsubscribe_link", 0.8, "a link leads out of a list")
    if html.images >= _MANY_IMAGES or html.links >= _MANY_LINKS:
        yield Reason("many_links", 0.5, "it is full of pictures and links")
    if html.tiny_images or any("utm_" in url for url in document.urls[:_LINKS]):
        yield Reason("tracking", 0.6, "it counts its readers")


def _sells(sight: Sight) -> Iterator[Reason]:
    if sight.is_offer:
        yield Reason("offer_subject", 1.5, "the subject is an offer")
    elif words.PRICE.search(sight.document.subject) is not None:
        yield Reason("price_subject", 0.8, "the subject names a price")
    if sight.is_newsletter:
        yield Reason("newsletter", 1.5, "it calls itself a newsletter")
    if words.OFFER in sight.text_says or words.has_reduction(sight.document.text[:HEAD]):
        yield Reason("offer_text", 1.0, "the text is an offer")
    if sight.says_subscribed:
        yield Reason("subscribed_text", 1.2, "the text says that its readers subscribed")
    if sight.speaks_of_newsletter:
        yield Reason("newsletter_text", 0.7, "the text speaks of a newsletter")


def _serves(sight: Sight) -> Iterator[Reason]:
    if not sight.is_marked:
        yield Reason("no_mark", -0.5, "no field says that it goes to many")
        if sight.is_person:
            yield Reason("person", -1.5, "its sender has the name of a person")
    if words.SERVICE_SENDERS.match(sight.local):
        yield Reason("service_sender", -1.0, "its sender is for orders, bills or accounts")
    if sight.speaks_of_order:
        yield Reason("order_text", -1.5, "the text is about an order, a bill or an account")
    subject = sight.document.subject
    if (
        words.WORK_SUBJECT.match(subject)
        or words.BRACKETED.match(subject)
        or words.WORK in sight.whole_subject_says
    ):
        yield Reason("work_subject", -1.0, "the subject is about work")
    if any(kind.startswith("application/") for kind in sight.document.types):
        yield Reason("document_attached", -1.5, "a document is attached")


def find_service(document: Document, found: Authentication, services: Services) -> str:
    """The social service a message comes from; "" for none, and when it only says so."""
    if found.dmarc.result == "fail" or found.spf.result == "fail":
        return ""
    return find(document.author_domain, services.social)


def social(sight: Sight, found: Authentication, services: Services, *, is_bulk: bool) -> Iterator[Reason]:
    """What speaks for a social notification, and against."""
    document, header = sight.document, sight.document.header
    domain = document.author_domain
    service = find(domain, services.social)
    if service and not find_service(document, found, services):
        return  # somebody else sent it
    if service:
        yield Reason("social_sender", 3.0, f"{domain} is {service}")
    if not services.fields.isdisjoint(header.names):
        yield Reason("social_field", 3.0, "a social network's own field")
    is_event = words.SOCIAL_EVENT in sight.whole_subject_says
    is_message = not is_event and words.MESSAGE in sight.whole_subject_says
    if is_event:
        yield Reason("social_subject", 2.0, "the subject tells what somebody of a community did")
    elif is_message:
        yield Reason("message_subject", 0.7, "the subject says that somebody wrote")
    if not (is_bulk or words.NOTIFIERS.match(sight.local)):
        return
    if is_event or is_message:
        yield Reason("notifier", 1.0, "a machine sent it")
    elif not service and words.SOCIAL_EVENT not in sight.text_says:
        return
    yield from _community(sight)
    if not service:
        yield from _no_community(sight, services)
    elif not is_event:
        if sight.is_offer:
            yield Reason("offer_subject", -1.5, "the subject is an offer")
        if words.SERVICE_SENDERS.match(sight.local):
            yield Reason("service_sender", -1.5, "its sender is for orders, bills or accounts")


def _community(sight: Sight) -> Iterator[Reason]:
    document = sight.document
    if words.SOCIAL_EVENT in sight.text_says:
        yield Reason("social_text", 0.8, "the text tells what somebody of a community did")
    if words.NOTICES in sight.text_says:
        yield Reason("notices", 0.8, "it tells where its notices are switched off, or leads to a profile")
    if words.HANDLE.search(f"{document.subject}\n{document.text[:_START]}"):
        yield Reason("handle", 0.5, "it names people by their handles")
    if sight.has_link(words.COMMUNITY_LINKS):
        yield Reason("community_link", 0.6, "its links lead to people and their posts")
    if words.SAID.search(document.text, 0, _START):
        yield Reason("said", 0.4, "it says what somebody said")


def _no_community(sight: Sight, services: Services) -> Iterator[Reason]:
    subject = sight.document.subject
    if words.WORK_SUBJECT.match(subject) or words.WORK in sight.whole_subject_says:
        yield Reason("work_subject", -2.5, "the subject is about work")
    elif words.BRACKETED.match(subject):
        yield Reason("bracketed_subject", -0.5, "the subject begins with the name of a project or group")
    if sight.is_offer:
        yield Reason("offer_subject", -1.5, "the subject is an offer")
    tool = find(sight.document.author_domain, services.work)
    if tool:
        yield Reason("work_tool", -3.0, f"{tool} is a tool people work with")
    if words.OFFICES.match(sight.document.author_domain[-MAX_DOMAIN:]):
        yield Reason("office", -3.0, "an office sent it")
    if sight.speaks_of_order:
        yield Reason("order_text", -1.5, "the text is about an order, a bill or an account")
