"""The words of the warning somebody finds in an INBOX that is nearly full.

Standards: RFC 5322, RFC 3834 section 5 (Auto-Submitted).
"""

from __future__ import annotations

from mailstack.app.letters import letter
from mailstack.model.quota import QuotaState
from mailstack.net.bus import Bus

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


class QuotaNotices:
    """Implements mailbox.notices.Notices for one process."""

    def __init__(self, hostname: str, bus: Bus) -> None:
        self._hostname = hostname
        self._bus = bus

    def compose(self, address: str, state: QuotaState, level: int, at: int) -> bytes:
        """See Notices.compose."""
        return quota_warning(address, state, level, at, hostname=self._hostname)

    def stored(self, address: str) -> None:
        """Clients that wait in IDLE see it at once."""
        self._bus.publish("imap", {"event": "mailbox", "account": address, "folder": "INBOX"})


def quota_warning(address: str, state: QuotaState, level: int, at: int, *, hostname: str) -> bytes:
    """The whole message; see Notices.compose."""
    subject = "Your mailbox is full" if state.is_full else f"Your mailbox is {level} % full"
    text = "\r\n".join([*_lines(state), ""])
    return letter(address, subject, text, message_id=f"quota-{level}-{at}@{hostname}", at=at)


def _lines(state: QuotaState) -> list[str]:
    lines = ["Your mailbox is full." if state.is_full else "Your mailbox is nearly full.", ""]
    if state.limit_octets is not None:
        lines.append(f"  Size:      {size(state.used_octets)} of {size(state.limit_octets)}")
    if state.limit_messages is not None:
        lines.append(f"  Messages:  {state.used_messages} of {state.limit_messages}")
    if state.is_full:
        lines += ["", "New messages are sent back to their senders' servers, which try again for a", "while."]
    else:
        lines += ["", "When it is full, new messages no longer arrive."]
    return [
        *lines,
        "",
        "To make room, delete messages you no longer need, those with large",
        "attachments first, and expunge or move them to Trash.  What lies in Spam and",
        "Trash does not count.  If you need more room, ask those who run this mail",
        "server.",
    ]


def size(octets: int) -> str:
    """An amount for people, in powers of 1024."""
    number, unit = float(octets), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{octets} {_UNITS[0]}"
