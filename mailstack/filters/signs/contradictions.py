"""What a message wants, against who it is, where it leads, and whose reader it speaks to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mailstack.filters.signs import abroad, claims, sender, shape
from mailstack.filters.signs.knowledge import Intent
from mailstack.filters.signs.look import MAX_TEXT, Found, Look

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
        *("sender_tenant", "sender_odd_tld", "sender_doubtful_tld", "sender_random_domain", "reply_to_free"),
        *("official_free_mail", "free_mail_office", "name_of_reader", "name_unseen"),
        *("name_other_address", "lookalike_sender"),
        *("brand_name", "brand_name_free", "brand_disguised", "brand_local"),
    }
)
#: Nothing in the address fits the name.
UNRELATED = frozenset({"name_unrelated", "official_unrelated", "free_mail_unlike"})
#: Answers go where the author is not.
ANSWERED_ELSEWHERE = frozenset({"reply_to_free", "reply_to_other_free", "other_address"})
#: Wishes that use the name of somebody the reader trusts.
TRUSTED = frozenset(
    {
        *("account", "password", "storage", "payment", "expired", "parcel", "refund", "document", "wallet"),
        *("call_back", "legal", "prize", "mail_login", "office", "scan_code", "utility", "fine", "register"),
    }
)
#: Wishes no company has.
STRANGE = frozenset(
    {
        *("advance_fee", "letter", "dating", "invest", "prize", "wallet", "gambling", "extortion"),
        *("errand", "loan", "easy_money", "esoteric", "relative", "rental", "payroll"),
        *("romance", "replica", "job_fee"),
    }
)
#: Of these, those that wanted mail hardly speaks of, and money sent to another account.
RARE = STRANGE - {"letter", "prize"} | {"bank_change", "pay_elsewhere", "promotion_offer"}
#: Wishes for which somebody trusted is played.
BY_NAME = frozenset(
    {
        *("payroll", "errand", "relative", "rental", "bank_change", "pay_elsewhere", "advance_fee"),
        *("romance", "job_fee"),
    }
)
#: Of the strange ones, those that no notice of a company has: its receipts thank and ask to write back.
UNRELAYED = STRANGE - {"letter"} | {"mail_login", "pay_elsewhere"}
#: Wishes of the reader's own office or mail server, and others that are where it speaks of a mailbox.
INSIDE = frozenset({"office", "mail_login", "scan_code"})
ABOUT_MAILBOX = INSIDE | {"storage", "password"}
#: Wishes that say why an attached page is to be opened.
SHOWN_IN_PAGE = frozenset({"office", "mail_login", "document", "payment", "storage", "password", "legal"})
#: Wishes that say where money is to go.
MONEY = frozenset({"bank_change", "pay_elsewhere", "payroll", "payment"})
#: What speaks for a company, but not for those whose words it passes on.
VOUCHING = frozenset({"brand_proven", "links_home"})
#: Signs that a contradiction names.
MAX_NAMED = 3
#: Where talk goes on that no mail server sees.
MESSENGERS = frozenset({"whatsapp", "telegram", "wechat", "signal", "viber", "skype", "ватсап", "телеграм"})
#: Kinds of words that make a number one to call; of one of them it takes another company's name.
TO_CALL = frozenset({"charged", "call"})
#: Kinds of words, and how many of them no company puts into its notices.
NEVER_RELAYED = frozenset({"crypto", "fund", "easymoney", "sextortion", "dating", "gambling"})
RELAYED_WORDS = 2
#: What an office counts that shares something from an address anybody gets.
OFFICE_SHARE = 0.7
#: What free mail counts in an answer: friends write so.
ANSWER_SHARE = 0.5
#: Attachments that ask for what they should not.
TRAPS = frozenset({"attached_page", "attached_page_active", "program_attached", "program_disguised"})
LED_OUT = ASTRAY | TRAPS | {"links_elsewhere"}
#: Answers go to an address anybody gets, by a field or by the only button.
ANSWERED_FREE = frozenset({"reply_to_free", "mailto_free"})
#: Attached pages, and all that an answer to nothing should not bring.
PAGES = frozenset({"attached_page", "attached_page_active"})
BROUGHT = PAGES | {
    *("attached_locked", "attached_with_password", "attached_macros", "attached_image_of_disk"),
    *("program_attached", "program_disguised", "archive_suspicious"),
}
#: Characters of a text that only says "see the page".
FEW_WORDS = 250
#: A sum of money, and where to write to somebody who is known by a handle only.
_PRICE = re.compile(
    r"[$€£₹₽₩¥₫₺฿₪]\s?\d|\d\s?(?:[$€£₹₽₩¥₫₺฿₪%]|(?:usd|usdt|eur|euro|gbp|rub|руб|р|грн|лв|zl|zł|kr|ft|lei|tl|rm|"
    r"ريال|درهم|تومان|만원|원|元|円|k)\b)",
    re.I,
)
_HANDLE = re.compile(r"(?:\A|[\s:(])@[A-Za-z]\w{3,31}\b|\b(?:t|wa)\.me/|\+?\d[\d ()-]{7,16}\d")
#: Domains under which authorities are.
OF_STATES = frozenset({"int", "edu", "org"})
#: Characters of a text that is longer than notices are.
NOTICE = 1_500
#: Kinds of words that press.
URGENT = frozenset({"deadline", "threat"})
#: Links whose country and owner are looked at.
MAX_WAYS = 20
#: Letters that names of one company begin with in common.
MIN_KIN = 4
#: What contradicts a wish that is hardly one counts less: at least that share and the wish's own.
LEAST_PLAIN = 0.35


def relayed(
    look: Look, claimed: claims.Claims, names: set[str], wishes: list[tuple[Intent, Found]]
) -> Iterator[Found]:
    """What companies never write themselves, in a notice that passes on somebody else's words.

    Args:
        names: of the other signs.
    """
    if look.address not in look.knowledge.words_of("relay"):
        return
    wanted = {intent.name for intent, _ in wishes}
    said = len(look.kinds.keys() & TO_CALL)
    if said and shape.has_phone(look) and (said == len(TO_CALL) or _names_another(look, claimed)):
        yield Found("relayed", "a number to call")
    elif any(look.kinds.get(kind, 0) >= RELAYED_WORDS for kind in NEVER_RELAYED):
        yield Found("relayed", "words of fraud")
    elif wanted & UNRELAYED:
        yield Found("relayed", _in_words(look, {f"wants_{name}" for name in wanted & UNRELAYED}))
    elif names & ASTRAY - {"link_form", "link_storage"} and (wanted or look.kinds.keys() & NEVER_RELAYED):
        yield Found("relayed", "it leads astray")
    else:
        office = sender.office_in_text(look)
        if office:
            yield Found("relayed", office, OFFICE_SHARE)


def _in_words(look: Look, names: set[str]) -> str:
    """What signs are called where a person reads it."""
    return "; ".join([look.knowledge.signs[name].why for name in sorted(names)[:MAX_NAMED]])


def _names_another(look: Look, claimed: claims.Claims) -> bool:
    """It speaks of a company that is not the one that sends it."""
    return any(brand not in claimed.own for brand in claimed.in_text)


def find(
    look: Look, claimed: claims.Claims, names: set[str], wishes: list[tuple[Intent, Found]]
) -> Iterator[Found]:
    """The contradictions of a message that wants something; `names` as in `relayed`."""
    wanted = {intent.name for intent, _ in wishes}
    plain = min(1.0, LEAST_PLAIN + max(wish.share for _, wish in wishes))
    if len(wishes) > 1:
        yield Found("wants_several", share=min(len(wishes) - 1, 3) / 3)
    yield from _sender(look, names, plain)
    yield from _place(look, claimed, names, wanted, plain)
    if wanted & BY_NAME and look.is_free_mail and not sender.is_answer(look):
        yield Found("wish_of_mere_name", look.address, plain)
    if wanted & RARE:
        if not MESSENGERS.isdisjoint(look.text.words):
            yield Found("wish_by_messenger")
        if names & ANSWERED_ELSEWHERE:
            yield Found("wish_answers_elsewhere")
    if "sender_double" in names and wanted & MONEY:
        yield Found("double_wants_money", look.domain)
    if "call_back" in wanted and look.is_free_mail:
        yield Found("called_by_nobody", look.address)
    if wanted & (TRUSTED | STRANGE):
        yield from _from_abroad(look)
    if wanted & TRUSTED:
        yield from _company(look, claimed)
        if _is_no_state(look, claimed):
            yield Found("wish_of_no_state", look.domain, plain)


def _sender(look: Look, names: set[str], plain: float) -> Iterator[Found]:
    loose = names & LOOSE
    if loose:
        yield Found("wish_of_nobody", _in_words(look, loose), plain)
    if names & UNRELATED:
        yield Found("wish_unrelated", look.domain, plain)
    if look.is_free_mail and "reply_to_elsewhere" not in names:  # answers to a group come from its portal
        yield Found("wish_free_mail", look.domain, plain * ANSWER_SHARE if look.document.is_reply else plain)


def _place(
    look: Look, claimed: claims.Claims, names: set[str], wanted: set[str], plain: float
) -> Iterator[Found]:
    """Where it is to be done, and by whose order."""
    astray = names & ASTRAY
    if astray:
        yield Found("wish_leads_astray", _in_words(look, astray), plain)
    if "links_elsewhere" in names:
        yield Found("wish_leads_elsewhere")
    if wanted & TRUSTED and _leads_to_stranger(look, claimed):
        yield Found("wish_leads_to_stranger", look.ways[0].host, plain)
    if "attached_page" in names and wanted & SHOWN_IN_PAGE:
        yield Found("wish_in_page")
    mailbox = "storage" in wanted or ("password" in wanted and "mailroom" in look.kinds)
    if mailbox and not URGENT.isdisjoint(look.kinds) and _is_no_host(look, claimed):
        yield Found("wish_of_no_host", look.domain, plain)
    inside = ABOUT_MAILBOX if "mailroom" in look.kinds else INSIDE
    if wanted & inside:
        yield from _outsider(look, claimed, names, plain)


def _company(look: Look, claimed: claims.Claims) -> Iterator[Found]:
    """A company's name in which somebody else wants it."""
    if not (look.ways or look.document.mail_addresses or look.document.attachments):
        return  # nothing can be done but write back
    if claimed.own:
        return
    if claimed.foreign:
        yield Found("brand_and_wish", claimed.foreign[0].name)
    elif claimed.in_text and not claimed.leads_home and not look.document.is_reply:
        yield Found("brand_text_and_wish", claimed.in_text[0].name)


def _outsider(look: Look, claimed: claims.Claims, names: set[str], plain: float) -> Iterator[Found]:
    """Neither of the reader's own domain nor a service that leads to its own site; or only says to be."""
    if not look.recipients or claimed.own or sender.is_called_answer(look):
        return
    if look.reader_site != look.site:
        if names & LED_OUT or not (look.ways or look.document.attachments):
            yield Found("wish_of_outsider", look.domain, plain)
    elif not look.is_proven and names & (ASTRAY | TRAPS):
        yield Found("wish_of_insider", look.domain)


def _is_no_state(look: Look, claimed: claims.Claims) -> bool:
    """An authority by name, at a domain that is neither a state's nor of a country."""
    tail = look.domain.rpartition(".")[2]
    if len(tail) <= 2 or tail in OF_STATES or look.is_free_mail or claimed.own:
        return False
    if not sender.STATE.isdisjoint(look.domain.split(".")):
        return False
    return not look.knowledge.words_of("authority").isdisjoint(look.name_words)


def _is_no_host(look: Look, claimed: claims.Claims) -> bool:
    """Neither the reader's own domain nor a company known: nobody whose mailboxes the reader has."""
    if len(look.document.text) > NOTICE or not look.recipients:
        return False
    return look.reader_site != look.site and not (claimed.own or claimed.kin)


def _leads_to_stranger(look: Look, claimed: claims.Claims) -> bool:
    """All links lead to one site that has nothing to do with the sender, its name, or a company known."""
    ways = look.ways[:MAX_WAYS]
    if not ways or not look.name or look.is_free_mail or claimed.own:
        return False
    way, knowledge = ways[0], look.knowledge
    if way.site == look.site or any(other.site != way.site for other in ways):
        return False
    if knowledge.covers("mailer", way.host) or knowledge.owners(way.host):
        return False
    if knowledge.shared_kind(way.host, way.path[1:]) in ("form", "storage"):
        return False  # clubs and schools have their lists there
    ours, theirs = look.site.partition(".")[0], way.site.partition(".")[0]
    return ours[:MIN_KIN] != theirs[:MIN_KIN] and not any(
        len(word) >= MIN_KIN and word in theirs for word in (*look.name_words, ours)
    )


def _from_abroad(look: Look) -> Iterator[Found]:
    """What is written for one country comes from another, or leads there."""
    author = abroad.country(look.domain)
    hosts = [way.host for way in look.ways[:MAX_WAYS] if abroad.country(way.host)]
    if not author and not hosts:
        return
    if not look.homes:
        return
    if author and author not in look.homes:
        yield Found("wish_from_abroad", look.domain)
        return
    for host in hosts:
        if abroad.country(host) not in look.homes and not look.knowledge.owners(host):
            yield Found("wish_leads_abroad", host)
            return


def find_always(look: Look, claimed: claims.Claims, names: set[str]) -> Iterator[Found]:
    """Contradictions that need no wish."""
    if claimed.foreign and names & ANSWERED_FREE and not claimed.leads_home:
        yield Found("brand_answers_to_free", claimed.foreign[0].name)
    if "reply_to_nothing" in names and names & BROUGHT:
        yield Found("answer_brings_trap")
    if names & PAGES and not look.ways and not look.document.is_reply:
        share = 1.0 if len(look.document.text) < FEW_WORDS else 0.5
        yield Found("attached_page_alone", "", share)
    if look.is_free_mail and not look.document.is_reply and not MESSENGERS.isdisjoint(look.text.words):
        text = look.document.text[:MAX_TEXT]
        if _PRICE.search(text) is not None and (_HANDLE.search(text) is not None or shape.has_phone(look)):
            yield Found("free_mail_trade", look.address)
    yield from _paid_abroad(look)


def _paid_abroad(look: Look) -> Iterator[Found]:
    """The account to be paid to is in another country than the sender and the letter."""
    country = abroad.country_of_account(look.document.text[:MAX_TEXT])
    if not country:
        return
    homes = {abroad.country(look.domain), *look.homes} - {""}
    if homes and country not in homes:
        answers = sender.is_answer(look) or sender.is_called_answer(look)
        yield Found("answer_account_abroad" if answers else "account_abroad", country.upper())
