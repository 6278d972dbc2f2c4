"""The words and names the class rules know; the lists themselves are in data/words.toml."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from itertools import islice

from mailstack.filters.phrases import Phrases
from mailstack.filters.words import prepare

#: Numbers in a text that are looked at as codes.
MAX_CODES = 8
_LISTS = tomllib.loads((resources.files("mailstack.filters.classes") / "data/words.toml").read_text("utf-8"))


#: Lists by what they tell.
OFFER = "offer"
NEWSLETTER = "newsletter"
UNSUBSCRIBE = "unsubscribe"
SUBSCRIBED = "subscribed"
TRANSACTION = "transaction"
APPOINTMENT = "appointment"
NOT_TRANSACTION = "not_transaction"
ORDER_TEXT = "order_text"
SOCIAL_EVENT = "social"
MESSAGE = "message"
NOTICES = "notices"
WORK = "work"
CODE_WORDS = "code"
NUMBERED = "numbered"
_DIVIDE = re.compile(r"[,\n]")
#: All lists at once.
LISTS: Phrases[str] = Phrases(
    (phrase, table)
    for table, languages in _LISTS.items()
    for text in languages.values()
    for phrase in filter(str.strip, _DIVIDE.split(text))
)

#: Fields that tools for mass mailings write, for campaigns and for receipts alike.
SENDING_FIELDS = frozenset(
    name.encode()
    for name in (
        *(
            "feedback-id",
            "x-sg-eid",
            "x-sg-id",
            "x-mailgun-tag",
            "x-mailgun-sid",
            "x-ses-outgoing",
            "x-pm-message-id",
        ),
        *("x-msys-api", "x-mandrill-user", "x-mj-mid", "x-postmark-tag", "x-sparkpost-campaign"),
    )
)
#: Fields that are written for campaigns.
CAMPAIGN_FIELDS = frozenset(
    name.encode()
    for name in (
        *("x-csa-complaints", "x-campaign", "x-campaign-id", "x-campaignid", "x-mailchimp-id", "x-mc-user"),
        *(
            "x-sfmc-stack",
            "x-hs-cid",
            "x-klaviyo-message-id",
            "x-mailin-campaign",
            "x-cm-campaign",
            "x-roving-id",
        ),
        *(
            "x-bulkmail",
            "x-mj-campaign",
            "x-emarsys-identify",
            "x-newsletter",
            "x-cleverreach-id",
        ),
        *(
            "x-acymailing",
            "x-phplist-version",
            "x-mailinglist-campaign",
            "x-elqsiteid",
            "x-marketo-id",
            "x-job",
        ),
        *(
            "x-braze-campaign",
            "x-iterable-campaign-id",
            "x-customer-io",
            "x-activecampaign-id",
            "x-ac-campaign",
        ),
        *(
            "x-getresponse-id",
            "x-aweber-id",
            "x-beehiiv-ids",
            "x-ghost-newsletter",
            "x-substack",
            "x-rapidmail-id",
        ),
    )
)
MAILERS: Phrases[bool] = Phrases(
    (name.strip(), True)
    for name in _DIVIDE.split(
        """mailchimp*, sendinblue*, brevo*, klaviyo*, hubspot*, constant contact*, campaign*, newsletter*
    mailjet*, cleverreach*, emarsys*, getresponse*, aweber*, activecampaign*, phplist*, acymailing*
    sendy*, mailerlite*, mailpoet*, inxmail*, rapidmail*, optimizely*, dotdigital*, listmonk*, mautic*"""
    )
)
#: Local parts of authors, whole or up to a sign.
MARKETING_SENDERS = re.compile(
    r"(?:news|newsletters?|marketing|offers?|deals?|promo|promos|promotions?|campaigns?|rewards|club|digest"
    r"|weekly|editors?|mailing|angebote?|aktuell|werbung|redaktion|ofertas?|novedades|boletin|suscriptores|noticias"
    r"|novidades|promo[cç][ao~]?es?|offres|infolettre|lettre|offerte|redazione|aanbieding(?:en)?|nieuwsbrief"
    r"|nyhetsbrev|nyhedsbrev|tilbud|uutiskirje|promocje|kampanya|akce|hirlevel|noutati|novyny|mailmag)(?:[-_.+\d].*)?\Z"
)
#: First labels of domains that mailings are sent from.
MARKETING_HOSTS = re.compile(
    r"(?:news|newsletter|nl|mail|email|e|em|em\d+|click|go|info|marketing|offers?|promo|hello|mailer|mailing|crm"
    r"|updates?|campaigns?|t|e-mail|reply)\Z"
)
#: Local parts of authors that write about orders, bills and accounts.
SERVICE_SENDERS = re.compile(
    r"(?:billing|invoices?|accounts?|receipts?|orders?|shipping|shipment|despatch|dispatch|delivery|tracking|support"
    r"|help|security|service|verify|auth|statements?|renewals?|returns?|booking|bookings|reservations?|tickets?|legal"
    r"|privacy|payments?|rechnung(?:en)?|bestellung(?:en)?|versand|service|konto|buchhaltung|mahnung|termine?|recht"
    r"|facture?s?|commandes?|suivi|billets|compte|reservations?|pedidos|facturas?|envios|reservas|avisos|cuenta"
    r"|ordini|fatture|bollette|spedizioni|prenotazioni|assistenza|faturas?|cobranca|conta|facturen|bestellingen"
    r"|afspraken|faktury|zamowienia|siparis|zakaz|tilaus)(?:[-_.+\d].*)?\Z"
)
NOTIFIERS = re.compile(
    r"(?:no[-_.]?reply|do[-_.]?not[-_.]?reply|noreply|notif\w*|updates?|messages?-noreply|info|mailer|alerts?|meldung\w*"
    r"|avisos?|avvisi|notifiche|meldingen|powiadomienia|hi|hello|team|community|birdie|friends?|activity|social"
    r"|bonjour|hallo|hola|ciao)(?:[-_.+\d].*)?\Z"
)
#: Domains of offices: whoever writes from there is no community.
OFFICES = re.compile(
    r"(?:.*\.)?(?:gov|mil|gov\.[a-z]{2}|govt\.nz|gouv\.[a-z]{2}|gob\.[a-z]{2}|gv\.at|admin\.ch|bund\.de|europa\.eu"
    r"|go\.(?:jp|kr|th|id|ke|ug|tz)|gc\.ca|overheid\.nl|suomi\.fi)\Z"
)
#: A reduction in a subject, in any language; or a price to begin with.
PERCENT = re.compile(r"(?<![\d.,])[-–−]?\s?\d{1,2}\s?[%％]|\d割引?")
PRICE = re.compile(r"(?:[$£€]|R\$|US\$)\s?\d|\d\s?(?:€|£|\$|kr\b|zł|Kč|Ft\b|lei\b|руб|грн|円|元|원)")
#: What may be the number of an order, a bill or a parcel, and where the word for it stands.
_NUMBER = re.compile(r"[A-Z0-9][A-Z0-9/-]{4,}")
_NOT_BEFORE, _NOT_AFTER = frozenset(".,$£€-_"), frozenset("%€£$_")
_BEFORE_NUMBER = 40
MAX_NUMBERS = 8
#: Words in capitals and numbers that are looked at before.
MAX_CAPITALS = 60
#: In addresses of links that lead to leaving a list, in many languages; lower case.
LEAVE_LINKS = (
    *(
        "unsub",
        "optout",
        "opt-out",
        "opt_out",
        "abmeld",
        "abbestell",
        "austrag",
        "desabo",
        "d%c3%a9sabo",
        "desinscri",
    ),
    *(
        "/baja",
        "disiscri",
        "/cancellami",
        "descadast",
        "afmeld",
        "uitschrij",
        "wypis",
        "avregistr",
        "odhlas",
        "leiratk",
    ),
    *("dezabon", "otpis", "preferences"),
)
#: Somebody on a network: "@name", "@name@host".
HANDLE = re.compile(r"(?<![\w.@])@[a-z0-9_.]{2,40}(?:@[a-z0-9.-]{3,80})?(?![\w@])", re.IGNORECASE)
#: A subject somebody sent on, in the languages of mail programs.
FORWARD = re.compile(
    r"\s*(?:fwd?|wg|tr|rv|enc|i|doorst|vs|vb|pd|weitergeleitet|转发|轉寄|пересл)\s*[:：]", re.IGNORECASE
)
#: In links of communities, lower case: where people, their posts and the notices about them are.
COMMUNITY_LINKS = (
    *(
        "/profile/",
        "/profiles/",
        "/users/",
        "/user/",
        "/members/",
        "/member/",
        "/@",
        "/friends",
        "/followers",
    ),
    *(
        "/groups/",
        "/posts/",
        "/comments/",
        "/notifications",
        "/feed/",
        "/messages/",
        "/community/",
        "/thread",
    ),
)
#: What somebody said: a name, and words in quotation marks.
SAID = re.compile(r"\w\.?(?: wrote| schrieb| a écrit| escribió| ha scritto| escreveu| schreef)?: ?[\"“„«‘「]")
#: "#123" and "ABC-123": how work is numbered; "[project] ..." stands in front of talk too.
WORK_SUBJECT = re.compile(r".{0,200}?(?:#\d+\b|\b[A-Z]{2,10}-\d+\b)")
BRACKETED = re.compile(r"\s*\[[^\]]{2,80}\]")
#: Before a percentage: it is taken off a price.
_REDUCED = re.compile(
    r"(?:up to|save|extra|bis zu|jusqu.à|hasta(?: un)?|fino al?|até|tot|upp till|op til|opptil|jopa|do|až"
    r"|akár|până la|έως|до|最大|[-–−])\s{0,2}\d{1,2}\s?\Z",
    re.IGNORECASE,
)
MAX_PERCENTAGES = 10

_CODE = re.compile(
    r"(?<![\w.,:/#$€£-])(?:[A-Z]-)?(?:\d{3}[ -]\d{3}|\d{4,8}|[A-Z0-9]{3}-[A-Z0-9]{3})(?![\w/:]|[.,]\d)"
)


def is_code(subject: str, text: str) -> bool:
    """True for a message that carries a one-time code."""
    if CODE_WORDS in LISTS.say(prepare(subject)):
        return _CODE.search(subject) is not None or _CODE.search(text, 0, 2_000) is not None
    # In a text the number stands near the word.
    return any(
        CODE_WORDS in LISTS.say(prepare(text[max(found.start() - 120, 0) : found.end() + 60]))
        for found in islice(_CODE.finditer(text, 0, 2_000), MAX_CODES)
    )


def has_number(text: str) -> bool:
    """True for a text that names the number of an order, a bill, a booking or a parcel."""
    tried = 0
    for found in islice(_NUMBER.finditer(text), MAX_CAPITALS):
        start, end = found.span()
        if not any(c.isdigit() for c in found[0]) or _is_within(text, start, end):
            continue
        if NUMBERED in LISTS.say(prepare(text[max(start - _BEFORE_NUMBER, 0) : start])):
            return True
        tried += 1
        if tried == MAX_NUMBERS:
            break
    return False


def _is_within(text: str, start: int, end: int) -> bool:
    """A piece of a longer word, or an amount of money."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return before.isalnum() or before in _NOT_BEFORE or after.isalnum() or after in _NOT_AFTER


def has_reduction(text: str) -> bool:
    """True for a text that takes a percentage off a price."""
    at, tried = text.find("%"), 0
    while at >= 0 and tried < MAX_PERCENTAGES:
        if _REDUCED.search(text[max(at - 16, 0) : at]) is not None:
            return True
        at, tried = text.find("%", at + 1), tried + 1
    return False
