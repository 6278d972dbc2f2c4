"""What a new address, domain, pattern, folder or script may be called.

Mail is accepted for whatever `model.address` parses.  New names follow a narrower rule,
because other programs, shells and old gateways trip over the rest.  A refusal is one
sentence that names the character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Literal

from mailstack.model.address import Address, AddressError, parse_domain, parse_local
from mailstack.model.directory import NO_LIMIT
from mailstack.model.errors import PermanentFailure
from mailstack.model.language import LANGUAGES, Language, known
from mailstack.model.roles import ARCHIVE, DRAFTS, JUNK, SENT, TRASH, role_of_name

#: RFC 5321 allows these, but gateways read meaning into them (T7) or shells do.
FORBIDDEN = {
    "%": "percent sign",
    "&": "ampersand",
    "!": "exclamation mark",
    "/": "slash",
    "|": "vertical bar",
    "+": "plus sign, which separates the detail of name+detail@",
    "*": "asterisk; for all that do not exist there is 'mailstack user add --kind catchall'",
}
#: RFC 5321 specials that only a quoted local part could hold.
_SPECIALS = '()<>@,;:"[]\\'
_REWRITTEN = ("srs0=", "srs1=", "srs0-", "srs1-", "prvs=", "batv=")
#: The one folder of a filter that may be Spam.
SPAM_FOLDER = "spam folder"
_OTHER_ROLES = (DRAFTS, SENT, TRASH, ARCHIVE)
MAX_FOLDER_OCTETS = 255
MAX_FOLDER_DEPTH = 10
MAX_SCRIPT_NAME_OCTETS = 512
MAX_PERSON_NAME = 200

_LIMIT_WORDS = {"none": NO_LIMIT, "unlimited": NO_LIMIT, "default": None}


def new_address(text: str) -> Address:
    """An address to be made.

    Raises:
        PermanentFailure: a sentence that says what is wrong with it (status 1.3).
    """
    local, at, domain = text.rpartition("@")
    if not at:
        raise not_an_address(text, "there is no @ in it")
    _check_characters(text, unicodedata.normalize("NFC", local))
    try:
        address = Address(parse_local(local), parse_domain(domain))
    except AddressError as error:
        raise not_an_address(text, str(error)) from None
    _check_shape(text, address.local)
    return address


def any_address(text: str) -> Address:
    """An address that need not be ours: the wide rule of mail.

    Raises:
        PermanentFailure: it is not an address (status 1.3).
    """
    try:
        address = Address.parse(text)
    except AddressError as error:
        raise not_an_address(text, str(error)) from None
    if address.domain.startswith("["):
        raise not_an_address(text, "an address literal instead of a domain name")
    return address


def unique_addresses(texts: Iterable[str]) -> list[Address]:
    """Each address once, in order, as first written.

    Raises:
        PermanentFailure: one is not an address.
    """
    found: dict[str, Address] = {}
    for text in texts:
        address = any_address(text)
        found.setdefault(address.key, address)
    return list(found.values())


def new_domain(text: str) -> str:
    """The A-label name of a domain to be added.

    Raises:
        PermanentFailure: a sentence that says what is wrong with it.
    """
    if "@" in text:
        raise PermanentFailure(f"{text!r} cannot be a domain: it is an address")
    try:
        name = parse_domain(text.removesuffix("."))
    except AddressError as error:
        raise PermanentFailure(f"{text!r} cannot be a domain: {error}") from None
    labels = name.split(".")
    if name.startswith("["):
        why = "it is an address literal"
    elif len(labels) < 2:
        why = "it has only one part; write it in full, such as example.org"
    elif any("_" in label for label in labels):
        why = "the character '_' may not stand in a mail domain"
    elif labels[-1].isdigit():
        why = "its last part is a number"
    elif any(label[2:4] == "--" and not label.startswith("xn--") for label in labels):
        why = "a part with '--' in third place is reserved"
    else:
        return name
    raise PermanentFailure(f"{text!r} cannot be a domain: {why}")


def sender_pattern(text: str) -> str:
    """A pattern of a block or allow list: an address, or a domain, also as "@domain" or "*@domain".

    Returns:
        The address's key, or the domain as A-labels.

    Raises:
        PermanentFailure: neither, or another wildcard.
    """
    if text.startswith("*@"):
        text = text[1:]
    wildcard = next((c for c in text if c in "*?"), "")
    if wildcard:
        raise PermanentFailure(
            f"{text!r} cannot be a pattern: there are no wildcards such as {wildcard!r};"
            " give an address, or a whole domain such as example.org"
        )
    if "@" in text.removeprefix("@"):
        return any_address(text).key
    try:
        domain = parse_domain(text.removeprefix("@").removesuffix("."))
    except AddressError as error:
        raise PermanentFailure(f"{text!r} is neither an address nor a domain: {error}") from None
    if domain.startswith("[") or domain.rpartition(".")[2].isdigit():
        raise PermanentFailure(f"{text!r} is no sender: lists hold addresses and domains, not IP addresses")
    if "." not in domain:
        raise PermanentFailure(f"{text!r} is neither an address nor a whole domain such as example.org")
    return domain


def filter_folder(text: str, *, what: str) -> str:
    """The folder a filter files into.

    Args:
        what: what it is for: SPAM_FOLDER, or another in words.

    Raises:
        PermanentFailure: not a folder name, or a folder that has another purpose.
    """
    name = unicodedata.normalize("NFC", text)
    role = role_of_name(name)
    if name.casefold() == "inbox" or role in _OTHER_ROLES or (role == JUNK and what != SPAM_FOLDER):
        raise PermanentFailure(f"the {what} cannot be {text!r}: that folder has another purpose")
    levels = name.split("/")
    bad = next((c for c in name if not c.isprintable()), "")
    if bad or not all(level.strip() for level in levels):
        why = f"the character {bad!r} may not stand in it" if bad else "a part of it is empty"
        raise PermanentFailure(f"the {what} cannot be {text!r}: {why}")
    if len(name.encode("utf-8", "replace")) > MAX_FOLDER_OCTETS or len(levels) > MAX_FOLDER_DEPTH:
        raise PermanentFailure(
            f"the {what} has more than {MAX_FOLDER_OCTETS} octets or {MAX_FOLDER_DEPTH} levels"
        )
    return name


def script_name(text: str) -> str:
    """The name of a Sieve script.

    Raises:
        PermanentFailure: empty, too long, or with control characters.

    Source: RFC 5804 section 1.6.
    """
    return item_name(text, what="a script's name")


def item_name(text: str, *, what: str) -> str:
    """The name somebody gives to something of theirs, by the rule of scripts.

    Args:
        what: whose it is, e.g. "a script's name".

    Raises:
        PermanentFailure: empty, too long, or with control characters.
    """
    name = unicodedata.normalize("NFC", text)
    if not name or len(name.encode("utf-8", "replace")) > MAX_SCRIPT_NAME_OCTETS:
        raise PermanentFailure(f"{what} has 1 to {MAX_SCRIPT_NAME_OCTETS} octets")
    bad = next((c for c in name if not c.isprintable() or c in "/\\"), "")
    if bad or name.startswith("."):
        raise PermanentFailure(f"the character {bad or '.'!r} may not stand there in {what}")
    return name


def person_name(text: str) -> str:
    """The display name of an account.

    Raises:
        PermanentFailure: too long, or with control characters.
    """
    name = unicodedata.normalize("NFC", text.strip())
    bad = next((c for c in name if not c.isprintable()), "")
    if bad:
        raise PermanentFailure(f"the character {bad!r} may not stand in a name")
    if len(name) > MAX_PERSON_NAME:
        raise PermanentFailure(f"a name has at most {MAX_PERSON_NAME} characters")
    return name


def language(text: str) -> Language | Literal[""]:
    """A language we write, by its tag ("de", "de-CH"); "" and "default": none is chosen.

    Raises:
        PermanentFailure: another one.
    """
    if text in ("", "default"):
        return ""
    found = known(text)
    if found is None:
        raise PermanentFailure(f"{text!r} is not a language mailstack writes: {', '.join(LANGUAGES)}")
    return found


def quota_octets(text: str) -> int | None:
    """Octets of "500M", "10G", "1T", "2000000"; NO_LIMIT for "none", None for "default".

    Raises:
        PermanentFailure: not a size, or 0.
    """
    if (word := text.strip().lower()) in _LIMIT_WORDS:
        return _LIMIT_WORDS[word]
    plain = text.strip().upper().removesuffix("B").removesuffix("I")
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}.get(plain[-1:], 1)
    digits = plain[:-1] if factor > 1 else plain
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 15:
        raise PermanentFailure(f"{text!r} is not a size; write it like 500M, 10G, none or default")
    octets = int(digits) * factor
    if octets >= 1 << 60:
        raise PermanentFailure(f"{text!r} is more than any disk holds; write 'none' for no quota")
    return _above_zero(octets)


def quota_messages(text: str) -> int | None:
    """A number of messages; NO_LIMIT for "none", None for "default".

    Raises:
        PermanentFailure: not a number, or 0.
    """
    if (word := text.strip().lower()) in _LIMIT_WORDS:
        return _LIMIT_WORDS[word]
    plain = text.strip()
    if not (plain.isascii() and plain.isdigit()) or len(plain) > 12:
        raise PermanentFailure(f"{text!r} is not a number of messages; write it like 50000, none or default")
    return _above_zero(int(plain))


def _above_zero(limit: int) -> int:
    # In the configuration 0 is no limit; here it would be a mailbox that takes nothing.
    if limit == 0:
        raise PermanentFailure("0 would refuse all mail; write 'none' for no limit")
    return limit


def expiry_days(text: str) -> int | None:
    """Days of "30"; 0 for "never", None for "default".

    Raises:
        PermanentFailure: none of these.
    """
    if text.strip().lower() == "default":
        return None
    found = days(text)
    if found == 0:
        raise PermanentFailure("want at least one day, never, or default")
    return found or 0


def days(text: str) -> int | None:
    """Days of "30"; None for "never".

    Raises:
        PermanentFailure: neither.
    """
    plain = text.strip()
    if plain.lower() == "never":
        return None
    if not (plain.isascii() and plain.isdigit()) or len(plain) > 6:
        raise PermanentFailure(f"{text!r} is not a number of days; write it like 30, or never")
    return int(plain)


def not_an_address(text: str, why: str) -> PermanentFailure:
    """Says that a text somebody wrote is no address, and how one is written (status 1.3)."""
    shown = text if len(text) <= 100 else text[:100] + "..."
    return PermanentFailure(
        f"{shown!r} cannot be an address: {why}; write it like ann@example.org", status="1.3"
    )


def _check_characters(text: str, local: str) -> None:
    for character in local:
        if character in FORBIDDEN:
            why = f"the character {character!r} ({FORBIDDEN[character]}) may not stand in a new address"
        elif character == " ":
            why = "a space may not stand in it"
        elif character in _SPECIALS:
            why = f"the character {character!r} may not stand in it"
        elif not character.isascii() and unicodedata.category(character)[0] not in "LMN":
            why = f"the character {character!r} is neither a letter nor a digit"
        elif character.isascii() and not character.isprintable():
            why = f"the control character {character!r} may not stand in it"
        else:
            continue
        raise not_an_address(text, why)


def _check_shape(text: str, local: str) -> None:
    lower = local.lower()
    if lower.startswith(_REWRITTEN):
        raise not_an_address(text, f"it begins with {local[:5]!r}, which marks rewritten senders")
    if local.startswith("-"):
        raise not_an_address(text, "the character '-' may not stand first")
    scripts = {_script(c) for c in local if unicodedata.category(c)[0] == "L"}
    for group in _MIXABLE:
        if scripts <= group:
            return
    if len(scripts) > 1:
        raise not_an_address(text, f"it mixes {' and '.join(sorted(scripts))} letters, which look alike")


#: Scripts that are written together.
_MIXABLE = (
    {"LATIN"},
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},
    {"LATIN", "CJK", "HANGUL"},
    {"LATIN", "CJK", "BOPOMOFO"},
)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNNAMED").split(" ")[0].split("-")[0]
