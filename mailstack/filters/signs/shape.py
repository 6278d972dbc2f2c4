"""How a message is built to deceive: pictures for text, hidden words, forms, attachments."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mailstack.filters.signs.look import MAX_TEXT, Found, Look

#: Characters of hidden text that are no accident; previews of newsletters have fewer.
MUCH_HIDDEN = 400
#: Characters of text under which a message says little but "click".
LITTLE_TEXT = 600
_PHONE = re.compile(
    r"\+?1?[\s.(-]{0,2}8(?:00|33|44|55|66|77|88)[\s.)-]{1,3}\d{3}[\s.-]{1,2}\d{4}|\(?\b[2-9]\d{2}\)?[\s.-]{1,2}\d{3}[\s.-]{1,2}\d{4}\b"
    r"|\+?1?[\s.-]{0,2}\(\d{3}\)[\s.-]{0,2}\d{3}[\s.-]{1,2}\d{4}\b"
    r"|(?:\+|\b00)\d{1,3}[\s.()-]{0,2}\d{1,4}(?:[\s.()-]{1,2}\d{2,4}){2,4}\b|\b0\s?[89]\d{2}(?:[\s.-]\d{2,4}){2,3}\b"
)
#: A password given along: "Password: abcd" at the end of a line, "the key is ab12" with a digit anywhere.
_PASSWORD = re.compile(
    r"\b(?:pass(?:word|wort|code|wd)?|pwd?|kennwort|wachtwoord|mot de passe|code|contrase[nñ]a|clave|senha|"
    r"parola|parool|has[lł]o|heslo|jelsz[oó]|adgangskode|l[oö]senord(?:et)?|passord|salasana|[sş]ifre(?:si)?|"
    r"[sš]ifra|lozinka|geslo|parol[aăeėā]|slapta[zž]odis|kata ?(?:sandi|laluan)|m[aậ]t kh[aẩ]u|"
    r"парол[ьяіа](?:та)?|κωδικ[οό]ς|密码|密碼|パスワード|암호|비밀번호|كلمة (?:المرور|السر)|סיסמה|"
    r"รหัส(?:ผ่าน|เปิดไฟล์)?)"
    r"(?:[^\n:：]{0,24}(?:[:：]\s{0,3}|\s(?:is|ist|es|est|è|é|to|je|jest|este|är|er|on)\s)\S{3,16}[ \t\r]*$"
    r"|[^\n\d]{0,24}?[ :：][A-Za-z#@]{0,8}\d[\w#@!-]{2,14}(?=[\s.,。]|\Z))",
    re.I | re.M,
)
_BIG = re.compile(r"[1-9]\d{0,2}[.,' ]\d{3}[.,' ]\d{3}")
_MILLIONS = frozenset(
    {
        "million",
        "millions",
        "millionen",
        "millones",
        "milioni",
        "milhoes",
        "miljoen",
        "milionow",
        "миллион",
        "миллионов",
    }
)
_ABOUT_MONEY = frozenset({"fund", "trust", "invest", "loan", "prize"})
#: Ways to hide text that no preview of a newsletter needs.
_SLY = frozenset({"colour", "font-size", "off-screen", "opacity", "clipped", "visibility"})
_ENCRYPTED = frozenset({"encrypted"})
_TRICKS = frozenset(
    {
        *("double-extension", "reversed-name", "blanks-in-name", "path-in-name", "type-lies"),
        *("holds-program", "holds-disk-image"),
    }
)
_DISGUISES = frozenset({"double-extension", "reversed-name", "blanks-in-name", "type-lies"})
_ACTIVE = frozenset({"form", "password", "smuggling", "script", "refresh"})


def find(look: Look) -> Iterator[Found]:
    """The signs of how it is built."""
    yield from _page(look)
    yield from _attachments(look)
    yield from _figures(look)


def _page(look: Look) -> Iterator[Found]:
    document = look.document
    html = document.html
    if document.is_one_picture and look.ways:
        yield Found("picture_for_text")
    if document.has_drawn_picture:
        yield Found("picture_drawn")
    if html.reversed_texts:
        yield Found("text_reversed")
    if look.is_free_mail and html.linked_images and not document.is_reply:
        yield Found("free_mail_page")
    hidden = html.hidden_characters
    if hidden > MUCH_HIDDEN and not _SLY.isdisjoint(html.hidden_how):
        yield Found("hidden_text", f"{hidden} characters")
    if hidden > MUCH_HIDDEN and hidden > 2 * len(document.text):
        yield Found("hidden_more_than_seen")
    if html.password_fields:
        yield Found("password_field")
    elif html.forms:
        yield Found("form")
    if html.refreshes or html.frames or html.bases:
        yield Found("page_turns_away")
    if html.smuggling:
        yield Found("smuggling", " ".join(html.smuggling[:3]))
    if html.characters and look.ways and len(document.text) < LITTLE_TEXT:
        yield Found("little_text")


def _attachments(look: Look) -> Iterator[Found]:
    names: set[str] = set()
    for one in look.document.attachments[:20]:
        tricks = one.tricks
        if one.is_suspicious_archive:
            names.add("archive_suspicious")
        if one.kind == "program" and not _DISGUISES.isdisjoint(tricks):
            names.add("program_disguised")
        if one.kind == "program" or not _TRICKS.isdisjoint(tricks):
            names.add("program_attached")
        elif one.kind in ("html", "svg"):
            names.add("attached_page_active" if not _ACTIVE.isdisjoint(tricks) else "attached_page")
        elif one.kind == "archive" and not _ENCRYPTED.isdisjoint(tricks):
            names.add("attached_locked")
        elif one.kind in ("disk-image", "onenote"):
            names.add("attached_image_of_disk")
        elif "macros" in tricks or "remote-template" in tricks or "launches" in tricks:
            names.add("attached_macros")
        elif one.kind == "pdf" and len(look.document.text) < LITTLE_TEXT and not look.ways:
            names.add("attached_for_text")
    if any(one.kind == "archive" for one in look.document.attachments[:20]) and _PASSWORD.search(
        look.document.text[:MAX_TEXT]
    ):
        names.add("attached_with_password")
    for name in sorted(names):
        yield Found(name)


def has_phone(look: Look) -> bool:
    """A telephone number stands in it."""
    return _PHONE.search(look.document.text[:MAX_TEXT]) is not None


def _figures(look: Look) -> Iterator[Found]:
    text = look.document.text[:MAX_TEXT]
    kinds = look.kinds
    if "coin" in kinds:
        yield Found("coin_address")
    if "charged" in kinds and "call" in kinds and has_phone(look):
        yield Found("phone_to_call")
    if not _ABOUT_MONEY.isdisjoint(kinds) and (
        not _MILLIONS.isdisjoint(look.text.words) or _BIG.search(text) is not None
    ):
        yield Found("millions")
