"""What is done about a DMARC failure: refuse, file as spam, or nothing.

RFC 9989 forbids to refuse mail on the policy alone, so `reject` needs a second reason:
the message looks like spam, or nothing hints at a mailing list or forwarder.

Source: product page, section 2.3; limits, section 4; RFC 9989 section 5.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mailstack.filters.authentication.dmarc import Author
from mailstack.filters.fields import Header
from mailstack.model.verdict import ArcResult, DkimResult, DmarcResult, SpfResult

#: Fields that lists and forwarders leave behind.
_LIST_FIELDS = (
    b"list-id",
    b"list-post",
    b"mailing-list",
    b"x-mailman-version",
    b"x-beenthere",
    b"x-mailing-list",
)
_FORWARD_FIELDS = (b"resent-from", b"resent-sender", b"x-forwarded-to", b"x-forwarded-for", b"arc-seal")

_FROM_LIST = "it came through a mailing list"


@dataclass(frozen=True, slots=True)
class Disposition:
    """What to do.

    Attributes:
        action: "accept", "junk" or "reject".
        applied: the RFC 9989 word: none, quarantine or reject.
        reply: words for the SMTP reply of a refusal.
        override: why less is done than the policy asks for, as RFC 9990 names it.
    """

    action: Literal["accept", "junk", "reject"]
    applied: str
    why: str = ""
    reply: str = ""
    override: Literal["", "local_policy", "mailing_list", "policy_test_mode"] = ""


def decide(
    dmarc: DmarcResult,
    *,
    mode: str,
    is_spam: bool,
    is_definite: bool,
    detour: str,
) -> Disposition:
    """Decides about one message.

    Args:
        mode: the option `dmarc_on_reject`.
        is_spam: the classifier agrees that it is unwanted.
        is_definite: SPF and DKIM gave definite results; a temporary error never refuses.
        detour: the sign of a mailing list or forwarder; "" for none.
    """
    if dmarc.result != "fail":
        return Disposition("accept", "none")
    is_test = dmarc.policy != dmarc.disposition
    if dmarc.disposition not in ("quarantine", "reject"):
        return Disposition("accept", "none", override="policy_test_mode" if is_test else "")
    if dmarc.disposition == "quarantine" or mode == "never":
        why = f"the policy of {dmarc.domain} is {dmarc.policy}"
        if dmarc.disposition == "reject":
            return Disposition("junk", "quarantine", why, override="local_policy")
        return Disposition("junk", "quarantine", why, override="policy_test_mode" if is_test else "")
    if not is_definite:
        why = "not refused: SPF and DKIM gave no definite result"
        return Disposition("junk", "quarantine", why, override="local_policy")
    if mode == "with-evidence" and not is_spam and detour:
        override: Literal["mailing_list", "local_policy"] = (
            "mailing_list" if detour == _FROM_LIST else "local_policy"
        )
        return Disposition("junk", "quarantine", f"not refused: {detour}", override=override)
    reply = (
        f"{dmarc.domain} publishes the DMARC policy {dmarc.policy} and this message fails it:"
        f" {dmarc.why or 'not authenticated'}"
    )
    return Disposition("reject", "reject", reply, reply)


def find_detour(
    header: Header, author: Author, spf: SpfResult, dkim: Sequence[DkimResult], arc: ArcResult, sender: str
) -> str:
    """The first sign that an honest list or forwarder stands between author and us; "" for none."""
    for field in _LIST_FIELDS:
        if header.has(field):
            return _FROM_LIST
    if header.first(b"precedence").lower() == b"list":
        return _FROM_LIST
    if arc.result == "pass" or any(header.has(field) for field in _FORWARD_FIELDS):
        return "it was forwarded"
    if sender.upper().startswith(("SRS0", "SRS1")):
        return "it was forwarded"
    if any(d.result == "pass" and d.domain not in author.domains for d in dkim):
        return "another domain has signed it"
    if spf.result == "pass":
        return "the sending domain is authenticated"
    return ""
