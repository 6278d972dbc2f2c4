"""How many recipients and how large a message may be, for whom.

Recipients are RCPT commands after duplicates are removed, before aliases are expanded
(limits, section 2).
"""

from __future__ import annotations

from mailstack.model.directory import Account
from mailstack.model.reply import Reply
from mailstack.smtp.options import SmtpOptions


def recipients(account: Account | None, options: SmtpOptions) -> int:
    """Recipients one message may have.  `account`: who logged in; None on MX."""
    if account is None:
        return options.mx_recipients
    own = account.sending.recipients
    if own is not None:
        return own
    if account.sending.is_list:
        return options.list_recipients
    if account.kind == "device":
        return options.device_recipients
    return options.free_recipients if account.plan == "free" else options.normal_recipients


def recipients_key(account: Account | None) -> str:
    """The option that `recipients` took its number from."""
    if account is None:
        return "smtp.mx_recipients"
    if account.sending.recipients is not None:
        return "the account's own ('mailstack user limits')"
    if account.sending.is_list:
        return "smtp.list_recipients"
    kind = account.kind if account.kind == "device" else "free" if account.plan == "free" else "normal"
    return f"smtp.{kind}_recipients"


def message_octets(account: Account | None, options: SmtpOptions) -> int:
    """Octets one message may have; never more than what everybody may send."""
    if account is None:
        return options.message_octets
    own = account.sending.message_octets
    if own is None:
        own = options.free_message_octets if account.plan == "free" else options.message_octets
    return min(own, options.message_octets)


def too_many_recipients(account: Account | None, limit: int) -> Reply:
    """The answer to the first RCPT above the limit.

    From outside: try the rest later (RFC 5321 section 4.5.3.1.10).  From an account:
    nothing of the message goes out, so that it is not sent to half of them.
    """
    if account is None:
        return Reply(452, "5.3", f"Too many recipients; {limit} per message, send the others after them")
    return Reply(550, "5.3", f"this account may address at most {limit} recipients per message")
