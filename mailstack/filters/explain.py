"""What a verdict looks like in a message's header: ours alone, so programs may rely on it.

`X-Mailstack-Verdict: class=ham; score=0.013; action=accept; reason=name:weight,...; words=...`,
or `unfiltered; why=timeout`; X-Mailstack-Outside on mail from outside, where it is wanted; the
X-Spam-* fields that many mail programs know; and where a virus scanner was asked
X-Mailstack-Virus.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailstack.model.verdict import AccountVerdict, MessageVerdict, Reason, VirusScan

#: The reason an account's verdict has when its copy goes to the Spam folder.
JUNK = "filed_as_spam"
#: More reasons than this help nobody; the largest stay.
MAX_REASONS = 20
#: Characters of the words that are shown in the header.
MAX_WORDS_LENGTH = 120
#: Reasons the log tells in words, and characters of each.
MAX_SENTENCES = 6
MAX_SENTENCE = 160
#: What weighs less is not said in words: it would be shown as 0.0.
LEAST_SAID = 0.05
#: Their sentences hold words of the message, or say nothing.
_OF_THE_TEXT = ("words", "prior")

_NAME = re.compile(r"[^a-z0-9_.-]")
_WORDS = re.compile(r"[^ -~]")
_SAID = re.compile(r'"([^"]{1,80})"')
_PLAIN_WORD = re.compile(r"[a-z0-9][a-z0-9.:_@'-]{0,39}\Z", re.IGNORECASE | re.ASCII)


def verdict(message: MessageVerdict, account: AccountVerdict | None = None) -> str:
    """The value of X-Mailstack-Verdict; one line, ASCII."""
    if message.unfiltered:
        return f"unfiltered; why={_plain(message.unfiltered)}"
    klass, score = (account.klass, account.score) if account is not None else (message.klass, message.score)
    value = f"class={klass}; score={score:.3f}; action={_action(message, account)}"
    found = reasons(message.reasons, account.reasons if account is not None else ())
    value = f"{value}; reason={found}" if found else value
    words = _words(message.reasons)
    return f"{value}; words={words}" if words else value


def _words(found: Iterable[Reason]) -> str:
    """The words that weighed most, as far as they are plain: for the reader of the message alone."""
    said = next((reason.why for reason in found if reason.name == "words"), "")
    words = dict.fromkeys(word for quoted in _SAID.findall(said) for word in quoted.split())
    plain = [word for word in words if _PLAIN_WORD.match(word)]
    while sum(len(word) + 1 for word in plain) > MAX_WORDS_LENGTH:
        plain.pop()
    return ",".join(plain)


def virus(scan: VirusScan) -> str:
    """The value of X-Mailstack-Virus: `clean`, `found; name=...`, `not scanned; why=...`."""
    if scan.result == "found":
        return f"found; name={_plain(scan.name)}"
    return "clean" if scan.result == "clean" else f"not scanned; why={_plain(scan.why)}"


def _plain(text: str) -> str:
    return _WORDS.sub("?", text).replace(";", ",")[:120]


def _action(message: MessageVerdict, account: AccountVerdict | None) -> str:
    if account is None:
        return message.action
    return "junk" if is_junk(account) else "accept"


def is_junk(account: AccountVerdict) -> bool:
    """True when this copy goes to the Spam folder."""
    return any(reason.name == JUNK for reason in account.reasons)


def is_personal(account: AccountVerdict, message: MessageVerdict) -> bool:
    """True when the score of an account is not that of the message."""
    return abs(account.score - message.score) >= 0.0005


def reasons(found: Iterable[Reason], own: Iterable[Reason] = ()) -> str:
    """`name:weight,...`, the heaviest first; what no longer fits is added up as "others".

    Args:
        own: of one account; none of them is left out.
    """
    kept = [reason for reason in own if reason.name != JUNK]
    ordered = sorted((r for r in found if r.name != JUNK), key=lambda reason: -abs(reason.weight))
    room = max(0, MAX_REASONS - len(kept))
    if len(ordered) > room:
        rest = sum(reason.weight for reason in ordered[room - 1 :])
        ordered = [*ordered[: room - 1], Reason("others", rest)]
    ordered = sorted((*ordered, *kept), key=lambda reason: -abs(reason.weight))
    return ",".join(f"{_NAME.sub('_', r.name.lower())[:30]}:{r.weight:.2f}" for r in ordered)


def sentences(found: Iterable[Reason]) -> str:
    """The heaviest reasons in words, for the log; those that decide without a weight come first.

    Words of the message itself are left out: they are nobody's but its reader's.
    """
    said = [
        reason
        for reason in found
        if reason.why and reason.name not in (JUNK, *_OF_THE_TEXT) and not 0 < abs(reason.weight) < LEAST_SAID
    ]
    ordered = sorted(said, key=lambda reason: (reason.weight != 0, -abs(reason.weight)))
    parts = [
        f"{reason.why} ({reason.weight:+.1f})" if reason.weight else reason.why
        for reason in ordered[:MAX_SENTENCES]
    ]
    return "; ".join(part[:MAX_SENTENCE] for part in parts)


def headers(
    message: MessageVerdict, account: AccountVerdict | None = None, *, required: float = 0.9
) -> bytes:
    """All our verdict fields for one stored copy, with CRLF.

    Args:
        required: the score from which mail is spam.
    """
    lines = [f"X-Mailstack-Verdict: {verdict(message, account)}"]
    if account is not None and account.is_outside:
        lines.append("X-Mailstack-Outside: yes")
    if message.virus.result:
        lines.append(f"X-Mailstack-Virus: {virus(message.virus)}")
    if not message.unfiltered:
        klass, score = (message.klass, message.score) if account is None else (account.klass, account.score)
        yes = klass == "spam" or (account is not None and is_junk(account))
        lines += [
            f"X-Spam-Flag: {'YES' if yes else 'NO'}",
            f"X-Spam-Score: {score:.3f}",
            f"X-Spam-Status: {'Yes' if yes else 'No'}, score={score:.3f} required={required:.2f}",
        ]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
