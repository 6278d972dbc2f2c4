"""What EHLO announces, by facts.  Nothing is announced that is not carried out.

Standards: RFC 5321 section 4.1.1.1, RFC 1870, 2034, 2920, 3030, 3207, 3461, 4954, 6152,
6531, 8689, 9422.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mailstack.model.reply import Reply
from mailstack.sasl.exchange import MECHANISMS

_OLD: Final = " ".join(MECHANISMS)
#: LOGIN first: some search for the text "AUTH=LOGIN".
_OLDEST: Final = " ".join(reversed(MECHANISMS))


@dataclass(frozen=True, slots=True)
class Offer:
    """The facts behind an EHLO reply.

    Attributes:
        size_octets: largest message of this client.
        recipients: per message of this client.
        messages: per session; None: no limit.
        starttls: TLS can be had and is not active.
        requiretls: TLS is active.
        auth: mechanisms to log in with now.
    """

    hostname: str
    size_octets: int
    recipients: int
    messages: int | None = None
    starttls: bool = False
    auth: tuple[str, ...] = ()
    chunking: bool = False
    binarymime: bool = False
    smtputf8: bool = False
    dsn: bool = False
    requiretls: bool = False


@lru_cache(maxsize=64)
def ehlo(offer: Offer) -> Reply:
    """The reply to EHLO."""
    lines = [
        offer.hostname,
        "PIPELINING",
        f"SIZE {offer.size_octets}",
        "8BITMIME",
        "ENHANCEDSTATUSCODES",
    ]
    # The order is that of the fields.
    for name in ("chunking", "binarymime", "smtputf8", "dsn", "requiretls"):
        if getattr(offer, name):
            lines.append(name.upper())
    if offer.starttls:
        lines.append("STARTTLS")
    if offer.auth:
        # The second form is what printers of the nineties look for, and what they know.
        others = [name for name in offer.auth if name not in MECHANISMS]
        lines += [f"AUTH {' '.join([_OLD, *others])}", f"AUTH={_OLDEST}"]
    mails = f"MAILMAX={offer.messages} " if offer.messages is not None else ""
    lines += [f"LIMITS {mails}RCPTMAX={offer.recipients}", "HELP"]
    return Reply(250, "", "\n".join(lines))
