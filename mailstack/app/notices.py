"""The warning somebody finds in an INBOX that is nearly full."""

from __future__ import annotations

from collections.abc import Callable

from mailstack.app import letters
from mailstack.delivery import texts
from mailstack.model.language import Language
from mailstack.model.quota import QuotaState
from mailstack.net.bus import Bus

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


class QuotaNotices:
    """Implements mailbox.notices.Notices for one process."""

    def __init__(self, hostname: str, bus: Bus, *, language_of: Callable[[str], Language]) -> None:
        self._hostname = hostname
        self._bus = bus
        self._language_of = language_of

    def compose(self, address: str, state: QuotaState, level: int, at: int) -> bytes:
        """See Notices.compose."""
        language = self._language_of(address)
        return quota_warning(address, state, level, at, hostname=self._hostname, language=language)

    def stored(self, address: str) -> None:
        """Clients that wait in IDLE see it at once."""
        self._bus.publish("imap", {"event": "mailbox", "account": address, "folder": "INBOX"})


def quota_warning(
    address: str, state: QuotaState, level: int, at: int, *, hostname: str, language: Language
) -> bytes:
    """The whole message; see Notices.compose."""
    return letters.write(
        "quota_full" if state.is_full else "quota_near",
        language,
        to=address,
        message_id=f"quota-{level}-{at}@{hostname}",
        at=at,
        address=address,
        percent=str(level),
        facts="\n".join(_facts(state, language)),
    )


def _facts(state: QuotaState, language: Language) -> list[str]:
    facts = []
    if state.limit_octets is not None:
        used, limit = size(state.used_octets), size(state.limit_octets)
        facts.append(texts.say(language, "letter.quota_facts.octets", used=used, limit=limit))
    if state.limit_messages is not None:
        used, limit = str(state.used_messages), str(state.limit_messages)
        facts.append(texts.say(language, "letter.quota_facts.messages", used=used, limit=limit))
    return facts


def size(octets: int) -> str:
    """An amount for people, in powers of 1024."""
    number, unit = float(octets), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{octets} {_UNITS[0]}"
