"""Who writes, by what the header says of itself: names, addresses, where answers go."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from mailstack.filters import folding
from mailstack.filters.document import says_reply
from mailstack.filters.signs import strange
from mailstack.filters.signs.knowledge import REMEMBERED_HOSTS
from mailstack.filters.signs.look import MAX_TEXT, Found, Look

#: Characters of an address up to its "@".
MAX_BEFORE = 64
_ADDRESS = re.compile(
    rf"[^\s<>,;:\"'()@]{{1,{MAX_BEFORE}}}@([a-z0-9-]{{1,63}}(?:\.[a-z0-9-]{{1,63}}){{1,8}})", re.I
)
_DOMAIN = re.compile(
    r"\b(?:www\.)?([a-z0-9-]{2,63}(?:\.[a-z0-9-]{2,63})*\.(?:com|net|org|de|fr|it|es|nl|br|uk|pl|jp))\b", re.I
)
_WORD = re.compile(r"[\w.+-]+")
_NUMBER = re.compile(r"[#№:\[(]\s?[A-Z0-9-]*\d[A-Z0-9-]{4,}|\b[A-Z]{1,4}-?\d{5,}|\b\d{6,}\b")
_DIGIT = re.compile(r"\d")
#: What honest companies rarely put into the name of their domain.
_KEYWORD = re.compile(
    r"log-?in|sign-?in|verif|secur|account|update|confirm|auth|wallet|billing|unlock|support|suspend|redeliver|"
    r"notif|alert|refund|reward|prize|portal|center|kunde|konto|compte|cuenta|conta(?!ct)|bloque|rastre|entrega|"
    r"dosta(?:v|rc)|provj?er|potv[ar]|potrd|patvirt|apstipr|kinnit|zasielk|siunt|podrs[kh]|podrajk|plat[ai]nj|placilo|"
    r"poplat|doplat|nadgrad|atnauj|atjaun|uuend|obavij|oznam|dogrula|kargo|teslimat|verlaeng|verwaltung|resgat|cadastr|paiement|livraison|colis|pacote|paket|pakket|parcel|track|servic|offer|deal|bonus|win|claim",
    re.I,
)
#: Desks and offices that companies have on their own domain.
_DESK = re.compile(
    r"office|desk|direc|direkt|diret|presid|princip|gerenc|geschaeft|vorstand|zarzad|manager|staff|account|payment|"
    r"billing|support|service|recruit|rrhh|delivery|invoice|pedido|factur|financ|secur|notar|avocat|advoc|lawyer|"
    r"legal|attorney|claim|refund|agent|helpdesk|biuro|ufficio|buero|(?:^|[._-])(?:ceo|hr|pay|loans?|funds?|grants?|"
    r"admin|info|bank|order|vd|help)(?:$|[._\d-])",
    re.I,
)
#: Offices about money, as they name themselves where services share their files.
_BOOKS = re.compile(
    r"contab|pagos|cobros|buchhalt|kasse|compta|tesor|amministr|adminis|zahlung|rechnung|payroll|salary|bonus|"
    r"remit|wire|ksiegow|ucetni|muhasebe|finans|bogholder|ekonomi|boekhoud",
    re.I,
)
#: Labels under which only a state lets anybody have a name.
STATE = frozenset({"gov", "gob", "gouv", "gv", "go", "mil", "govt", "gub"})
_PARTS = re.compile(r"[@._-]")
#: Shorter local parts are words of their own; longer ones nobody chose.
MIN_LOCAL, MAX_LOCAL = 4, 30
#: Characters at the beginning of a text that hold whom it speaks to, and of the words before.
GREETING, OPENING = 300, 24
_GREETS = re.compile(
    r"(?:dear|hello|hi|hey|attention|user|guten tag|hallo|sehr geehrter?|bonjour|cher|hola|estimado|ol[aá]|"
    r"prezado|caro|ciao|gentile|beste|geachte|witaj|dzie[nń] dobry|mer?haba|say[iı]n|"
    r"здравствуйте|уважаемый|привет|hej|k[aæ]re|tisztelt|stimate|様|尊敬的|亲爱的)[^\n@]{0,12}\Z"
)
#: What the reader's address in the subject counts in mail of known companies.
KNOWN_SHARE = 0.3
#: Lists at a hosting company, through which notices to somebody else are sent on to thousands.
HANDED_ON = ".onmicrosoft.com"
#: Letters of a word of the author's name that are looked for in the address, at least and at most.
MIN_WORD, MAX_BEGINNING = 3, 4
#: Letters of a domain's label that are like another's by no accident; addresses that are compared.
MIN_DOUBLE, MAX_ADDRESSES = 7, 15
#: Octets of each field that names those who are answered.
MAX_NAMED = 600
#: Letters of a domain's label that are no part of other words.
MIN_LABEL = 5
#: Programs write these ids for messages that came without one.
_BY_RECEIVER = re.compile(
    rb"@[^>]*\.(?:mail|prod)\.protection\.outlook\.com|@mx\.google\.com|SMTPIN_ADDED",
    re.I,
)
#: Sent on, and answers in languages whose programs `says_reply` does not know.
_SENT_ON = re.compile(
    r"\s*(?:fwd?|wg|tr|enc|i|vl|ilt|pd|doorst|转发|轉寄|пересл|σχετ|απ|πρθ|رد|إعادة توجيه|ha|vá|"
    r"továbbítás)\s*[:：]",
    re.I,
)
_ID_HOST = re.compile(rb"@([^>\s@]+)>?")
#: Symbols in a name or subject: pictures, signs, dingbats.
_SYMBOL = re.compile("[\u2190-\u21ff\u2300-\u27bf\u2900-\u2bff\U0001f000-\U0001faff\u25a0-\u26ff]")


def find(look: Look) -> Iterator[Found]:
    """The signs of the header."""
    yield from _name(look)
    yield from _address(look)
    yield from _answers(look)
    yield from _readers(look)
    yield from _subject(look)
    yield from _identity(look)


def _name(look: Look) -> Iterator[Found]:
    name = look.name
    if not name:
        if look.domain:
            yield Found("name_none")
        return
    shown = _ADDRESS.search(name) if "@" in name else None
    if shown is not None and look.knowledge.registered(shown[1].lower()) != look.site:
        yield Found("name_other_address", shown[0])
    elif shown is None and "." in name:
        domain = _DOMAIN.search(name)
        if domain is not None and not _is_same(look, look.knowledge.registered(domain[1].lower())):
            yield Found("name_other_domain", domain[0])
    if _has_symbol(name):
        yield Found("name_symbols", name[:60])
    official = look.knowledge.words_of("official")
    if look.is_free_mail and any(word in official for word in look.name_words) and not _is_provider(look):
        yield Found("official_free_mail", f"{name[:60]} at {look.domain}")
    if look.is_free_mail:
        if _is_desk(look):
            yield Found("free_mail_office", look.address)
        if shown is None and _is_unlike(look):
            yield Found("free_mail_unlike", f"{name[:60]} at {look.address}")
    if _is_of_reader(look):
        yield Found("name_of_reader", f"{name[:60]} at {look.domain}")
    if shown is None and not look.is_free_mail:
        own = [word for word in look.name_words if word not in official]
        if _is_unrelated(look, own or look.name_words):
            kind = "official_unrelated" if len(own) < len(look.name_words) else "name_unrelated"
            yield Found(kind, f"{name[:60]} at {look.domain}")
    yield from _written(name)


def _is_same(look: Look, site: str) -> bool:
    """The author's own, or both of one state: `impots.gouv.fr` and `finances.gouv.fr`."""
    above = site.partition(".")[2]
    return site == look.site or (
        above == look.site.partition(".")[2] and not STATE.isdisjoint(above.split("."))
    )


def _has_symbol(text: str) -> bool:
    return not text.isascii() and _SYMBOL.search(text) is not None


def _written(name: str) -> Iterator[Found]:
    """How the name is written."""
    if name.isascii() and not name.isupper():
        return
    letters = [c for c in name if c.isalpha()]
    if len(letters) >= 8 and all(c.isupper() for c in letters) and letters[0].lower() != letters[0]:
        yield Found("name_shouts", name[:60])
    if any(unicodedata.category(c) in ("Cf", "Co") for c in name if c > "\u00ff"):
        yield Found("name_unseen")


def _is_unrelated(look: Look, own: list[str]) -> bool:
    """No word of the name stands in the address, as people's and companies' own do."""
    words = [word for word in own if len(word) >= MIN_WORD and word.isascii()]
    if not words or not STATE.isdisjoint(look.domain.split(".")):
        return False
    address = "".join(c for c in look.address if c.isalnum())
    if any(word[:MAX_BEGINNING] in address for word in words):
        return False
    # Initials: "Federal Trade Commission" is ftc.gov, "Ann Lee" al@ or alee@.
    initials = "".join(word[0] for word in own)
    if len(initials) >= 2 and (initials in address or initials[0] + words[-1][:3] in address):
        return False
    # "Banco do Brasil" is bb.com.br.
    long = "".join(word[0] for word in look.name_words if len(word) >= MIN_WORD)
    return len(long) < 2 or long not in _PARTS.split(look.address)[:-1]


def _is_of_reader(look: Look) -> bool:
    """The name has that of the reader's domain in it, which is not the author's."""
    if not look.recipients or look.document.header.has(b"list-id"):
        return False
    site = look.reader_site
    if site == look.site or site in look.knowledge.words_of("free_mail"):
        return False
    label = site.partition(".")[0]
    return len(label) >= MIN_LABEL and label in "".join(look.name_words)


def _is_desk(look: Look) -> bool:
    """An office's address at a provider for anybody, and not the provider's own."""
    return _DESK.search(look.address.partition("@")[0]) is not None and not _is_provider(look)


def _is_provider(look: Look) -> bool:
    """The provider itself writes: its name, and an address it gives to nobody."""
    local, _, domain = look.address.partition("@")
    if domain.partition(".")[0] not in "".join(look.name_words):
        return False
    return local.replace("-", "") in look.knowledge.words_of("official")


def office_in_text(look: Look) -> str:
    """An office's address at a provider for anybody, in the text of a notice; "" for none."""
    text = f"{look.document.subject} {look.document.text[:MAX_TEXT]}"
    for match in islice(_addresses(text), MAX_ADDRESSES):
        address = match[0].lower()
        if match[1].lower() not in look.knowledge.words_of("free_mail") or address in look.recipients:
            continue
        local = address.partition("@")[0]
        if _DESK.search(local) is not None or _BOOKS.search(local) is not None:
            return address
    return ""


def _addresses(text: str) -> Iterator[re.Match[str]]:
    """The addresses in a text, searched for only where an "@" stands."""
    end = 0
    while (at := text.find("@", end)) >= 0:
        found = _ADDRESS.search(text, max(end, at - MAX_BEFORE))
        if found is None:
            return
        yield found
        end = found.end()


def _is_unlike(look: Look) -> bool:
    """A person's whole name, of which the address knows nothing, not even the initials."""
    words = [word for word in look.name_words if len(word) >= MIN_WORD and word.isascii()]
    local = "".join(c for c in look.address.partition("@")[0] if c.isalnum())
    if len(words) < 2 or any(word[:MAX_BEGINNING] in local for word in words):
        return False
    return "".join(word[0] for word in words) not in local


def _address(look: Look) -> Iterator[Found]:
    domain, knowledge = look.domain, look.knowledge
    if not domain:
        return
    local = look.address.rpartition("@")[0]
    tail = domain.rpartition(".")[2]
    if "." not in domain:
        yield Found("sender_no_domain", domain)
        return
    if knowledge.owners(domain):
        return
    if tail in knowledge.words_of("odd_tld"):
        yield Found("sender_odd_tld", domain)
    elif tail in knowledge.words_of("doubtful_tld"):
        yield Found("sender_doubtful_tld", domain)
    if knowledge.covers("tenant", domain) or knowledge.shared_kind(domain) == "site":
        yield Found("sender_tenant", domain)
    label = look.site.partition(".")[0]
    other = _double(look)
    if other:
        yield Found("sender_double", f"{domain} for {other}")
    if strange.is_random(label) or (domain.count(".") >= 2 and strange.is_random(domain.partition(".")[0])):
        yield Found("sender_random_domain", domain)
    if len(local) > MAX_LOCAL or strange.is_random(local):
        yield Found("sender_random_local", local[:60])
    if label.count("-") >= 2:
        yield Found("sender_hyphens", domain)
    if _has_keyword(label):
        yield Found("sender_keyword", domain)
    if domain.count(".") >= 3 + (look.site.count(".") - 1):
        yield Found("sender_deep", domain)


@lru_cache(REMEMBERED_HOSTS)
def _has_keyword(label: str) -> bool:
    return _KEYWORD.search(label) is not None


def _double(look: Look) -> str:
    """A domain of who is answered or quoted, that the sender's looks like; "" for none."""
    label = look.site.partition(".")[0]
    header = look.document.header
    if len(label) < MIN_DOUBLE or not (is_answer(look) or is_called_answer(look)):
        return ""
    named = b" ".join(header.first(name)[-MAX_NAMED:] for name in (b"references", b"in-reply-to", b"cc"))
    text = f"{named.decode('latin-1')} {look.document.text[:MAX_TEXT]}"
    for match in islice(_addresses(text), MAX_ADDRESSES):
        other = look.knowledge.registered(match[1].lower())
        theirs = other.partition(".")[0]
        if theirs == label or len(theirs) < MIN_DOUBLE:
            continue
        if _is_like(label, theirs):
            return other
    return ""


@lru_cache(REMEMBERED_HOSTS)
def _is_like(one: str, other: str) -> bool:
    return folding.skeleton(one) == folding.skeleton(other) or _is_one_off(one, other)


def _is_one_off(one: str, other: str) -> bool:
    """The same but for one letter more, less, or another, or two for one."""
    begin = 0
    while begin < min(len(one), len(other)) and one[begin] == other[begin]:
        begin += 1
    end = 0
    while end < min(len(one), len(other)) - begin and one[-1 - end] == other[-1 - end]:
        end += 1
    changed, theirs = one[begin : len(one) - end], other[begin : len(other) - end]
    return 0 < max(len(changed), len(theirs)) <= 2 and (changed + theirs).isalpha()


def _answers(look: Look) -> Iterator[Found]:
    header = look.document.header
    domain = look.reply_to.rpartition("@")[2]
    if not domain or look.knowledge.registered(domain) == look.site or header.has(b"list-post"):
        return
    if domain in look.knowledge.words_of("free_mail"):
        name = "reply_to_other_free" if look.is_free_mail else "reply_to_free"
        yield Found(name, look.reply_to)
    else:
        yield Found("reply_to_elsewhere", look.reply_to)


def _readers(look: Look) -> Iterator[Found]:
    header = look.document.header
    if not look.recipients:
        yield Found("to_nobody")
        if look.is_free_mail and not look.document.is_reply:
            yield Found("free_mail_to_nobody", look.domain)
    elif look.address in look.recipients:
        yield Found("to_itself", look.address)
    elif look.recipients[0].endswith(HANDED_ON):
        yield Found("to_handed_on", look.recipients[0])
    if header.has(b"bcc"):
        yield Found("bcc_shown")
    head = look.document.text[:GREETING].lower()
    for address in look.recipients:
        at = head.find(address)
        if at >= 0 and (at < OPENING or _GREETS.search(head[max(at - OPENING, 0) : at]) is not None):
            yield Found("greets_address")
            break


def _subject(look: Look) -> Iterator[Found]:
    subject = look.document.subject
    folded = subject.lower()
    for address in look.recipients:
        if address in folded:
            # Companies that send invitations and mentions know the address.
            share = KNOWN_SHARE if look.knowledge.owners(look.domain) else 1.0
            yield Found("subject_address", address, share)
            break
        local = address.partition("@")[0]
        if len(local) >= MIN_LOCAL and local in _WORD.findall(folded):
            yield Found("subject_local", local)
            break
    if _has_symbol(subject):
        yield Found("subject_symbols")
    if _DIGIT.search(subject) is not None and _NUMBER.search(subject) is not None:
        yield Found("subject_number")
    if not subject.strip():
        yield Found("subject_none")
    if is_called_answer(look) and not is_answer(look):
        yield Found("reply_to_nothing")
    disguise = look.document.disguise
    if disguise.styled or disguise.mixed_words or disguise.invisible >= 3:
        yield Found("letters_disguised", " ".join(disguise.words[:3]))


def is_answer(look: Look) -> bool:
    """It names the message it answers."""
    header = look.document.header
    return header.has(b"references") or header.has(b"in-reply-to")


def is_called_answer(look: Look) -> bool:
    """Its subject says that it answers something, or was sent on."""
    subject = look.document.subject
    return says_reply(subject) or _SENT_ON.match(subject) is not None


def _identity(look: Look) -> Iterator[Found]:
    header = look.document.header
    id_ = header.first(b"message-id")[:300]
    if not id_:
        yield Found("id_none")
    elif _BY_RECEIVER.search(id_) is not None and look.site not in ("outlook.com", "hotmail.com", "live.com"):
        yield Found("id_by_receiver")
    else:
        found = _ID_HOST.search(id_)
        if found is not None and look.site:
            host = found[1].decode("utf-8", "replace").lower()
            if look.knowledge.registered(host) == look.site:
                yield Found("id_home")
            elif "." not in host:
                yield Found("id_no_domain", host[:60])
            elif not look.knowledge.covers("mailer", host):
                yield Found("id_elsewhere", host[:60])
    if not header.has(b"date"):
        yield Found("date_none")
