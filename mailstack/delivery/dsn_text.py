"""What a report says to people: who answered what, what it means, what to do.

In the language of who reads it: the one its owner or domain has chosen, for an address here;
else the first that the mail program of the message names; else the server's.

Standards: RFC 3461 section 6.1, RFC 3282 (Content-Language, Accept-Language).
Imports: mime, model.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from datetime import UTC, datetime

from mailstack.delivery import texts
from mailstack.delivery.dsn_facts import (
    GOOD,
    MAX_HEADER_OCTETS,
    Action,
    Original,
    Reported,
    Site,
    said,
    shown_address,
)
from mailstack.delivery.words import explain
from mailstack.mime import generate
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import Headers
from mailstack.model.language import Language, preferred

#: In this order, each with its opening sentence.
_GROUPS: tuple[Action, ...] = ("failed", "delayed", "relayed", "delivered", "expanded")
_MAX_SUBJECT = 200
_WIDTH = 76


def language_of(original: Original, site: Site, to: str, *, is_here: bool) -> Language:
    """The language of a report to `to`.

    Args:
        is_here: `to` is a mailbox here.
    """
    chosen = site.chosen(to) if is_here else None
    if chosen is not None:
        return chosen
    headers = Headers.parse(original.octets[:MAX_HEADER_OCTETS])
    for name in ("accept-language", "content-language"):
        found = preferred((headers.first(name) or b"").decode("ascii", "replace"))
        if found is not None:
            return found
    return site.language


def subject(original: Original, told: Sequence[Reported], language: Language) -> str:
    """The subject of a report."""
    actions = {one.action for one in told}
    kind = next((kind for kind in ("failed", "delayed") if kind in actions), "")
    kind = kind or ("delivered" if actions == {"delivered"} else "relayed")
    to = shown_address(original, told[0])
    if len(told) > 1:
        to = texts.say(language, "report.more", address=to, count=str(len(told) - 1))
    return texts.say(language, f"report.subject.{kind}", to=to)


def text_part(
    original: Original,
    told: Sequence[Reported],
    site: Site,
    language: Language,
    *,
    postmaster: str,
    is_full: bool,
    now: float,
) -> bytes:
    """The first part of a report: its header and text.

    Args:
        is_full: the whole message is returned.
        now: Unix seconds.
    """
    lines = [texts.say(language, "report.server", host=site.hostname), ""]
    for action in _GROUPS:
        group = [one for one in told if one.action == action]
        if group:
            lines += [*_wrap(texts.text(language, f"report.opening.{action}")), ""]
            for one in group:
                lines += [*_about(original, one, language, now), ""]
    lines += [*_wrap(_which(original, language, is_full=is_full)), ""]
    lines += [*_wrap(texts.say(language, "report.questions", postmaster=postmaster)), ""]
    return _encoded("\n".join(lines), language)


def _about(original: Original, one: Reported, language: Language, now: float) -> list[str]:
    lines = [f"  {generate.clean(shown_address(original, one))}"]
    if one.action in GOOD:
        return lines
    host = generate.clean(one.host)
    if not host:
        who = texts.text(language, "report.says")
    else:
        who = texts.say(language, "report.says_of" if one.is_ours else "report.answered", host=host)
    lines += _wrap(who, "    ")
    lines += [part for line in said(original, one) for part in _wrap(line, "      ")]
    if one.action == "delayed":
        if one.until is not None:
            lines += _wrap(texts.say(language, "report.until", until=_stamp(one.until)), "    ")
        return lines
    if one.reply.is_temporary and one.at is not None and one.at > original.arrived_at:
        since = _stamp(original.arrived_at)
        lines += _wrap(texts.say(language, "report.tried", since=since, until=_stamp(now)), "    ")
    words = explain(one.reply, language, is_ours=one.is_ours or not host)
    lines += _wrap(texts.say(language, "report.that_means", text=words.means), "    ")
    lines += _wrap(texts.say(language, "report.you_can", text=words.todo), "    ")
    return lines


def _which(original: Original, language: Language, *, is_full: bool) -> str:
    headers = Headers.parse(original.octets[:MAX_HEADER_OCTETS])
    about = generate.clean(decode_words(headers.first("subject") or b""))[:_MAX_SUBJECT]
    when = _stamp(original.arrived_at)
    arrived = (
        texts.say(language, "report.arrived_subject", when=when, subject=about, id=original.id)
        if about
        else texts.say(language, "report.arrived", when=when, id=original.id)
    )
    return f"{arrived}  {texts.text(language, 'report.message' if is_full else 'report.header')}"


def _stamp(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _wrap(text: str, indent: str = "") -> list[str]:
    """Lines of at most _WIDTH characters; a longer word stands on a line of its own."""
    lines: list[str] = []
    line = indent
    for word in text.split(" "):
        if line.strip() and len(line) + 1 + len(word) > _WIDTH:
            lines.append(line.rstrip())
            line = indent
        line += word if line == indent else f" {word}"
    return [*lines, line.rstrip()]


def _encoded(text: str, language: Language) -> bytes:
    head = f"Content-Language: {language}\r\n".encode("ascii")
    if text.isascii() and all(len(line) < generate.MAX_LINE_OCTETS for line in text.split("\n")):
        head += b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
        return head + text.encode("ascii").replace(b"\n", b"\r\n")
    head += b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head + quoted_printable(text.encode("utf-8", "replace"))


def quoted_printable(octets: bytes) -> bytes:
    """Lines of at most 76 characters, with CRLF."""
    encoded = binascii.b2a_qp(octets.replace(b"\r\n", b"\n"), istext=True)
    return encoded.replace(b"\n", b"\r\n")
