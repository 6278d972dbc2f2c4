"""How much an account may send in an hour and a day, and what it is told when it is enough.

The counting is in state/sending; here are the limits in force and the words.
"""

from __future__ import annotations

from typing import Final

from mailstack.model.containment import Contained
from mailstack.model.directory import NO_LIMIT, Account
from mailstack.model.reply import Reply
from mailstack.model.sending import LIMITS, Caps, LimitName, Over
from mailstack.smtp.options import cap
from mailstack.smtp.sending_options import SendingOptions

_DAY_S: Final = 86_400

_SENTENCES: Final[dict[LimitName, str]] = {
    "messages_per_hour": "{login} may send {limit} messages an hour and has sent them",
    "messages_per_day": "{login} may send {limit} messages in 24 hours and has sent them",
    "recipients_per_hour": "{login} may write to {limit} recipients an hour, has written to {used}",
    "recipients_per_day": "{login} may write to {limit} recipients in 24 hours, has written to {used}",
    "new_recipients_per_hour": "{login} may write to {limit} recipients an hour for the first time, has"
    " written to {used}",
    "new_recipients_per_day": "{login} may write to {limit} recipients in 24 hours for the first time, has"
    " written to {used}",
}


def plan_of(account: Account) -> str:
    """Which of the four sets of limits: list, device, free or normal."""
    if account.sending.is_list:
        return "list"
    return "device" if account.kind == "device" else account.plan


def caps_of(account: Account, options: SendingOptions) -> Caps:
    """The limits in force: the account's own, else its plan's."""
    plan = plan_of(account)
    found: dict[str, int | None] = {}
    for name in LIMITS:
        own: int | None = getattr(account.sending, name)
        if own is None:
            found[name] = cap(getattr(options, f"{plan}_{name}"))
        else:
            found[name] = None if own == NO_LIMIT else own
    return Caps(**found)


def key_of(account: Account, name: LimitName) -> str:
    """Where a limit in force comes from, for the log: its configuration key, or the account."""
    if getattr(account.sending, name) is not None:
        return "the account's own ('mailstack user limits')"
    return f"sending.{plan_of(account)}_{name}"


def counts_new(account: Account, started_at: float, options: SendingOptions, now: float) -> bool:
    """True once first-time recipients are limited, not only learned.

    Args:
        started_at: since when correspondents are learned here; Unix seconds.
    """
    since = max(account.created_at, started_at)
    return now - since >= options.new_recipients_after_days * _DAY_S


def strangers(account: Account, recipients: list[str]) -> list[str]:
    """Those of the recipients (address keys) who can be first-time ones: not its own domain.

    Lists have subscribers, not correspondents.
    """
    if account.sending.is_list:
        return []
    own = f"@{account.address.domain}"
    return [recipient for recipient in recipients if not recipient.endswith(own)]


def new_limit(caps: Caps, *, counts_new: bool) -> int | None:
    """First-time recipients an account may have in an hour, None where their number means nothing."""
    return caps.new_recipients_per_hour if counts_new else None


def stopped(account: Account, found: Contained) -> Reply:
    """The words for an account whose mail looks like a thief's; 5xx for devices, as for limits."""
    text = (
        f"{account.address} sends nothing more for now, because its mail looks as if somebody else had the"
        f" password ({found.why}); change the password and ask your postmaster to release it"
    )
    return Reply(550 if account.kind == "device" else 450, "7.1", text, "contained")


def refusal(account: Account, over: Over) -> Reply:
    """The words for a limit that stands in the way.

    4xx, so that programs with a queue try again.  5xx for what could never go, and for
    devices: most have no queue, and show an error only for 5xx.  The log's word is the
    limit's name.
    """
    sentence = _SENTENCES[over.name].format(login=account.address, limit=over.limit, used=over.used)
    if over.wanted and not over.name.startswith("messages"):
        sentence += f", and this message has {over.wanted}"
    if over.limit == 0:
        return Reply(550, "7.1", f"{account.address} may not send mail: one of its limits is 0", over.name)
    if over.wait_s is None:
        return Reply(
            550, "7.1", f"{sentence}; send it to fewer at a time, or ask for a higher limit", over.name
        )
    text = f"{sentence}; try again in {_span(over.wait_s)}"
    return Reply(550 if account.kind == "device" else 450, "7.1", text, over.name)


def _span(seconds: float) -> str:
    minutes = max(1, -int(-seconds // 60))
    if minutes < 120:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{-(-minutes // 60)} hours"
