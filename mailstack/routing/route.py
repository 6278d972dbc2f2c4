"""From one recipient address to where it goes: the decision at RCPT.

Order: SRS address, exact name, plus form, postmaster and abuse, relay to the old
server, catch-all.  Deleted, expired and suspended addresses never fall to the
catch-all.  No `%` or `!` rewriting and no source routes (T7).

Standards: RFC 5321 sections 3.6, 3.9 and 4.5.1; RFC 5233 (plus addressing).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, assert_never

from mailstack.model.address import Address, AddressError
from mailstack.model.directory import ALWAYS_REACHED, Account, Alias, DirectoryReader, Domain, Gone
from mailstack.model.reply import Reply
from mailstack.srs import rewrite, short

#: In a name nobody has: routes of old (`user%other@us`, `other!user@us`, `"user@other"@us`).
_DETOURS: Final = "%!@"

RemoteKind: TypeAlias = Literal["submission", "forward", "relay", "srs-bounce"]
#: Whether a target outside gets what is sent on: yes; no, it keeps refusing; this once, to see.
Standing: TypeAlias = Literal["open", "paused", "probe"]


@dataclass(frozen=True, slots=True)
class Local:
    """An account here.

    Attributes:
        original: the address written to.
        catch_all: that address does not exist; the catch-all took it.
    """

    account: Account
    original: Address
    catch_all: bool = False


@dataclass(frozen=True, slots=True)
class Expand:
    """An alias or group; its targets are routed at the end of DATA."""

    alias: Alias
    original: Address


@dataclass(frozen=True, slots=True)
class Remote:
    """Leaves through the queue."""

    address: Address
    kind: RemoteKind


@dataclass(frozen=True, slots=True)
class Refuse:
    """Not for us; `check` is the log's word for why."""

    reply: Reply
    check: str


Route: TypeAlias = Local | Expand | Remote | Refuse


@dataclass(frozen=True, slots=True)
class Facts:
    """What routing needs to know beside the directory.

    Attributes:
        sender: envelope sender; None for the null sender.
        login: the account that logged in; None on MX.
        postmaster: where postmaster and abuse of domains without them go; None: refused.
        srs_secrets: newest first; empty: SRS addresses are unknown.
        srs_valid_days: age up to which a bounce is taken.
        long_sender: the sender a short SRS address stands for, by its key.
        mx_here: for domains with inbound "follow-mx": whether their MX points here.
        trusted: True inside an expansion: an alias may point outside without login.
        standing: whether a target (second) gets what an address here (first) sends on.
        now: Unix seconds.
    """

    sender: Address | None
    now: float
    login: Account | None = None
    postmaster: Address | None = None
    srs_secrets: Sequence[bytes] = ()
    mx_here: Mapping[str, bool] = field(default_factory=dict)
    trusted: bool = False
    srs_valid_days: int = rewrite.VALID_DAYS
    long_sender: Callable[[str], Address | None] = lambda key: None
    standing: Callable[[Address, Address], Standing] = lambda owner, target: "open"


def route(address: Address, directory: DirectoryReader, facts: Facts) -> Route:
    """Where one address goes.

    Source: RFC 5321 section 3.6; product page, section 1.
    """
    if not address.domain:
        return _bare(address, directory, facts)
    domain = directory.domain(address.domain)
    if domain is None or not _is_inbound(domain, facts):
        return _foreign(address, domain, facts)
    home = replace(address, domain=domain.alias_of) if domain.alias_of else address
    if rewrite.is_srs(home):
        return _srs(home, facts)
    found = directory.find(home) or _plus(home, directory)
    if found is None:
        return _unknown(address, home, domain, directory, facts)
    where = _found(found, address, directory, facts)
    if isinstance(where, Refuse) and home.local.lower() in ALWAYS_REACHED:
        return _postmaster(home, directory, facts) or where
    return where


def _is_inbound(domain: Domain, facts: Facts) -> bool:
    match domain.inbound:
        case "local":
            return True
        case "remote":
            return False
        case "follow-mx":
            return facts.mx_here.get(domain.name, True)
        case _:
            assert_never(domain.inbound)


def _bare(address: Address, directory: DirectoryReader, facts: Facts) -> Route:
    # RFC 5321 section 4.1.1.3: <postmaster> without a domain is always accepted.
    if address.local.lower() == "postmaster" and facts.postmaster is not None:
        return route(facts.postmaster, directory, replace(facts, postmaster=None))
    return Refuse(Reply(550, "1.3", "The address has no domain: write it as name@domain"), "no_domain")


def _foreign(address: Address, domain: Domain | None, facts: Facts) -> Route:
    if facts.login is not None:
        if address.domain.startswith("["):
            return Refuse(
                Reply(
                    550, "1.2", f"Mail to the address literal {address.domain} is not sent: use a domain name"
                ),
                "literal",
            )
        return Remote(address, "submission")
    if facts.trusted:
        return Remote(address, "forward")
    where = f"mail for {address.domain} is not handled here"
    if domain is not None:
        where += " at the moment"
    return Refuse(
        Reply(
            550, "7.1", f"Relaying denied: {where}; to send through this server, log in on port 465 or 587"
        ),
        "relay",
    )


def _srs(address: Address, facts: Facts) -> Route:
    original = _reverse(address, facts)
    if original is None:
        return Refuse(Reply(550, "1.1", "This forwarding address is not valid or too old"), "srs_token")
    if facts.sender is not None:
        # T8: whoever may send anything but bounces through it has an open relay.
        return Refuse(Reply(550, "7.1", "This address takes bounces only (null sender)"), "srs_sender")
    return Remote(original, "srs-bounce")


def _reverse(address: Address, facts: Facts) -> Address | None:
    if not facts.srs_secrets:
        return None
    original = rewrite.reverse(
        address, secrets=facts.srs_secrets, now=facts.now, valid_days=facts.srs_valid_days
    )
    if not isinstance(original, Address):
        return None
    key = short.stored_key(original)
    return original if key is None else facts.long_sender(key)


def _plus(address: Address, directory: DirectoryReader) -> Account | Alias | Gone | None:
    base, plus, _ = address.local.partition("+")
    if not plus or not base:
        return None
    return directory.find(replace(address, local=base))


def _found(
    found: Account | Alias | Gone, original: Address, directory: DirectoryReader, facts: Facts
) -> Route:
    match found:
        case Account():
            return _account(found, original)
        case Alias():
            return _alias(found, original, directory, facts)
        case Gone():
            return Refuse(Reply(550, "1.1", f"{original} does not exist any more"), "gone")
        case _:
            assert_never(found)


def _account(account: Account, original: Address) -> Route:
    if not account.enabled:
        return Refuse(Reply(550, "2.1", f"{original} is suspended and takes no mail"), "suspended")
    if account.kind == "noreply":
        return Refuse(Reply(550, "7.1", f"{original} sends only: nobody reads mail to it"), "noreply")
    if account.kind == "device":
        return Refuse(Reply(550, "7.1", f"{original} is a device that only sends"), "device")
    return Local(account, original)


def _alias(alias: Alias, original: Address, directory: DirectoryReader, facts: Facts) -> Route:
    if alias.expires_at is not None and alias.expires_at <= facts.now:
        return Refuse(Reply(550, "1.1", f"{original} has expired"), "expired")
    if not facts.trusted and not _may_post(alias, directory, facts):
        return Refuse(Reply(550, "7.1", f"You may not post to {original}"), "posters")
    if alias.is_passed_on:
        return Remote(replace(original, domain=alias.address.domain), "relay")
    return Expand(alias, original)


def _may_post(alias: Alias, directory: DirectoryReader, facts: Facts) -> bool:
    if alias.posters == "all":
        return True
    sender = facts.login.address if facts.login is not None else facts.sender
    if sender is None or (facts.login is None and directory.domain(sender.domain) is not None):
        return False  # whoever claims an address of ours logs in
    match alias.posters:
        case "domain":
            return sender.domain == alias.address.domain
        case "members":
            return sender.key in {_key(target) for target in alias.targets}
        case "listed":
            return sender.key in {_key(poster) for poster in alias.listed}
        case _:
            assert_never(alias.posters)


def _key(text: str) -> str:
    try:
        return Address.parse(text).key
    except AddressError:
        return ""


def _postmaster(home: Address, directory: DirectoryReader, facts: Facts) -> Route | None:
    """The postmaster of all domains, for a domain whose own cannot be reached; None: there is none."""
    if facts.postmaster is None or facts.postmaster.key == home.key:
        return None
    return route(facts.postmaster, directory, replace(facts, postmaster=None, trusted=True))


def _unknown(
    original: Address, home: Address, domain: Domain, directory: DirectoryReader, facts: Facts
) -> Route:
    if home.local.lower() in ALWAYS_REACHED:
        missing = Refuse(Reply(550, "1.1", f"{original} is not set up"), "no_postmaster")
        return _postmaster(home, directory, facts) or missing
    if any(mark in home.local for mark in _DETOURS):
        # S25: neither a catch-all nor an old server may take such a name for a way to elsewhere.
        return Refuse(
            Reply(550, "7.1", "Relaying denied: write to the address itself, without % or !"), "relay_form"
        )
    if domain.unknown == "relay":
        return Remote(home, "relay")
    account = directory.catch_all(home.domain)
    if account is not None and account.enabled:
        return Local(account, original, catch_all=True)
    return Refuse(Reply(550, "1.1", f"{original} does not exist here"), "unknown_user")
