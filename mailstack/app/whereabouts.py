"""Where mail for an address of ours goes when nobody is asking in a session: reports, the postmaster.

Source: RFC 5321 section 4.5.1 (postmaster); docs/srs.md (return paths).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.delivery.entry import RecipientKind
from mailstack.model.address import Address, AddressError
from mailstack.model.envelope import Recipient
from mailstack.routing.expand import Expansion
from mailstack.routing.route import Facts

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.directory import Directory
    from mailstack.state.senders import LongSenders


def postmaster(config: Config, directory: Directory) -> Address | None:
    """The configured one, else that of the first domain that has one; None: there is none."""
    if config.server.postmaster:
        return Address.parse(config.server.postmaster)
    candidates = (Address("postmaster", domain.name) for domain in directory.domains())
    return next((one for one in candidates if directory.find(one) is not None), None)


def return_path(
    address: str, config: Config, directory: Directory, *, long_senders: LongSenders, now: float
) -> tuple[str, RecipientKind]:
    """Where mail for a return path goes: an account here, an address elsewhere, or ("", ...).

    Aliases and plus forms lead to their account, SRS addresses to the sender behind them.
    """
    facts = Facts(
        sender=None,
        now=now,
        trusted=True,
        postmaster=postmaster(config, directory),
        srs_secrets=directory.srs_secrets(),
        srs_valid_days=config.srs.valid_days,
        long_sender=long_senders.find,
    )
    try:
        recipient = Recipient(Address.parse(address), 1)
    except AddressError:
        return "", "local"
    plan = Expansion(directory, facts, config.routing).add([recipient])
    if plan.locals:
        return str(plan.locals[0].account.address), "local"
    return (str(plan.remotes[0].address), "remote") if plan.remotes else ("", "local")
