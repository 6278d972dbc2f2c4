"""Whether a message was here before: a token of each address it was delivered to.

The token is keyed, so that nobody outside can make mail bounce by writing our Delivered-To
into it, and a Delivered-To from elsewhere (a message that was resent) is no loop.  It stands
on stored copies and on what a redirection sends on (S41).  Circles that strip it end with
the memory of what was sent on (`state/passed_on`), or with the hop limit.

Standards: RFC 5321 section 6.3, RFC 9228 (Delivered-To).
"""

from __future__ import annotations

import base64
import hmac
import itertools
import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from mailstack.mime.header import Headers
from mailstack.model.address import Address
from mailstack.model.reply import Reply
from mailstack.model.verdict import AccountVerdict, RejectMail
from mailstack.routing.expand import HeldBack, Lost, Plan, RemoteTarget

FIELD = "X-Mailstack-Loop"
#: What the key of the tokens is derived for.
PURPOSE = "Delivered-To tokens"
#: Tokens of one message that are looked at.
MAX_TOKENS = 100

_RETURNED = re.compile(rb"^X-Mailstack-Loop:[ \t]{1,8}([a-z2-7]{24})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_TOKEN = re.compile(rb"\s*([a-z2-7]{24})\s*\Z")


def token(key: bytes, address: Address) -> str:
    """The token of one of our addresses: 120 bits."""
    digest = hmac.digest(key, b"delivered\0" + address.key.encode(), "sha256")
    return base64.b32encode(digest[:15]).decode("ascii").lower()


def lines(key: bytes, addresses: Iterable[Address]) -> bytes:
    """The header fields that say it was delivered to these."""
    return b"".join(f"{FIELD}: {token(key, address)}\r\n".encode() for address in addresses)


def find(head: bytes) -> frozenset[str]:
    """The tokens a message carries.  `head`: its header block."""
    if FIELD.lower().encode() not in head.lower():
        return frozenset()
    values = Headers.parse(head).all(FIELD.lower())[:MAX_TOKENS]
    return frozenset(found[1].decode("ascii") for value in values if (found := _TOKEN.match(value)))


def find_returned(message: bytes) -> frozenset[str]:
    """The tokens of a message that came back inside another, such as a bounce."""
    found = _RETURNED.finditer(message)
    return frozenset(one[1].decode("ascii") for one in itertools.islice(found, MAX_TOKENS))


def circling(plan: Plan, tokens: frozenset[str], key: bytes) -> frozenset[str]:
    """Keys of the addresses in the plan that had the message before."""
    if not tokens:
        return frozenset()
    addresses = [target.account.address for target in plan.locals]
    addresses += [remote.owner for remote in plan.remotes if remote.owner is not None]
    return frozenset(address.key for address in addresses if token(key, address) in tokens)


def is_only_circling(plan: Plan, circling_: frozenset[str]) -> bool:
    """True when nothing of the plan is left without the addresses that had it before."""
    ids = {t.account.id for t in plan.locals if t.account.address.key in circling_}
    locals_left = any(t.account.id not in ids and t.is_addressed for t in plan.locals)
    remotes_left = any(
        remote.via not in ids and (remote.owner is None or remote.owner.key not in circling_)
        for remote in plan.remotes
    )
    return not (locals_left or remotes_left)


def without(plan: Plan, circling_: frozenset[str]) -> Plan:
    """The plan less what aliases that had it before would send on; their RCPTs are refused."""
    cut = [r for r in plan.remotes if not r.via and r.owner is not None and r.owner.key in circling_]
    if not cut:
        return plan
    left = tuple(remote for remote in plan.remotes if remote not in cut)
    refused = tuple((remote.recipient, refusal(remote.recipient.address)) for remote in cut)
    reached = plan.reached & _numbers(plan, left)
    lost = (*plan.lost, *(Lost(recipient, reply.check, reply.text) for recipient, reply in refused))
    return replace(plan, remotes=left, refused=(*plan.refused, *refused), reached=reached, lost=lost)


def cut(plan: Plan, circling_: Collection[RemoteTarget]) -> Plan:
    """The plan less what was sent on to the same targets too often (`state/passed_on`).

    Accounts keep it; aliases, which cannot, refuse it.
    """
    if not circling_:
        return plan
    left = tuple(remote for remote in plan.remotes if remote not in circling_)
    held = [
        HeldBack(
            remote, refusal(remote.recipient.address), f"{remote.address} had this message several times"
        )
        for remote in circling_
    ]
    of_aliases = [one for one in held if not one.remote.via]
    refused = tuple((one.remote.recipient, one.reply) for one in of_aliases)
    lost = tuple(Lost(one.remote.recipient, one.reply.check, one.why) for one in of_aliases)
    return replace(
        plan,
        remotes=left,
        refused=(*plan.refused, *refused),
        reached=plan.reached & _numbers(plan, left),
        held_back=(*plan.held_back, *held),
        lost=(*plan.lost, *lost),
    )


def _numbers(plan: Plan, remotes: Iterable[RemoteTarget]) -> frozenset[int]:
    """The RCPTs that lead to accounts, or to what is left of the remotes."""
    return frozenset(
        [target.recipient.number for target in plan.locals] + [remote.recipient.number for remote in remotes]
    )


def verdicts(plan: Plan, circling_: frozenset[str]) -> dict[int, AccountVerdict]:
    """What accounts that had it before say: no, by target number."""
    return {
        t.number: AccountVerdict(t.number, "ham", 0.0, (RejectMail(refusal(t.account.address).text),))
        for t in plan.locals
        if t.account.address.key in circling_
    }


def refusal(address: Address) -> Reply:
    """What an address says that had the message before."""
    return Reply(554, "4.6", f"{address} had this message before: it goes round in a circle", "loop")
